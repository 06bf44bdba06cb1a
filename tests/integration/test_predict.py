"""``hsx predict`` as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import hsx
from hsx.cli import main
from hsx.io.images import read_image
from hsx.store.records import record_of
from hsx.strategies import AdaIN, Constant, Latent

from ..conftest import picture

SETTINGS = [
    "--model.generation_steps",
    "8",
    "--model.inversion_steps",
    "6",
    "--model.normalizer",
    "AdaIN",
    "--model.schedule.init_args.gamma",
    "0.5",
    "--model.calibrator.init_args.omega",
    "0.1",
]


def options(model, folder, out="out", *more) -> list[str]:
    return [
        "predict",
        "--model.backbone",
        str(model),
        "--data.contents",
        str(folder / "contents"),
        "--data.styles",
        str(folder / "styles"),
        "--output_dir",
        str(folder / out),
        *SETTINGS,
        *more,
    ]


def read(folder) -> dict[str, np.ndarray]:
    return {p.name: np.asarray(Image.open(p)).astype(int) for p in sorted(folder.glob("*__*.png"))}


def same(a: dict, b: dict) -> bool:
    """Equal pictures, to the rounding of a pixel."""
    return a.keys() == b.keys() and all(abs(a[k] - b[k]).max() <= 1 for k in a)


def test_every_content_in_every_style(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--store.dtype", "float32")) == 0
    out = pictures / "out"
    assert "6 pictures made" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {
        *(f"c{i}__s{j}.png" for i in range(3) for j in range(2)),
        "config.yaml",
        "grid.png",
        "report",
        "report.html",
        "results.jsonl",
        "trajectories",
    }
    assert len(list((out / "trajectories").rglob("*.safetensors"))) == 5  # each distinct picture inverted once
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == [f"c{i}__s{j}" for i in range(3) for j in range(2)]
    assert all(line["status"] == "done" for line in lines)
    assert Image.open(out / "grid.png").size == (3 * 98 + 2, 4 * 98 + 2)
    record = json.loads(Image.open(out / "c1__s0.png").info["hsx"])
    assert record["model"]["generation_steps"] == 8
    assert record["model"]["schedule"] == {"class_path": "Constant", "init_args": {"gamma": 0.5}}
    # the command does what the library does
    backbone = hsx.load_backbone(tiny_model)
    transfer = hsx.Transfer(
        backbone,
        Constant(0.5),
        normalizer=AdaIN(),
        calibrator=Latent(0.1),
        inversion_steps=6,
        generation_steps=8,
    )
    image = transfer(
        *(read_image(pictures / p, 16)[None] for p in ("contents/c1.png", "styles/s0.png")),
        noise=hsx.method.noise.SampleNoise(0, [tuple(record_of(out / "c1__s0.png")["pixels"])]),
    )[0]
    assert abs(read(out)["c1__s0.png"] - (image.permute(1, 2, 0).numpy() + 1) * 127.5).max() < 1


def test_results_do_not_depend_on_batch_size_company_or_interruption(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "three", "--data.batch_size", "3")) == 0
    for size in (1, 8, "auto"):
        assert main(options(tiny_model, pictures, f"by{size}", "--data.batch_size", str(size))) == 0
        assert same(read(pictures / "three"), read(pictures / f"by{size}"))
    one = options(tiny_model, pictures, "one")
    one[one.index("--data.contents") + 1] += "/c1.png"
    assert main(one) == 0
    assert same(read(pictures / "one"), {k: v for k, v in read(pictures / "three").items() if k.startswith("c1")})
    for name in ("c0__s1.png", "c2__s0.png"):  # as if it had been stopped before these
        (pictures / "by1" / name).unlink()
    before = {p: p.stat().st_mtime_ns for p in (pictures / "by1").glob("*__*.png")}
    capsys.readouterr()
    assert main(options(tiny_model, pictures, "by1", "--data.batch_size", "8")) == 0
    assert "2 pictures made" in (said := capsys.readouterr().out) and "4 were there already" in said
    assert same(read(pictures / "three"), read(pictures / "by1"))
    assert all(p.stat().st_mtime_ns == then for p, then in before.items())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_and_started_again(tiny_model, pictures, how):
    slow = options(tiny_model, pictures, "killed", "--data.batch_size", "1", "--model.generation_steps", "400")
    process = subprocess.Popen([sys.executable, "-m", "hsx", *slow], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not read_quietly(pictures / "killed"):
        time.sleep(0.01)
    process.send_signal(how)
    said = process.communicate(timeout=60)[1]
    assert len(read_quietly(pictures / "killed")) < 6
    if how != signal.SIGKILL:
        assert process.returncode == 130 and "stopped; what is finished is kept" in said and "Traceback" not in said
        assert not list((pictures / "killed").rglob("*.part"))
    slow += ["--data.batch_size", "6"]  # which changes no result
    assert main(slow) == 0
    assert main([*slow, "--output_dir", str(pictures / "whole")]) == 0
    assert same(read(pictures / "killed"), read(pictures / "whole"))
    assert len(read(pictures / "killed")) == 6


def read_quietly(folder) -> list:
    return list(folder.glob("*__*.png")) if folder.exists() else []


def test_other_settings_in_the_same_folder_are_refused(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    config = (pictures / "out" / "config.yaml").read_text()
    other = options(tiny_model, pictures, "out", "--model.schedule.init_args.gamma", "0.9")
    assert main(other) == 2
    said = capsys.readouterr().err
    assert "got 6 of others" in said and "--overwrite true" in said and said.count("\n") == 1
    assert (pictures / "out" / "config.yaml").read_text() == config
    before = read(pictures / "out")
    assert main([*other, "--overwrite", "true"]) == 0
    assert not same(before, read(pictures / "out"))


def test_an_emptied_or_cut_picture_is_made_again_and_a_foreign_one_refused(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures)) == 0
    file, other = (pictures / "out" / f"c0__s{j}.png" for j in range(2))
    file.write_bytes(b"")
    other.write_bytes(other.read_bytes()[:50])
    assert main(options(tiny_model, pictures)) == 0
    assert "2 pictures made" in capsys.readouterr().out and record_of(file) and record_of(other)
    picture(file, 1)
    assert main(options(tiny_model, pictures)) == 2
    assert "got 1 of others" in capsys.readouterr().err
    saved = "no record in it (it is a PNG; another program that saves a picture leaves it out)"
    for wrong, found in ((file, saved), (pictures, "a folder"), (pictures / "no.png", "nothing there")):
        assert main(["show", str(wrong)]) == 2
        assert f"{wrong}: expected a picture that hsx made, found {found}; " in capsys.readouterr().err


def test_stopped_while_it_starts():
    """Amid the imports, where an exception would go astray."""
    argv = [sys.executable, "-X", "importtime", "-m", "hsx", "predict"]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    next(line for line in process.stderr if " torch." in line)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.splitlines()[-1].startswith("hsx: stopped; ") and "Traceback" not in said


def test_a_bad_picture_fails_only_its_pairs(tiny_model, pictures, capsys):
    (pictures / "contents" / "bad.png").write_bytes(b"not a picture")
    whole = (pictures / "contents" / "c0.png").read_bytes()
    (pictures / "styles" / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert main(options(tiny_model, pictures)) == 3
    said = capsys.readouterr()
    assert "6 pictures made" in said.out and "6 failed" in said.out
    assert "bad.png: expected a picture" in said.err and "cut.png: expected a picture" in said.err
    lines = [json.loads(line) for line in (pictures / "out" / "results.jsonl").read_text().splitlines()]
    failed = {line["name"] for line in lines if line["status"] == "failed"}
    assert failed == {"bad__cut", "bad__s0", "bad__s1", "c0__cut", "c1__cut", "c2__cut"}
    assert main(options(tiny_model, pictures)) == 3  # still failed, nothing made again
    assert "0 pictures made" in capsys.readouterr().out
    picture(pictures / "contents" / "bad.png", 7)
    assert main(options(tiny_model, pictures)) == 3
    assert "2 pictures made" in capsys.readouterr().out


def test_an_output_dir_left_empty_in_a_config(tiny_model, pictures, capsys):
    config = pictures / "config.yaml"
    config.write_text("output_dir:\nmodel: {t_boost: 0}\n")
    assert main([*options(tiny_model, pictures)[:7], "--config", str(config)]) == 2
    assert capsys.readouterr().err.startswith("hsx: error: output_dir: expected a folder, got an empty name; name one")


def test_pairs_may_be_zipped_and_names_may_be_equal(tiny_model, pictures, capsys):
    (pictures / "contents" / "c2.png").unlink()
    assert main(options(tiny_model, pictures, "zipped", "--data.pairing", "zip")) == 0
    assert read(pictures / "zipped").keys() == {"c0__s0.png", "c1__s1.png"}
    picture(pictures / "contents" / "deeper" / "c0.png", 5)
    assert main(options(tiny_model, pictures, "zipped", "--data.pairing", "zip")) == 2
    assert "data.pairing: expected as many contents as styles" in capsys.readouterr().err
    assert main(options(tiny_model, pictures)) == 0
    assert sum(name.startswith(("c0__s1~", "c0__s1.")) for name in read(pictures / "out")) == 2


def test_two_processes_make_what_one_makes(tiny_model, pictures):
    (pictures / "contents" / "c2.png").unlink()
    picture(pictures / "styles" / "s2.png", 30)
    assert main(options(tiny_model, pictures, "one")) == 0
    two = options(
        tiny_model,
        pictures,
        "two",
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
        "--data.batch_size",
        "1",
    )
    ended = subprocess.run(
        [sys.executable, "-m", "hsx", *two],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert same(read(pictures / "one"), read(pictures / "two"))


@pytest.mark.parametrize(
    "more, said",
    [
        (["--model.seed", "5"], "model.seed: expected none, as seed_everything says it for the whole run, got 5"),
        (
            ["--model", '{"fit": "pad"}'],
            "model.fit: expected none, as data.fit says it for the whole run, got pad; write data.fit: pad instead",
        ),
        (["--config", "seed.yaml"], "got 0; write seed_everything: 0 instead"),
        (["--seed_everything", "true"], "seed_everything: expected a whole number, got True"),
    ],
    ids=str,
)
def test_what_the_whole_run_is_told_is_not_told_to_the_model(tiny_model, pictures, capsys, monkeypatch, more, said):
    monkeypatch.chdir(pictures)
    (pictures / "seed.yaml").write_text("model: {seed: 0}")
    assert main([*options(tiny_model, pictures), *more]) == 2
    assert said in capsys.readouterr().err and not (pictures / "out").exists()


def test_configs_are_composed_printed_and_read_back(tiny_model, pictures, capsys):
    assert main([*options(tiny_model, pictures), "--print_config"]) == 0
    first = capsys.readouterr().out
    config = yaml.safe_load(first)
    assert config["model"]["schedule"]["init_args"]["gamma"] == 0.5
    file = pictures / "config.yaml"
    file.write_text(first)
    more = pictures / "more.yaml"
    more.write_text("model:\n  t_edit: 123\n  t_boost: ${model.t_edit}\n")
    assert main(["predict", "--config", str(file), "--config", str(more), "--print_config"]) == 0
    second = yaml.safe_load(capsys.readouterr().out)
    assert second["model"]["t_edit"] == 123
    assert {**second["model"], "t_edit": 0, "t_boost": 0} == {**config["model"], "t_edit": 0, "t_boost": 0}
    assert main(["predict", "--config", str(file)]) == 0
    kept = yaml.safe_load((pictures / "out" / "config.yaml").read_text())
    assert kept["model"]["generation_steps"] == 8 and kept["seed_everything"] == 0


@pytest.mark.parametrize(
    "change, said",
    [
        (["--config", "/nowhere.yaml"], "config: File does not exist"),
        (["--modle.t_edit", "3"], "unrecognized arguments: --modle.t_edit 3 (the nearest is --model.t_edit); see hsx"),
        (["--model.generation_step", "5"], "(the nearest is --model.generation_steps)"),  # no abbreviations
        (["--seed_everything", "-1"], "seed_everything: expected a number from 0 to 4294967295, got -1; see hsx"),
        (["--model.t_edit", "abc"], "model.t_edit: expected int, got abc"),
        (["--model.t_start", "abc"], "model.t_start: expected a whole number or auto, got abc"),
        (["--model.t_edit", "2000"], "t_edit: expected 0 to 1000"),
        (["--model.t_boost", "-1"], "t_boost: expected 0 to 999"),
        (["--model.t_start", "5000"], "t_start: expected 1 to 999"),
        (["--model.generation_steps", "5000"], "generation_steps: expected 2 to 1000"),
        (["--model.inversion_steps", "1"], "inversion_steps: expected 2 to 1000"),
        (["--model.injection_steps", "0"], "injection_steps: expected 1 or more"),
        (["--model.schedule.init_args.gamma", "1.5"], "gamma: expected a number from 0 to 1, got 1.5"),
        (["--model.schedule.init_args.gamma", "nan"], "got nan"),
        (["--model.calibrator.init_args.omega", "-1"], "omega: expected a number of 0 or more, got -1"),
        (["--model.schedule", "Cosin"], "model.schedule: expected one of Cosine, Constant, "),
        (
            ["--model.normalizer", "Frobenus"],
            "expected one of Frobenius, Identity, AdaIN, got Frobenus; see hsx",
        ),
        (
            ["--model.schedule.init_args.gama", "1"],
            "model.schedule: expected an option of Constant (gamma), got gama; see hsx plugins Constant",
        ),
        (
            ["--model.schedule", "{class_path: Interval, init_args: {tlo: 1}}"],
            "model.schedule: expected an option of Interval (t_lo, t_hi, gamma), got tlo; see hsx plugins Interval",
        ),
        (
            ["--model.schedule.init_args.gamma", "abc"],
            "model.schedule: Constant.gamma: expected float, got abc; see hsx plugins Constant",
        ),
        (
            ["--model.schedule", "Table"],
            "model.schedule: the following arguments are required: values; see hsx plugins",
        ),
        (["--model.blend", "torch.nn.Linear"], "Slerp, Masked, got torch.nn.Linear; see hsx plugins"),
        (["--model.backbone", "/nowhere"], "/nowhere: expected a checkpoint file or a diffusers folder, found nothing"),
        (["--data.contents", "/nowhere"], "data.contents: expected a picture or a folder of pictures, found nothing"),
        (["--data.contents", ""], "data.contents: expected a picture or a folder of pictures, got an empty name"),
        (["--output_dir", ""], "output_dir: expected a folder, got an empty name"),
        (["--data.per_content", "3"], "data.per_content: expected data.pairing random with it, got product"),
        (
            ["--data.pairing", "zip", "--data.pairing_seed", "3"],
            "data.pairing_seed: expected data.pairing random with it",
        ),
        (["--data.styles", __file__], "test_predict.py: expected a picture, could not read it"),
        (["--data.batch_size", "0"], "data.batch_size: expected a whole number above 0, got 0"),
        (["--data.num_workers", "100000"], "a core), got 100000; a few are enough"),
        (["--data.pairing", "all"], "data.pairing: expected one of 'product', 'zip', 'random', got all"),
        (["--output_dir", "/proc/nowhere"], "output_dir: expected a folder that can be written"),
        (["--store.path", "/proc/nowhere"], "store.path: expected a folder that can be written, got /proc/nowhere (No"),
        (["--store.path", __file__], "test_predict.py (it is a file); name another with --store.path"),
        (["--trainer.accelerator", "none"], "trainer: expected what this machine has, got trainer.accelerator none"),
        (["--trainer.accelerator", "tpu"], "trainer: expected what this machine has, got trainer.accelerator tpu"),
        (["--trainer.devices", "many"], "trainer.devices many"),
        (["--model.t_edit", "${model.nothing}"], "'model.nothing' not found"),
    ],
)
def test_mistakes_get_one_line_and_exit_code_2(tiny_model, pictures, capsys, change, said):
    assert main([*options(tiny_model, pictures), *change]) == 2
    err = capsys.readouterr().err
    assert said in err and err.startswith("hsx: error: ") and err.count("\n") == 1 and "; " in err
    assert not list(pictures.glob("out/*__*.png"))


def test_an_empty_folder_and_a_config_that_is_none(tiny_model, pictures, capsys):
    (pictures / "empty").mkdir()
    assert main([*options(tiny_model, pictures), "--data.styles", str(pictures / "empty")]) == 2
    assert "data.styles: expected pictures" in capsys.readouterr().err
    bad = pictures / "bad.yaml"
    wanted = "bad.yaml: expected a YAML file of options, got "
    for text, said in (
        ("a: [", "bad.yaml: expected YAML"),
        ("data: {foo: 1}", "data.foo"),
        ("", f"{wanted}an empty one; see hsx"),
        ("just\nwords", f"{wanted}the text 'just words'; see hsx"),
        ("\udcff", f"{wanted}no UTF-8"),
    ):
        bad.write_text(text, errors="surrogateescape")
        assert main([*options(tiny_model, pictures), "--config", str(bad)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "hsx: error: " in err and said in err


def test_without_arguments_and_with_a_wrong_command(capsys):
    assert main([]) == 2 and main(["--help"]) == 0 and main(["--version"]) == 0
    out = capsys.readouterr().out
    assert f"hsx {hsx.__version__}" in out and "130 stopped by Ctrl-C or SIGTERM" in out
    assert main(["predcit"]) == 2
    assert "got 'predcit'" in capsys.readouterr().err
    assert main(["predict"]) == 2
    assert "model.backbone" in capsys.readouterr().err
    assert main(["predict", "--model.backbone", "hsx://demo_faces"]) == 2
    assert "expected data.contents and data.styles, or a table data.pairs, got no contents and styles" in (
        capsys.readouterr().err
    )


def test_import_is_light():
    code = "import sys, hsx; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    "kind, name, own",
    [
        ("schedule", "SignalToNoise", {"gamma": 0.6, "k": 1.0}),
        ("schedule", "Interval", {"gamma": 0.3, "t_hi": 900}),
        ("calibrator", "IteratedLatent", {"omega": 0.3, "max_iterations": 4}),
        ("schedule", "Constant", {"gamma": 0.3}),
    ],
)
def test_a_class_that_is_named_has_its_own_defaults(tiny_model, pictures, capsys, kind, name, own):
    """Not those of the class that it takes the place of."""
    argv = [
        "predict",
        "--model.backbone",
        str(tiny_model),
        "--data.contents",
        str(pictures / "contents"),
        "--data.styles",
        str(pictures / "styles"),
        "--print_config",
    ]
    assert main([*argv, f"--model.{kind}", name]) == 0
    chosen = yaml.safe_load(capsys.readouterr().out)["model"][kind]["init_args"]
    assert chosen.items() >= own.items()
    (pictures / "named.yaml").write_text(f"model:\n  {kind}: {name}\n")
    assert main([*argv, "--config", str(pictures / "named.yaml")]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"][kind]["init_args"] == chosen


@pytest.mark.parametrize(
    "name, chosen", [("SignalToNoise", {"gamma": 1.0, "k": 1.0}), ("Cosine", {"start": 0.6, "end": 0.0})]
)
def test_what_a_config_gives_to_its_own_class_goes_on_to_the_one_named_instead(capsys, name, chosen):
    """Where that has an option of the same name; docs/plugins.md says so."""
    config = str(Path(__file__).parents[2] / "configs" / "demo.yaml")
    assert main(["predict", "--config", config, "--model.schedule", name, "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["schedule"]["init_args"] == chosen


def test_callbacks_may_add_others_while_a_stage_runs(tiny_model, pictures, monkeypatch):
    (pictures / "adding.py").write_text(
        "from lightning.pytorch.callbacks import Callback\nclass Other(Callback):\n    pass\n"
        "class Adding(Callback):\n    def on_predict_start(self, trainer, module):\n"
        "        trainer.callbacks.append(Other())\n"
    )
    monkeypatch.syspath_prepend(pictures)
    callback = ["--trust", "adding", "--trainer.callbacks", "adding.Adding"]
    assert main([*options(tiny_model, pictures), *callback]) == 0
    assert len(read(pictures / "out")) == 6
