"""``hsx probe``: what it says of networks that are known, what it writes, and what it refuses."""

import json

import pytest
import yaml
from PIL import Image

from hsx.cli import main

from ..conftest import picture

DEMO = ["--contents", "hsx://demo_faces/contents", "--styles", "hsx://demo_faces/styles"]


def words(model, folder, *more) -> list[str]:
    places = ["--contents", str(folder / "contents"), "--styles", str(folder / "styles")]
    return ["probe", str(model), *places, "--output_dir", str(folder / "out"), *more]


def test_of_random_weights_it_says_that_nothing_carries_and_shows_it(tiny_model, pictures, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")  # a table as wide as it needs
    (pictures / "contents" / "broken.png").write_bytes(b"no picture")
    assert main(words(tiny_model, pictures, "--pairs", "6")) == 0
    said = capsys.readouterr()
    assert "Nothing carries" in said.out and "down_blocks.0.resnets.0" in said.out
    assert "5 pairs" not in said.err and "6 pairs, at most 60 evaluations of the network each: about " in said.err
    assert "broken.png" in said.err and "contents: 1 could not be read, 3 are used" in said.err
    assert [path.name for path in (pictures / "out").iterdir()] == ["probe.png"]
    with Image.open(pictures / "out" / "probe.png") as sheet:
        assert sheet.width > 9 * 96 and sheet.height > 6 * 96  # four pictures of the pair and five sites
    assert main(words(tiny_model, pictures, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["carries"] is False and found["best"] is None and found["runs"] == [] and found["evaluations"] <= 60
    assert {one["donor"] for one in found["single_steps"]} == {"Renoised", "Inverted"}
    assert {site for one in found["single_steps"] for site in one["sites"]} >= {"h", "conv_in"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--pairs", "1"], "pairs: expected 2 or more (pairs of pictures), a whole number, got 1"),
        (["--seed", "-1"], "seed: expected 0 to "),
        (["--output_dir", " "], "output_dir: expected a folder, got an empty name"),
        (["--styles", "nowhere"], "styles: expected a picture or a folder of pictures, found nothing at nowhere"),
        (["--steps", "4"], "steps"),
        (["--image_size", "17"], "image_size"),
    ],
)
def test_a_slip(tiny_model, pictures, capsys, more, said):
    assert main(words(tiny_model, pictures, *more)) == 2
    line = capsys.readouterr().err
    assert line.startswith("hsx: error: ") and said in line and line.count("\n") == 1


def test_it_needs_pictures_for_two_pairs_and_a_folder_of_its_own(tiny_model, tmp_path, capsys):
    for of in ("contents", "styles"):
        picture(tmp_path / of / "a.png", 1 + len(of))
    assert main(words(tiny_model, tmp_path)) == 2
    assert (
        "expected pictures for two or more pairs, got 1 contents and 1 styles, which make 1" in capsys.readouterr().err
    )
    picture(tmp_path / "styles" / "b.png", 3)
    (tmp_path / "out" / "probe.yaml").write_text("mine: 1\n")
    assert main(words(tiny_model, tmp_path)) == 2
    assert "expected a folder whose probe.yaml hsx may write" in capsys.readouterr().err
    assert (tmp_path / "out" / "probe.yaml").read_text() == "mine: 1\n"


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
def test_the_demo_model_takes_content_from_h_at_low_noise_and_the_config_runs(tmp_path, capsys):
    assert main(["probe", "hsx://demo_faces", *DEMO, "--output_dir", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["carries"] and found["best"]["sites"] == ["h"] and found["evaluations"] <= 60
    assert (found["best"]["t_hi"], found["best"]["t_lo"]) == (50, 0)
    config = yaml.safe_load((tmp_path / "probe.yaml").read_text())
    assert config["model"]["schedule"] == {"class_path": "Interval", "init_args": {"gamma": 1.0, "t_hi": 50, "t_lo": 0}}
    few = ["--data.pairing", "random", "--model.generation_steps", "5", "--model.injection_steps", "5"]
    assert main(["predict", "--config", str(tmp_path / "probe.yaml"), *few, "--model.inversion_steps", "5"]) == 0
    assert len(list((tmp_path / "transfer").glob("*__*.png"))) == 8


@pytest.mark.slow
@pytest.mark.usefixtures("all_cores")
def test_the_ordinary_model_takes_it_from_its_deepest_sites_at_high_noise(tmp_path, capsys):
    assert main(["probe", "hsx://plain_faces", *DEMO, "--output_dir", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    best = found["best"]
    assert found["carries"] and best["donor"] == "Renoised" and best["t_hi"] == 600 and found["evaluations"] <= 60
    assert "h" in best["sites"] and {*best["sites"]} <= {"h", "down_blocks.3.resnets.0", "down_blocks.2.downsamplers.0"}
