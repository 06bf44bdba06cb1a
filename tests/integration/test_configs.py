"""Every config runs: with a small network and small pictures in the places that it names."""

from pathlib import Path

import pytest
import yaml

import hsx
from hsx.cli import main
from hsx.strategies import MultistepV

CONFIGS = sorted(p for p in (Path(__file__).parents[2] / "configs").glob("*.yaml") if p.stem != "demo")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_a_config_runs_as_it_stands_but_for_model_data_and_steps(config, tiny_model, pictures, monkeypatch):
    monkeypatch.chdir(pictures)
    if config.stem == "celeba_hq":  # the authors' mask is for h of 8 x 8, which the tiny network has
        assert hsx.load_backbone(tiny_model).h_shape[1:] == (8, 8)
    assert (
        main(
            [
                "predict",
                "--config",
                str(config),
                "--model.backbone",
                str(tiny_model),
                "--data.contents",
                "contents",
                "--data.styles",
                "styles",
                "--model.generation_steps",
                "50",
                "--model.inversion_steps",
                "5",
            ]
        )
        == 0
    )
    assert len(list((pictures / "outputs" / config.stem).glob("*__*.png"))) == 6


@pytest.mark.parametrize("config", [p for p in CONFIGS if p.stem != "plain"], ids=lambda p: p.stem)
def test_the_fast_variant_stands_beside_the_authors_settings(config, tiny_model):
    lines = config.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("  # Fast: in place of these three"))
    given = yaml.safe_load("\n".join(lines[begin - 3 : begin]))
    assert given.keys() == {"inversion_steps", "generation_steps", "injection_steps"}
    fast = yaml.safe_load("\n".join(line.removeprefix("  # ") for line in lines[begin + 2 : begin + 6]))
    assert fast == {"inversion_steps": 20, "generation_steps": 20, "solver": "MultistepV", "same_strength_as": 50}
    assert yaml.safe_load(config.read_text())["model"].keys() & {"solver", "same_strength_as"} == set()
    for options, pair in ((given, 1015), (fast, 26)):
        model = options | {"solver": MultistepV()} if "solver" in options else options
        transfer = hsx.Transfer(hsx.load_backbone(tiny_model), **model, t_boost=0)
        steps, injects = len(transfer.timesteps), len([t for t in transfer.injects if t in transfer.timesteps])
        assert steps + injects / 2 == pair and len(transfer.timesteps) == options["generation_steps"]


@pytest.mark.parametrize("config", [p for p in CONFIGS if p.stem != "plain"], ids=lambda p: p.stem)
def test_a_missing_checkpoint_is_named_with_its_home(config, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    source = yaml.safe_load(config.read_text())["model"]["backbone"]
    if source.startswith("google/"):
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        source = "nobody/" + source.split("/")[1]  # never in this machine's cache
    assert main(["predict", "--config", str(config), "--model.backbone", source]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"hsx: error: {source}: expected")
    if source.startswith("checkpoints/"):
        assert f"get {Path(source).name} from " in lines[0] and "github.com/" in lines[0]
    assert not list(tmp_path.iterdir())
