"""A record is enough: the picture again, byte for byte, by hsx remake, and pixel for pixel by the config it gives."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image, PngImagePlugin

import hsx
from hsx import hookimpl, strategies
from hsx.cli import main
from hsx.io.png import png_text, write_png
from hsx.plugins import registry as plugins
from hsx.runner.remake import Wanted, Way
from hsx.store.records import RECORD, record_of
from hsx.strategies.base import KINDS

from ..conftest import picture
from .test_scale import ENV, TWO, hsx_in_a_process, options

ROOT = Path(__file__).parents[2]
FEW = [
    "--model.generation_steps",
    "6",
    "--model.inversion_steps",
    "5",
    "--model.t_edit",
    "0",
    "--model.t_boost",
    "999",
    "--trainer.accelerator",
    "cpu",
]


def made(folder) -> list[str]:
    """The results in a folder, as words."""
    return sorted(str(path) for path in folder.rglob("*.png") if "sheet" not in record_of(path))


def remade(capsys, *argv: str) -> list[str]:
    """What hsx remake says, when all is the same."""
    capsys.readouterr()
    code = main(["remake", *argv])
    said = capsys.readouterr()
    assert code == 0, said
    return said.out.splitlines()


@pytest.fixture
def rows(tiny_model, pictures):
    """The options of a run of seven rows with options of their own, but for output_dir."""
    Image.linear_gradient("L").resize((20, 30)).save(pictures / "mask.png")
    picture(pictures / "contents" / "wide.png", 5, (40, 24))
    table = pictures / "pairs.jsonl"
    given = [
        {"content": "c0", "style": "s0", "mask": "mask.png"},
        {"content": "c0", "style": "s1", "gamma": 0.9},
        {"content": "c1", "style": "s0", "seed": 2**63 - 1},
        {"content": "c1", "style": "s1", "gamma": 0.0},
        {"content": "wide", "style": "s1", "mask": "mask.png", "gamma": 0.123456789, "seed": 7, "output": "a/b"},
        {"content": "c2", "style": "s0"},
        {"content": "c2", "style": "s1", "gamma": 1},
    ]
    table.write_text(
        "".join(
            json.dumps({**row, "content": f"contents/{row['content']}.png", "style": f"styles/{row['style']}.png"})
            + "\n"
            for row in given
        )
    )
    return ["predict", "--model.backbone", str(tiny_model), "--data.pairs", str(table), *FEW]


@pytest.mark.parametrize(
    "more",
    [
        ["--data.batch_size", "1"],
        ["--data.batch_size", "3"],
        ["--data.batch_size", "8", "--store.dtype", "float32"],
        ["--data.batch_size", "4", "--trainer.precision", "bf16-mixed", "--data.fit", "pad"],
        ["--data.batch_size", "2", "--trainer.precision", "64-true", "--model.normalizer", "AdaIN"],
        ["--data.batch_size", "5", "--model.calibrator", "IteratedLatent", "--seed_everything", "3"],
    ],
)
def test_byte_for_byte(rows, pictures, capsys, more):
    assert main([*rows, "--output_dir", str(pictures / "out"), *more]) == 0
    said = remade(capsys, *made(pictures / "out"))
    assert len(said) == 8 and said[-1] == "7 of 7 are byte-identical"
    assert all(line.endswith(".png: byte-identical") for line in said[:-1])


@pytest.mark.slow
def test_byte_for_byte_from_a_store_of_another_batch_size_and_by_two_processes(rows, pictures, capsys):
    store = ["--store.path", str(pictures / "store")]
    assert main([*rows, *store, "--output_dir", str(pictures / "first"), "--data.batch_size", "2"]) == 0
    assert (
        main(
            [
                *rows,
                *store,
                "--output_dir",
                str(pictures / "out"),
                "--data.batch_size",
                "7",
                "--model.schedule.init_args.gamma",
                "0.6",
            ]
        )
        == 0
    )
    computed = record_of(pictures / "out" / "c0__s0.png")["computed"]
    assert computed["rows"] == 7 and computed["content"]["rows"] == 2
    ended = hsx_in_a_process(*rows, *TWO, "--output_dir", str(pictures / "two"), "--data.batch_size", "3")
    assert ended.returncode == 0, ended.stderr
    ended = subprocess.run(
        [sys.executable, "-m", "hsx", *rows, "--output_dir", str(pictures / "threads")],
        env={**ENV, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert record_of(pictures / "threads" / "c0__s0.png")["computed"]["threads"] == 2
    everything = [made(pictures / out) for out in ("out", "first", "two", "threads")]
    assert remade(capsys, *sum(everything, []))[-1] == "28 of 28 are byte-identical"
    assert torch.get_num_threads() == 1


class Half(strategies.BlendingSchedule):
    """Of a plugin: so much everywhere."""

    def __init__(self, weights: list[float], much: float = 0.5) -> None:
        self.weights, self.much = weights, much

    def gamma(self, t: int) -> float:
        return self.weights[0] * self.much


@pytest.fixture
def half_is_a_plugin(monkeypatch):
    module = ModuleType("hsx_half")
    module.hsx_strategies = hookimpl(lambda: [Half], specname="hsx_strategies")
    monkeypatch.setattr(strategies.Strategy, "listed", dict(plugins.load().of(*KINDS)))
    registry = plugins.Registry()
    registry.add("hsx", "hsx", hsx.__version__, plugins._built_in)
    registry.add("half", "hsx-half", "1", lambda: module)
    assert not registry.broken
    strategies.Strategy.listed.update(registry.of(*KINDS))
    monkeypatch.setattr(plugins, "load", lambda: registry)


@pytest.mark.parametrize(
    "blend, schedule",
    [
        ({"class_path": "Masked", "init_args": {"mask": "mask.png", "feather": 0.1, "blend": "Lerp"}}, "Cosine"),
        (
            {"class_path": "SphericalMean", "init_args": {"contents": ["contents/c2.png"], "weights": [1, 2]}},
            "Constant",
        ),
        ("Slerp", {"class_path": "Half", "init_args": {"weights": [0.8, 1]}}),
    ],
)
def test_the_config_of_a_picture_makes_it_again(rows, pictures, capsys, monkeypatch, half_is_a_plugin, blend, schedule):
    monkeypatch.chdir(pictures)
    own = {
        "output_dir": "out",
        "model": {"blend": blend, "schedule": schedule},
        "store": {"dtype": "float32"},
        "trainer": {"precision": "bf16-mixed"},
        "data": {"fit": "stretch", "batch_size": 1},
    }
    (pictures / "own.yaml").write_text(yaml.safe_dump(own))
    assert main([*rows, "--config", "own.yaml"]) == 0
    (pictures / "elsewhere").mkdir()
    monkeypatch.chdir(pictures / "elsewhere")
    for name in ("c0__s0", "c1__s0", "a/b"):
        capsys.readouterr()
        assert main(["show", f"../out/{name}.png", "--config"]) == 0
        (pictures / "again.yaml").write_text(capsys.readouterr().out)
        folder = pictures / "again" / name
        assert main(["predict", "--config", "../again.yaml", "--output_dir", str(folder)]) == 0
        before, after = (Image.open(out / f"{name}.png") for out in (pictures / "out", folder))
        assert np.array_equal(np.asarray(before), np.asarray(after))
        theirs, ours = (record_of(out / f"{name}.png") for out in (pictures / "out", folder))
        assert {k for k in ours if ours[k] != theirs[k]} <= {"date", "gamma"} and ours["made"] == theirs["made"]
    assert remade(capsys, *made(pictures / "out"))[-1] == "7 of 7 are byte-identical"


def test_names_that_no_config_can_hold(tiny_model, pictures, capsys):
    for name in ("a${model.seed}", "b 'c' #: é", "${oc.env:HOME}"):
        picture(pictures / "contents" / f"{name}.png", len(name))
    argv = options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")
    assert main(argv) == 0
    for path in made(pictures / "out"):
        assert remade(capsys, path) == [f"{path}: byte-identical"]
        if "${" in path:
            assert "expected names that a config can hold, got one with ${" in refused(capsys, "show", path, "--config")
            continue
        assert main(["show", path, "--config"]) == 0
        (pictures / "again.yaml").write_text(capsys.readouterr().out)
        again = ["--config", str(pictures / "again.yaml"), "--output_dir", str(pictures / Path(path).stem)]
        assert main(["predict", *again]) == 0


def test_folders_can_be_compared_byte_for_byte(tiny_model, pictures, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    for out in ("one", "two"):
        assert main(options(tiny_model, pictures, out)) == 0
    assert record_of(pictures / "one" / "c0__s0.png")["date"] == "1970-01-02T00:00:00Z"
    for path in (pictures / "one").rglob("*.[ps]*g*"):
        assert (pictures / "two" / path.relative_to(pictures / "one")).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("epoch", ["yesterday", "1e9", "9" * 30])
def test_a_date_that_is_none_is_refused_at_once(tiny_model, pictures, capsys, monkeypatch, epoch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {epoch}" in refused(
        capsys, *options(tiny_model, pictures)
    )


def refused(capsys, *argv: str) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    assert main([*argv]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("hsx: error: ") and said.err.count("\n") == 1 and "; " in said.err and not said.out
    return said.err


def test_what_moved_is_named(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")) == 0
    one = str(pictures / "out" / "c1__s0.png")
    (pictures / "contents" / "c1.png").rename(pictures / "moved.png")
    assert "if its content has moved, name it with --content" in refused(capsys, "remake", one)
    assert remade(capsys, one, "--content", str(pictures / "moved.png")) == [f"{one}: byte-identical"]
    other = str(pictures / "contents" / "c0.png")
    said = refused(capsys, "remake", one, "--content", other)
    assert f"expected its content, got {other}, whose pixels are others than those recorded" in said
    (pictures / "moved.png").rename(pictures / "contents" / "c1.png")
    assert f"expected its style, got {other}" in refused(capsys, "remake", one, "--style", other)
    torch.manual_seed(1)
    unet = UNet2DModel(
        sample_size=16,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(pictures / "network")
    said = refused(capsys, "remake", one, "--backbone", str(pictures / "network"))
    assert "expected the network that made it (fingerprint " in said and "name the right one with --backbone" in said
    assert remade(capsys, one, "--backbone", str(tiny_model)) == [f"{one}: byte-identical"]


def test_one_that_cannot_be_made_stops_no_other(tiny_model, pictures, capsys):
    """Nor does a contact sheet or a foreign picture; what moved into a folder is found by its name there."""
    assert main(options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")) == 0
    out = pictures / "out"
    count = len(made(out))
    (pictures / "contents" / "c1.png").rename(pictures / "moved.png")
    capsys.readouterr()
    assert main(["remake", *map(str, sorted(out.glob("*.png"))), str(pictures / "styles" / "s0.png")]) == 2
    said = capsys.readouterr()
    assert said.out.count(": byte-identical") == count - 2 and f"{count - 2} of {count + 1} are" in said.out
    assert said.err.splitlines()[:2] == [
        f"{out / 'grid.png'}: a contact sheet, left out",
        f"hsx: error: {pictures / 'styles' / 's0.png'}: expected a picture that hsx made, found no record in it (it is "
        "a PNG; another program that saves a picture leaves it out); name one of a run's pictures",
    ]
    assert said.err.count("if its content has moved, name it with --content") == 2
    (pictures / "moved.png").rename(pictures / "contents" / "c1.png")
    (pictures / "contents").rename(pictures / "elsewhere")
    assert remade(capsys, *made(out), "--content", str(pictures / "elsewhere"))[-1] == (
        f"{count} of {count} are byte-identical"
    )


def test_another_mask_is_said(rows, pictures, capsys):
    assert main([*rows, "--output_dir", str(pictures / "out")]) == 0
    one = str(pictures / "out" / "c0__s0.png")
    (pictures / "mask.png").rename(pictures / "moved.png")
    picture(pictures / "mask.png", 77)
    assert "expected its mask, got" in (said := refused(capsys, "remake", one)) and "--mask" in said
    assert remade(capsys, one, "--mask", str(pictures / "moved.png")) == [f"{one}: byte-identical"]


def changed(path, record=None, pixel=None) -> str:
    """A picture with another record or another pixel, as a word."""
    with Image.open(path) as opened:
        new, text = opened.convert("RGB"), png_text(path, RECORD)
    if pixel:
        new.putpixel((0, 0), tuple((value + 128) % 256 for value in new.getpixel((0, 0))))
    write_png(new, path, {RECORD: text if record is None else json.dumps(record)})
    return str(path)


def test_what_is_not_the_same_is_said(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")) == 0
    out = pictures / "out"
    capsys.readouterr()
    assert main(["remake", changed(out / "c0__s0.png", pixel=True), str(out / "c0__s1.png")]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{out / 'c0__s0.png'}: 1 of 256 pixels differ, by at most 128 of 255"
    assert said[1:] == [f"{out / 'c0__s1.png'}: byte-identical", "1 of 2 are byte-identical"]
    record = record_of(out / "c0__s0.png")
    assert main(["remake", changed(out / "c0__s0.png", {**record, "torch": "1.0"})]) == 1
    assert f"; it was made with torch 1.0 on cpu, here is torch {torch.__version__} on cpu" in capsys.readouterr().out
    with Image.open(out / "c1__s0.png") as opened:
        text = png_text(out / "c1__s0.png", RECORD)
        opened.load()
    info = PngImagePlugin.PngInfo()
    info.add_itxt(RECORD, text)
    opened.save(out / "c1__s0.png", pnginfo=info, compress_level=0)
    assert main(["remake", str(out / "c1__s0.png"), "--output", str(pictures / "new" / "file.png")]) == 1
    assert "c1__s0.png: the same pixels in another file" in capsys.readouterr().out
    assert np.array_equal(*(np.asarray(Image.open(p)) for p in (out / "c1__s0.png", pictures / "new" / "file.png")))


def test_new_files_replace_nothing(tiny_model, pictures, capsys):
    assert main(options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")) == 0
    two = [str(pictures / "out" / f"c{i}__s0.png") for i in range(2)]
    remade(capsys, *two, "--output", str(pictures / "new"))
    assert {p.name: p.read_bytes() for p in (pictures / "new").iterdir()} == {
        os.path.basename(name): Path(name).read_bytes() for name in two
    }
    assert "--output: expected new files, got" in refused(capsys, "remake", *two, "--output", str(pictures / "new"))
    assert "pictures of one name" in refused(capsys, "remake", two[0], two[0], "--output", str(pictures / "newer"))


def test_records_are_data(tiny_model, pictures, capsys, monkeypatch):
    """Whatever they say, nothing of it is run, and what is not understood is one line."""
    assert main(options(tiny_model, pictures, "out", "--trainer.accelerator", "cpu")) == 0
    one = pictures / "out" / "c0__s0.png"
    record, whole = record_of(one), one.read_bytes()

    def said(command="remake", **change):
        one.write_bytes(whole)
        return refused(capsys, command, changed(one, {**record, **change}), *(["--config"] * (command == "show")))

    popen = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", str(pictures / "run")]}}
    model = record["model"]
    assert "expected strategies that are registered, got subprocess.Popen" in said(model={**model, "blend": popen})
    inside = {"class_path": "Masked", "init_args": {"mask": str(one), "blend": popen}}
    assert "got subprocess.Popen" in said(model={**model, "blend": inside})
    assert not (pictures / "run").exists()
    for change in (
        {"model": {**model, "blend": "Slurp"}},
        {"model": {**model, "more": 1}},
        {"pixels": 3},
        {"model": {**model, "schedule": {"class_path": "Constant", "init_args": {"gama": 1}}}},
        {"trainer": {"precision": "none"}},
        {"store": {"dtype": 7}},
        {"computed": {"rows": -1}},
        {"computed": {"rows": "x"}},
        {"computed": {}},
        {"seed": "x"},
        {"gamma": [1]},
        {"data": {}},
    ):
        said(**change)
    assert "got one changed since" in said(seed=record["seed"] + 1)
    assert "got others from its record" in said(model={**model, "t_edit": 7})
    older = {"hsx": "0.1.0", "backbone": "x", "settings": {}}
    for command in ("remake", "show"):
        one.write_bytes(whole)
        line = refused(capsys, command, changed(one, older), *(["--config"] * (command == "show")))
        assert "expected a record that makes a picture again, got one of hsx 0.1.0 with no model that" in line
    assert "got that of a contact sheet" in refused(capsys, "remake", str(pictures / "out" / "grid.png"))
    assert "found no record in it" in refused(capsys, "remake", str(pictures / "styles" / "s0.png"))
    assert "found a folder" in refused(capsys, "remake", str(pictures / "out"))
    assert "found nothing there" in refused(capsys, "remake", str(pictures / "none.png"))
    assert "required: pictures" in refused(capsys, "remake")


def test_rows_in_a_config_are_held_to_the_checks_of_a_table(tiny_model, pictures, capsys, caplog, monkeypatch):
    monkeypatch.chdir(pictures)
    pair = {"content": "contents/c0.png", "style": "styles/s0.png"}
    argv = ["predict", "--model.backbone", str(tiny_model), *FEW, "--config", "rows.yaml"]

    def run(*rows) -> int:
        (pictures / "rows.yaml").write_text(yaml.safe_dump({"data": {"pairs": list(rows)}, "output_dir": "rows"}))
        capsys.readouterr()
        return main(argv)

    assert (
        run(
            pair,
            {**pair, "gamma": 2},
            {**pair, "seed": -1},
            {"content": "contents/c0.png"},
            {**pair, "output": "../x"},
            {**pair, "gamma": None, "mask": None, "output": "x/y.png"},
        )
        == 3
    )
    said = capsys.readouterr().err
    assert "data.pairs row 2: gamma: expected a number from 0 to 1, got 2" in said
    assert "data.pairs row 4: expected a content and a style, got no style" in said and "row 5: output:" in said
    assert {os.path.relpath(name, pictures / "rows") for name in made(pictures / "rows")} == {"c0__s0.png", "x/y.png"}
    assert run() == 2 and "data.pairs: expected" in capsys.readouterr().err
    assert run({"style": "styles/s0.png"}) == 2 and "add content" in capsys.readouterr().err
    assert run(pair, {**pair, "output": "x/y", "gama": 1}) == 0
    assert "data.pairs: the columns gama are ignored" in caplog.text


@pytest.mark.slow
def test_all_48_pictures_of_the_demo(tmp_path, all_cores, capsys):
    """Byte-identical, in not much more time than they took."""
    begun = time.monotonic()
    assert main(["predict", "--config", str(ROOT / "configs" / "demo.yaml"), "--output_dir", str(tmp_path)]) == 0
    first = time.monotonic() - begun
    assert remade(capsys, *made(tmp_path))[-1] == "48 of 48 are byte-identical"
    assert time.monotonic() - begun < 2.5 * first


def test_a_strategy_of_a_module_that_the_command_line_trusts(tiny_model, pictures, tmp_path, capsys, monkeypatch):
    (tmp_path / "my_halves.py").write_text(
        "from hsx.strategies import BlendingSchedule\n\n\nclass Half(BlendingSchedule):\n"
        "    def __init__(self, of: float = 1.0) -> None:\n        self.of = of\n\n"
        "    def gamma(self, t: int) -> float:\n        return self.of / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    out, trust = pictures / "out", ["--trust", "my_halves"]
    assert (
        main(
            [
                "predict",
                "--model.backbone",
                str(tiny_model),
                "--data.contents",
                str(pictures / "contents" / "c0.png"),
                "--data.styles",
                str(pictures / "styles"),
                "--output_dir",
                str(out),
                *FEW,
                "--model.schedule",
                "{class_path: my_halves.Half, init_args: {of: 0.8}}",
                *trust,
            ]
        )
        == 0
    )
    assert remade(capsys, *trust, *made(out))[-1] == "2 of 2 are byte-identical"
    assert main(["remake", "--trust", "my_hales", *made(out)]) == 2
    assert "--trust: expected a module that can be imported, got my_hales" in capsys.readouterr().err


def test_what_a_record_does_not_say_was_not_so():
    """Records from before there were other ways to run a network."""
    computed = {"rows": 3, "threads": 2, "style": {"rows": 4, "channels_last": True, "compiled": True}}
    one = Wanted(Path("a.png"), {"computed": computed}, {})
    assert one.how() == one.how("content") == Way(3, 2, False, False) and one.how("style") == Way(4, 2, True, True)
