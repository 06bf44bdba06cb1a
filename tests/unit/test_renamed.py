"""Old names of classes and options work for one release: in Python, in configs and in records, each with a warning."""

import copy
import importlib
import pickle

import pytest
import torch
import yaml

import hsx
from hsx import metrics, strategies
from hsx.cli import main
from hsx.plugins import registry as plugins
from hsx.runner.remake import _strategy
from hsx.store.records import record_of
from hsx.strategies import AdaIN, Identity, IteratedLatent, Normalizer
from hsx.testing import check_strategy

NAMES = {
    "AuthorsMask": "PaperFaceMask",
    "ChannelMoments": "AdaIN",
    "Unchanged": "Identity",
    "Uncalibrated": "NoCalibration",
}


@pytest.mark.parametrize("old", [*NAMES, "Structure"])
def test_a_class_has_its_old_name_too(old, caplog):
    home = metrics if old == "Structure" else strategies
    new = getattr(home, {**NAMES, "Structure": "SSIM"}[old])
    alias = getattr(importlib.import_module(new.__module__), old)
    assert getattr(home, old) is alias and old not in home.__all__
    assert type(alias()) is new and isinstance(new(), alias) and issubclass(new, alias)
    assert f"{old} is now called {new.__name__}; the old name goes with release 0.2" in caplog.text


def test_an_old_name_is_a_class_like_another(caplog):
    class Mine(strategies.Unchanged):
        """Derived from an old name."""

        def __init__(self, part=0.5):
            self.part = part

    mine = Mine(0.25)
    assert type(mine) is Mine and mine.part == 0.25 and mine.config()["init_args"] == {"part": 0.25}
    assert isinstance(mine, Identity) and isinstance(mine, Normalizer) and not isinstance(Identity(), Mine)
    assert not isinstance(AdaIN(), strategies.Unchanged)
    check_strategy(strategies.ChannelMoments)
    for made in (copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))):
        assert type(made(strategies.Unchanged())) is Identity


def test_records_and_lists_have_new_names_alone():
    made = strategies.Unchanged()
    assert made.config() == {"class_path": "Identity", "init_args": {}} and made.record() == Identity().record()
    listed = {item.name for item in plugins.load().items}
    assert listed >= {*NAMES.values(), "SSIM"} and not listed & {*NAMES, "Structure"}


def test_an_option_has_its_old_name_too(caplog, capsys):
    old, new = IteratedLatent(0.1, most=2), IteratedLatent(0.1, max_iterations=2)
    assert old.max_iterations == 2 and old.config() == new.config() and old.record() == new.record()
    assert "IteratedLatent's most is now called max_iterations" in caplog.text
    assert new.config()["init_args"] == {"omega": 0.1, "tolerance": 0.05, "max_iterations": 2}
    with pytest.raises(TypeError, match="least"):
        IteratedLatent(least=2)
    with pytest.raises(hsx.HsxError, match="max_iterations: expected 1 or more applications, got 0"):
        IteratedLatent(most=0)
    assert main(["plugins", "IteratedLatent"]) == 0
    assert "max_iterations" in (page := capsys.readouterr().out) and "most " not in page and "renamed" not in page


@pytest.mark.parametrize("name", ["Unchanged", "hsx.strategies.Unchanged", "hsx.strategies.normalizers.Unchanged"])
@pytest.mark.parametrize("in_file", [True, False])
def test_a_config_and_a_command_line_may_say_old_names(tiny_model, pictures, caplog, name, in_file):
    model = {"backbone": str(tiny_model), "generation_steps": 8, "inversion_steps": 4, "blend": "AuthorsMask"}
    model["calibrator"] = {"class_path": "IteratedLatent", "init_args": {"most": 3}}
    data = {"contents": str(pictures / "contents" / "c0.png"), "styles": str(pictures / "styles" / "s0.png")}
    said = [] if in_file else ["--model.normalizer", name, "--model.calibrator.most", "2"]
    config = {"output_dir": str(pictures / "out"), "model": {**model, "normalizer": name} if in_file else model}
    (pictures / "old.yaml").write_text(yaml.safe_dump({**config, "data": data}))
    assert main(["predict", "--config", str(pictures / "old.yaml"), *said]) == 0
    for new in ("Unchanged is now called Identity", "AuthorsMask is now called Paper", "most is now called max_"):
        assert caplog.text.count(new) == 1
    made = record_of(next((pictures / "out").glob("*__*.png")))["model"]
    assert [made[kind]["class_path"] for kind in ("blend", "normalizer")] == ["PaperFaceMask", "Identity"]
    assert made["calibrator"]["init_args"]["max_iterations"] == (3 if in_file else 2)


def test_an_old_record_is_understood(caplog):
    plugins.load()
    assert type(_strategy({"class_path": "ChannelMoments", "init_args": {}})) is AdaIN
    given = {"class_path": "IteratedLatent", "init_args": {"omega": 0.3, "tolerance": 0.05, "most": 2}}
    assert _strategy(given).config() == IteratedLatent(max_iterations=2).config()
    assert "ChannelMoments is now called AdaIN" in caplog.text and "max_iterations" in caplog.text
    h = torch.rand(2, 4, 8, 8)
    assert torch.equal(strategies.ChannelMoments()(h, h.flip(0)), AdaIN()(h, h.flip(0)))
