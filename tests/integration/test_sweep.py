"""``hsx sweep`` as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import yaml
from PIL import Image

from hsx.cli import main
from hsx.store.records import record_of

from ..conftest import picture
from .test_predict import read, same

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
STEPS = ["--model.inversion_steps", "4", "--model.generation_steps", "4", "--model.t_edit", "0"]
OVER = ["--over", "model.schedule.init_args.gamma=0.2,0.9"]
FOUR = [*OVER, "--over", "model.normalizer=AdaIN,Identity"]
FEW = ("short_2", "spiky_5")  # contents of the demo
BARE = ["--report", "false", "--sheets", "false"]
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]


def words(model, folder, out="out", *more) -> list[str]:
    pairs = ["--data.contents", str(folder / "contents"), "--data.styles", str(folder / "styles")]
    return ["--model.backbone", str(model), *pairs, "--output_dir", str(folder / out), *STEPS, *more]


def sweep(*given) -> int:
    return main(["sweep", *words(*given)])


def inverted(said: str) -> int:
    return int(re.search(r"^(\d+) pictures inverted of", said, re.M)[1])


def test_each_picture_is_inverted_once_and_the_recommended_settings_run(tiny_model, pictures, capsys):
    assert sweep(tiny_model, pictures, "out", *OVER) == 0
    said = capsys.readouterr()
    out = pictures / "out"
    assert inverted(said.out) == 5 and len(list((out / "trajectories").rglob("*.safetensors"))) == 5
    assert "0 pictures made" not in said.out and not (out / "results.jsonl").exists()
    lines = [line for line in said.out.splitlines() if " of 2  gamma=" in line]
    assert len(lines) == 2 and "6 made" in lines[0] and "5 inverted" in lines[0] and "0 inverted" in lines[1]
    evaluations = sum(float(re.search(r"([\d.]+) evaluations", line)[1]) for line in lines)
    assert f"{evaluations:.0f} evaluations of the network over 2 settings" in said.out
    data = json.loads((out / "sweep.json").read_text())
    names = [one["name"] for one in data["settings"]]
    assert names == ["gamma=0.2", "gamma=0.9"]
    assert all({"SSIM", "Palette"} <= one["measures"].keys() for one in data["settings"])
    assert sum(one["recommended"] for one in data["settings"]) == 1 and any(one["front"] for one in data["settings"])
    best = next(one for one in data["settings"] if one["recommended"])
    assert f"recommended: {best['name']}, the knee" in said.out
    for name in ("sweep.png", "tradeoff.png"):
        assert record_of(out / name)["sheet"] == "sweep"
    with Image.open(out / "sweep.png") as sheet:
        assert sheet.width == 4 + 4 * 132  # content, style and two settings
    # An ordinary run, with its own config; the recommended config makes the same pictures, and inverts none.
    config = yaml.safe_load((out / best["folder"] / "config.yaml").read_text())
    assert config["output_dir"] == str(out / best["folder"]) and config["store"]["path"] == str(out / "trajectories")
    assert main(["predict", "--config", str(out / "recommended.yaml"), *BARE]) == 0
    assert "\n0 pictures inverted" in capsys.readouterr().out
    assert same(read(out / "recommended"), read(out / best["folder"]))
    # Started again, with other values, it makes these alone.
    more = ["--over", "model.schedule.init_args.gamma=0.9,0.5", *BARE]
    assert sweep(tiny_model, pictures, "out", *more, "--prefer", "content") == 0
    said = capsys.readouterr().out
    assert said.count("6 were there") == 1 and said.count("6 made") == 1 and "most of the content" in said
    assert inverted(said) == 0


def test_ways_of_inverting_are_said_and_a_content_is_recorded_for_all_sites(tiny_model, pictures, capsys):
    over = ["--over", "model.sites=[h],[conv_in]", "--over", "model.t_start=500,999"]
    assert sweep(tiny_model, pictures, "out", *over, *BARE) == 0
    said = capsys.readouterr()
    assert "contents in 2 ways and styles in 2" in said.err and "they start at timesteps 500, 999" in said.err
    assert inverted(said.out) == 10 and "(contents in 2 ways, styles in 2)" in said.out
    assert len(list((pictures / "out" / "trajectories").rglob("*.safetensors"))) == 10


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--over", "model.t_edit=0,2000"], "setting t_edit=2000: t_edit: expected 0 to 1000"),
        (["--over", "model.t_edit=0,1.5"], "setting t_edit=1.5: model.t_edit: expected"),
        (["--over", "model.normalizer=AdaIN,Ada"], "setting normalizer=Ada: model.normalizer: expected one of"),
        (["--over", "model.schedule.init_args.gamma=0.5,2"], "setting gamma=2: "),
        (["--over", "model.seed=0,1"], "setting seed=0: model.seed: expected none, as seed_everything says it"),
        ([*OVER, "--random", "9"], "--random: expected 1 to 2 of the 2 settings, got 9"),
        ([*OVER, "--random", "x"], "random: expected a whole number above 0, got x"),
        ([*OVER, "--metrics", "SSIM"], "--metrics: expected a measure of style among them"),
        ([*OVER, "--metrics", "Ssim"], "metrics: expected measures ("),
        ([*OVER, "--data.contents", "nowhere"], "data.contents: expected"),
        ([*OVER, "--model.backbone", "nowhere"], "nowhere: expected"),
        ([*OVER, "--overs", "model.t_edit=0"], "overs"),
    ],
)
def test_what_is_wrong_with_any_setting_is_refused_before_anything_runs(tiny_model, pictures, capsys, more, said):
    assert sweep(tiny_model, pictures, "out", *more) == 2
    err = capsys.readouterr().err
    assert err.startswith("hsx: error: ") and err.count("\n") == 1 and said in err
    assert not (pictures / "out" / "settings").exists()


def test_what_hsx_did_not_make_is_not_replaced(tiny_model, pictures, capsys):
    (pictures / "out").mkdir()
    (pictures / "out" / "sweep.json").write_text("[]")
    assert sweep(tiny_model, pictures, "out", *OVER) == 2
    assert "expected a folder whose sweep.json hsx may write" in capsys.readouterr().err
    assert [path.name for path in (pictures / "out").iterdir()] == ["sweep.json"]


def test_a_setting_that_fails_does_not_stop_the_others(tiny_model, pictures, capsys):
    (pictures / "contents" / "broken.png").write_bytes(b"no picture")
    (pictures / "out" / "settings" / "t_edit=400").mkdir(parents=True)
    picture(pictures / "out" / "settings" / "t_edit=400" / "c0__s0.png", 3)  # somebody's own
    assert sweep(tiny_model, pictures, "out", "--over", "model.t_edit=0,400", *BARE) == 3
    said = capsys.readouterr()
    assert "t_edit=0: 6 made" in said.out and "2 failed" in said.out
    assert "t_edit=400: failed: output_dir: expected an empty folder" in said.err
    *_, first, last = said.err.strip().splitlines()
    assert first.startswith("t_edit=0: 2 of the pairs failed, such as: ") and last.startswith("t_edit=400: output_dir")
    settings = json.loads((pictures / "out" / "sweep.json").read_text())["settings"]
    assert [bool(one["measures"]) for one in settings] == [True, False]


def test_the_help_names_its_own_options_and_those_of_predict(capsys):
    assert main(["sweep", "--help"]) == 0
    said = capsys.readouterr().out
    assert "--over" in said and "--random" in said and "--prefer" in said and "hsx predict" in said


def test_quick_says_that_a_network_does_not_know_such_pictures(tiny_model, pictures, capsys):
    assert sweep(tiny_model, pictures, "out", "--quick", *OVER) == 2
    assert "--quick: expected no --over and no --random with it" in capsys.readouterr().err
    assert sweep(tiny_model, pictures, "out", "--quick") == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("probing with 6 pairs, at most 60 evaluations") and len(said) == 2
    assert "--quick: expected a network of such pictures, got another. Nothing carries" in said[1]
    assert [path.name for path in (pictures / "out").iterdir()] == ["probe.png"]


@pytest.mark.slow
def test_killed_and_started_again_it_makes_what_is_missing(tiny_model, pictures, capsys):
    slow = ["--model.generation_steps", "60", "--data.batch_size", "1", *FOUR]
    argv = [sys.executable, "-m", "hsx", "sweep", *words(tiny_model, pictures, "killed", *slow)]
    process = subprocess.Popen(argv, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    made = pictures / "killed" / "settings"
    while process.poll() is None and len(list(made.rglob("c*__s*.png"))) < 8:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    there = len(list(made.rglob("c*__s*.png")))
    assert 8 <= there < 24 and not (pictures / "killed" / "sweep.json").exists()
    assert sweep(tiny_model, pictures, "killed", *slow) == 0
    said = capsys.readouterr().out
    assert inverted(said) == 0 and sum(map(int, re.findall(r": (\d+) made", said))) == 24 - there
    assert sweep(tiny_model, pictures, "whole", *slow) == 0
    for one in made.iterdir():
        assert same(read(one), read(pictures / "whole" / "settings" / one.name))


@pytest.mark.slow
def test_two_processes_make_the_same(tiny_model, pictures, capsys):
    argv = [sys.executable, "-m", "hsx", "sweep", *words(tiny_model, pictures, "two", *FOUR, *TWO)]
    ended = subprocess.run(argv, env=ENV, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert inverted(ended.stdout) == 5 and ended.stdout.count("recommended: ") == 1
    assert sweep(tiny_model, pictures, "one", *FOUR) == 0
    one, two = (json.loads((pictures / name / "sweep.json").read_text()) for name in ("one", "two"))
    assert [each["name"] for each in one["settings"]] == [each["name"] for each in two["settings"]]
    for a, b in zip(one["settings"], two["settings"], strict=True):
        for name, own in a["measures"].items():
            assert b["measures"][name]["mean"] == pytest.approx(own["mean"], abs=1e-3)
        assert same(read(pictures / "one" / a["folder"]), read(pictures / "two" / b["folder"]))


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
def test_quick_finds_settings_for_the_demo_model_and_goes_on_with_them(tmp_path, capsys):
    rows = [
        {"content": f"hsx://demo_faces/contents/{c}.png", "style": "hsx://demo_faces/styles/none_4.png"} for c in FEW
    ]
    words = [f"--data.pairs={json.dumps(rows)}", "--model.backbone", "hsx://demo_faces", "--output_dir", str(tmp_path)]
    assert main(["sweep", *words, "--quick", *BARE]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Content is carried by h (donor ") and "Tried around it, with 2 pairs: gamma 1 | " in said
    assert inverted(said) in (1, 3)  # with a donor that inverts contents too
    evaluations = int(re.search(r"(\d+) evaluations of the network over 18 settings", said)[1])
    assert evaluations <= 18 * 2 * 40
    config = yaml.safe_load((tmp_path / "recommended.yaml").read_text())
    assert config["model"]["solver"]["class_path"] == "hsx.strategies.MultistepV" and config["data"]["pairs"] == rows
    assert main(["sweep", *words, "--quick", *BARE]) == 0
    again = capsys.readouterr()
    assert "probing" not in again.err and "0 evaluations of the network over 18 settings" in again.out


def test_results_of_other_settings_are_not_taken_for_those_that_are_asked_for(tiny_model, pictures, capsys):
    assert sweep(tiny_model, pictures, "out", *OVER, *BARE) == 0
    before = {name: (pictures / "out" / name).read_bytes() for name in ("sweep.json", "recommended.yaml")}
    assert sweep(tiny_model, pictures, "out", *OVER, *BARE, "--model.t_edit", "300") == 2
    said = capsys.readouterr().err
    assert "of other settings" in said and "expected results of at least one setting" in said
    assert {name: (pictures / "out" / name).read_bytes() for name in before} == before


def test_a_sweep_and_a_run_do_not_share_a_folder(tiny_model, pictures, capsys):
    run = pictures / "run"
    assert main(["predict", *words(tiny_model, pictures, "run", *BARE)]) == 0
    before = {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()}
    assert sweep(tiny_model, pictures, "run", *OVER) == 2
    assert "expected a folder for a sweep" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*.*") if path.is_file()} == before
    (pictures / "swept").mkdir()
    (pictures / "swept" / "sweep.json").write_text("{}")
    assert main(["predict", *words(tiny_model, pictures, "swept", *BARE)]) == 2
    assert "expected a folder for a run" in capsys.readouterr().err
    assert not (pictures / "swept" / "results.jsonl").exists()
