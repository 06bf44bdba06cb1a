"""What a strategy and a module say of themselves is what a config takes."""

import copy
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import hsx
from hsx import strategies
from hsx.cli import main
from hsx.io.images import read_image, to_picture
from hsx.plugins import registry as plugins
from hsx.runner.model import TransferModel, anywhere
from hsx.strategies import Blend, Constant, Frobenius, Latent, Lerp, Masked, Slerp, SphericalMean, Table
from hsx.strategies.base import KINDS
from hsx.testing import check_strategy

from ..conftest import picture
from .test_contract import GIVEN

ALL = plugins.load().of(*KINDS)


def again(config):
    """The object of a config."""
    given = {
        name: again(value) if isinstance(value, dict) and "class_path" in value else value
        for name, value in config["init_args"].items()
    }
    return ALL[config["class_path"]](**given)


@pytest.mark.parametrize("name", ALL)
def test_every_listed_one_can_be_made_again(name, tmp_path):
    made = ALL[name](**GIVEN.get(name, lambda folder: {})(tmp_path))
    config = made.config()
    assert config["class_path"] == name and config == yaml.safe_load(yaml.safe_dump(config))
    assert again(config).config() == config and again(config).record() == made.record()
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.config() == config and other.record() == made.record()


def test_names_and_defaults_are_the_constructors():
    assert Constant().config() == {"class_path": "Constant", "init_args": {"gamma": 0.3}}
    assert Constant(0.37).config()["init_args"] == {"gamma": 0.37}
    assert strategies.Cosine(end=0.1).config()["init_args"] == {"start": 0.6, "end": 0.1}  # an inherited constructor
    assert Slerp().config() == {"class_path": "Slerp", "init_args": {}}
    assert Constant(np.float64(0.5)).config()["init_args"] == {"gamma": 0.5}


def test_a_list_that_changes_later_changes_nothing():
    values = [0.1, 0.2]
    table = Table(values)
    values.append(9)
    table.values.append(9)
    assert table.config()["init_args"] == {"values": [0.1, 0.2]}


class Hands(Constant):
    """Hands its arguments on."""

    def __init__(self, *args, power=2, **options):
        super().__init__(*args, **options)
        self.power = power


class Changes(Lerp):
    """Changes what it is given, and keeps nothing of it in public."""

    def __init__(self, weights, /, *, deep=None):
        self._first = weights.pop()


@dataclass(frozen=True)
class Frozen(Blend):
    strength: float = 0.5

    def __call__(self, h, content_h, gamma, mask=None):
        return Slerp()(h, content_h, gamma * self.strength, mask)


class Own(Slerp):
    """A ``__new__`` of its own."""

    def __new__(cls, *args, **options):
        return super().__new__(cls, *args, **options)

    def __init__(self, a=1):
        self.a = a


@pytest.mark.parametrize(
    "made, given",
    [
        (Hands(0.4), {"power": 2, "gamma": 0.4}),
        (Hands(gamma=0.4, power=3), {"power": 3, "gamma": 0.4}),
        (
            Changes([1, 2], deep={"a": Lerp()}),
            {"weights": [1, 2], "deep": {"a": {"class_path": "Lerp", "init_args": {}}}},
        ),
        (Frozen(0.7), {"strength": 0.7}),
        (Frozen(), {"strength": 0.5}),
        (Own(), {"a": 1}),
        (Own(2), {"a": 2}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_class_without_its_help(made, given):
    config = made.config()
    assert config == {"class_path": f"{type(made).__module__}.{type(made).__qualname__}", "init_args": given}
    assert pickle.loads(pickle.dumps(made)).config() == copy.deepcopy(made).config() == config
    assert not {**given, **made.record()}.keys() - made.record().keys()  # all of it tells results apart


class Reads(Constant):
    """Reads a file that it does not declare as a path, and keeps something else in private."""

    extra = 0

    def __init__(self, file, gamma=0.3):
        super().__init__(gamma)
        self._extra = self.extra


def test_files_private_values_and_code_tell_results_apart(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("1")
    found = [Reads(str(file)).record()]
    assert Reads(str(file)).record() == found[0]
    file.write_text("2")
    found.append(Reads(str(file)).record())
    found.append(Reads([str(file)]).record())
    monkeypatch.setattr(Reads, "extra", 1)
    found.append(Reads(str(file)).record())
    monkeypatch.setattr(Reads, "gamma", lambda self, t: self.value / 2)
    found.append(Reads(str(file)).record())
    arrays = np.zeros((2, 2000)), np.eye(2, 2000), np.zeros(4000)  # whose repr is the same, or their bytes
    found += [Reads(array).record() for array in (*arrays, *map(torch.from_numpy, arrays))]
    assert len({json.dumps(each, sort_keys=True) for each in found}) == len(found)


def test_wrong_arguments_are_still_the_constructors_business():
    with pytest.raises(TypeError):
        Slerp(3)
    with pytest.raises(TypeError, match="gama"):
        Constant(gama=0.3)
    with pytest.raises(hsx.HsxError):
        Constant(3)
    check_strategy(Frozen())


def test_paths_are_absolute_and_hsx_paths_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = picture(tmp_path / "m.png", 1)
    inner = SphericalMean(["m.png", "hsx://demo_faces/README.md"], [1, 1, 1])
    config = Masked("./x/../m.png", inner).config()["init_args"]
    assert config["mask"] == str(mask)
    assert config["blend"]["init_args"] == {"contents": [str(mask), "hsx://demo_faces/README.md"], "weights": [1, 1, 1]}
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Masked("~/m.png").config()["init_args"]["mask"] == str(mask)
    assert "m.png" not in str(Masked("m.png", inner).record())


def test_a_module_says_all_that_its_section_of_a_config_takes(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tiny_model.parent)
    module = TransferModel(
        {"source": tiny_model.name, "dtype": "float64"},
        Table([0.1, 0.9]),
        Masked(str(picture(tmp_path / "m.png", 1)), feather=0.1),
        Frobenius(),
        Latent(0.2),
        6,
        8,
        100,
    )
    config = module.config
    assert config["backbone"] == {"source": str(tiny_model), "dtype": "float64"}
    assert (
        config.items()
        >= {
            "inversion_steps": 6,
            "generation_steps": 8,
            "injection_steps": 8,
            "t_start": 999,
            "t_edit": 400,
            "t_boost": 200,
            "dt_lambda": 1.0,
            "dt_end": 950,
        }.items()
    )
    assert "seed" not in config  # which seed_everything says
    monkeypatch.chdir(tmp_path)
    plain = {
        **config,
        **{kind: again(config[kind]) for kind in KINDS},
    }
    assert (
        TransferModel(**plain).fingerprints("32-true", "float16").settings
        == module.fingerprints("32-true", "float16").settings
    )
    assert TransferModel(**plain).config == config
    (tmp_path / "made.yaml").write_text(
        yaml.safe_dump(
            {"model": config, "data": {"contents": "hsx://demo_faces/contents", "styles": "hsx://demo_faces/styles"}}
        )
    )
    assert main(["predict", "--config", "made.yaml", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)["model"]
    assert printed["schedule"]["init_args"] == {"values": [0.1, 0.9]} and printed["injection_steps"] == 8
    plain = TransferModel(str(tiny_model), Constant(), Slerp(), Frobenius(), Latent())
    assert plain.config["backbone"] == str(tiny_model)


def test_sources_from_anywhere():
    assert anywhere("https://me:secret@host:8080/a/b.pt?X-Amz-Signature=1#x") == "https://host:8080/a/b.pt?…"
    assert anywhere("hsx://demo_faces") == "hsx://demo_faces"
    assert anywhere("google/ddpm-celebahq-256") == "google/ddpm-celebahq-256"


# ------------------------------------------------------------------------------------------------------- promises
def wide(path):
    """A picture and a mask that are not square: dark left, light right."""
    values = np.zeros((8, 32, 3), np.uint8)
    values[:, 16:] = 255
    Image.fromarray(values).save(path)
    return str(path)


def test_the_fit_of_pictures_holds_for_masks_and_further_contents(tiny_model, tmp_path):
    net, path = hsx.load_backbone(tiny_model), wide(tmp_path / "w.png")
    x = torch.rand(2, 3, 16, 16) * 2 - 1

    def made(blend, fit):
        return hsx.Transfer(
            net, Constant(1.0), blend, t_edit=0, t_boost=0, inversion_steps=4, generation_steps=4, fit=fit
        )(x[:1], x[1:])

    for make, size in ((Masked, 256), (lambda p: SphericalMean([p]), 16), (lambda p: Masked(p, SphericalMean([p])), 0)):
        results = {fit: made(make(path), fit) for fit in ("crop", "pad", "stretch")}
        assert not torch.equal(results["crop"], results["pad"]) and not torch.equal(results["pad"], results["stretch"])
        for fit, result in results.items() if size else ():  # as if the file had been made square so before
            square = tmp_path / f"{fit}.png"
            to_picture(read_image(Path(path), size, fit)).save(square)
            torch.testing.assert_close(made(make(str(square)), "crop"), result, atol=1e-4, rtol=0)


class Remembers(strategies.Identity):
    """A normalizer, with another inside, that keeps something."""

    def __init__(self):
        self.seen, self.inner = [], strategies.Identity()

    def __call__(self, content_h, h):
        self.seen.append(len(h))
        return self.inner(content_h, h)


def test_every_strategy_belongs_to_its_transfer(tiny_model):
    net = hsx.load_backbone(tiny_model)
    given = {"schedule": strategies.Linear(), "blend": Slerp(), "normalizer": Remembers(), "calibrator": Latent(0.2)}
    transfer = hsx.Transfer(net, inversion_steps=4, generation_steps=4, t_edit=0, **given)
    for kind, strategy in given.items():
        assert getattr(transfer, kind) is not strategy and type(getattr(transfer, kind)) is type(strategy)
    assert transfer.normalizer.inner is not given["normalizer"].inner
    transfer(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))
    assert transfer.normalizer.seen and not given["normalizer"].seen
