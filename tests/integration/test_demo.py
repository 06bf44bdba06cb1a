"""The demo model, the README and the configs, as they stand."""

import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import hsx
from hsx.cli import main
from hsx.strategies import Constant, Identity, Interval

from ..conftest import picture

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
sys.path.insert(0, str(ROOT / "examples" / "demo_faces"))


@pytest.fixture(autouse=True)
def at_the_root_on_all_cores(monkeypatch, all_cores):
    monkeypatch.chdir(ROOT)


def test_the_readme_has_exactly_two_one_line_commands():
    section = README.split("## Two commands")[1].split("\n## ")[0]
    assert re.findall(r"^    (.+)$", section, re.M) == [
        "pip install . && hsx predict --config configs/demo.yaml",
        'pip install -e ".[dev]" && pytest',
    ]


def test_the_main_job(tmp_path, capsys):
    from evaluate import to_tensor
    from measure import psnr
    from poster_faces import render
    from samples import chosen

    assert main(["predict", "--config", "configs/demo.yaml", "--output_dir", str(tmp_path / "out")]) == 0
    assert "48 pictures made" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*__*.png"))) == 48
    assert Image.open(tmp_path / "out" / "grid.png").size == (7 * 130 + 2, 9 * 130 + 2)
    contents, styles = chosen(64)
    made = np.stack([Image.open(tmp_path / "out" / f"{c}__{s}.png") for c in contents for s in styles])
    truth = np.stack([render(content, style, 64) for content, _ in contents.values() for _, style in styles.values()])
    assert len(made) == 48 and psnr(to_tensor(made), to_tensor(truth)).mean() >= 24
    assert "    hsx evaluate outputs/demo\n" in README and main(["evaluate", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())["measures"]
    assert found["Layout"]["mean"] > 0.95 and found["Overall"]["low"] > 0.5


@pytest.mark.slow
def test_the_sweep_of_the_readme(tmp_path):
    line = next(line.strip() for line in README.splitlines() if line.startswith("    hsx sweep"))
    assert main([*shlex.split(line)[1:], "--output_dir", str(tmp_path)]) == 0
    recommended = yaml.safe_load((tmp_path / "recommended.yaml").read_text())
    assert recommended["model"]["schedule"]["init_args"]["gamma"] == 1
    assert len(list(tmp_path.glob("settings/*/metrics.json"))) == 12


def test_ones_own_two_folders_with_the_demo_model(tmp_path):
    line = next(line.strip() for line in README.splitlines() if "--data.contents my/contents" in line)
    picture(tmp_path / "my" / "contents" / "a.jpg", 1, (50, 37))
    picture(tmp_path / "my" / "styles" / "b.webp", 2, (37, 50))
    words = [w.replace("my/", f"{tmp_path}/my/") for w in shlex.split(line)]
    assert words[0] == "hsx" and main([*words[1:], "--output_dir", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a__b.png").exists()


def test_the_python_of_the_readme(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    monkeypatch.chdir(tmp_path)
    subprocess.run([sys.executable, "-c", code], check=True)
    assert Image.open(tmp_path / "first.png").size == (64, 64)


def test_the_config_of_the_readme_is_understood(tmp_path, capsys):
    (tmp_path / "my.yaml").write_text(re.search(r"```yaml\n(.*?)```", README, re.S)[1])
    (tmp_path / "data").mkdir()
    assert main(["predict", "--config", str(tmp_path / "my.yaml"), "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["backbone"]["num_head_channels"] == 64
    assert main(["predict", "--config", str(tmp_path / "my.yaml")]) == 2
    assert "found nothing" in capsys.readouterr().err


def test_the_step_is_a_page():
    assert len((ROOT / "hsx" / "method" / "step.py").read_text().splitlines()) <= 100


@pytest.mark.slow
def test_the_demo_model_against_the_truth():
    from baselines import recolour
    from evaluate import held_out
    from measure import psnr
    from shipped import shipped

    backbone = hsx.load_backbone("hsx://demo_faces")
    pairs = held_out(16, backbone.sample_size)
    contents, styles, truth = pairs.content, pairs.style, pairs.truth
    transfer = shipped(backbone)
    assert isinstance(transfer.normalizer, Identity) and isinstance(transfer.schedule, Interval)
    content, style = transfer.invert(contents), transfer.invert(styles)
    ours = psnr(transfer.inject(content, style).clamp(-1, 1), truth).mean()
    assert ours >= 20
    assert ours > psnr(recolour(contents, styles), truth).mean() + 5
    assert ours > psnr((contents + styles) / 2, truth).mean() + 5
    back = psnr(shipped(backbone, schedule=Constant(0.0)).inject(content, style).clamp(-1, 1), styles)
    assert back.mean() >= 32


def test_the_shipped_pictures_come_from_their_script(tmp_path):
    from samples import main as draw

    draw(tmp_path)
    for folder in ("contents", "styles", "outside"):
        kept = ROOT / "hsx" / "assets" / "demo_faces" / folder
        assert {p.name for p in kept.iterdir()} == {p.name for p in (tmp_path / folder).iterdir()}


def test_a_mistake_ends_a_script_with_one_line(tmp_path, monkeypatch, capsys):
    sheet = str(tmp_path / "sheet.png")
    monkeypatch.setattr(sys, "argv", ["noise.py", "hsx://demo_faces", sheet, "--t_start", "2000"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("examples/demo_faces/noise.py", run_name="__main__")
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("noise.py: error: t_start: expected 1 to 999")
    assert not list(tmp_path.iterdir())


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    import train

    def run(name, iterations, last):
        monkeypatch.setattr(
            sys,
            "argv",
            [
                "train.py",
                str(tmp_path / name),
                "--size",
                "32",
                "--faces",
                "8",
                "--chunk",
                "2",
                "--iterations",
                str(iterations),
                "--stop",
                str(last),
            ],
        )
        train.main()
        return torch.load(tmp_path / name / "last.ckpt", weights_only=True)

    whole = run("whole", 4, 4)
    run("stopped", 4, 2)
    again = run("stopped", 4, 4)
    assert whole["global_step"] == again["global_step"] == 4
    for key, value in whole["state_dict"].items():
        torch.testing.assert_close(again["state_dict"][key], value, atol=1e-5, rtol=1e-4)


def test_training_refuses_another_networks_state(tmp_path, monkeypatch, capsys):
    import train

    words = ["train.py", str(tmp_path), "--size", "32", "--faces", "4", "--iterations", "1"]
    for more, said in (
        (["--weights", "hsx/assets/demo_faces"], "--weights: expected weights of this network"),
        ([], "last.ckpt: expected the state of such a training"),
    ):
        monkeypatch.setattr(sys, "argv", [*words, *more])
        with pytest.raises(SystemExit) as ended:
            train.main()
        assert ended.value.code == 2 and said in capsys.readouterr().err
        assert not (tmp_path / "faces.npy").exists()  # it is said before anything is drawn
        torch.save({"state_dict": {"net.weight": torch.zeros(1)}}, tmp_path / "last.ckpt")


@pytest.mark.parametrize("script", ["train", "ship"])
@pytest.mark.parametrize("content", [b"no checkpoint", {"state_dict": {"net.weight": torch.zeros(1)}}, {}])
def test_a_file_that_is_no_training_state_ends_in_one_line(script, content, tmp_path, monkeypatch, capsys):
    last = tmp_path / "last.ckpt"
    last.write_bytes(content) if isinstance(content, bytes) else torch.save(content, last)
    more = ["--size", "32", "--faces", "4"] if script == "train" else [str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", [f"{script}.py", str(tmp_path), *more])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(script).main()
    said = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2 and "last.ckpt: expected the state of " in said
    assert not (tmp_path / "out").exists()
