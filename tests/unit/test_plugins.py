"""What plugins supply is used like what is built in; what is broken is left out alone, with its cause."""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import torch

import hsx
from hsx import hookimpl, metrics, strategies
from hsx.backbones.family import Family
from hsx.backbones.hooked import HookedBackbone
from hsx.cli import main
from hsx.plugins import registry as plugins
from hsx.strategies.base import KINDS


class Odd(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.middle = torch.nn.Conv2d(3, 3, 1)
        self.middle.weight.data[:] = weight

    def forward(self, x, t):
        return self.middle(x)


class OddFamily(Family):
    """A network of nobody's, by a hook at its middle."""

    name = "odd"

    def recognises(self, state):
        if "bad.weight" in state:
            raise KeyError("on purpose")
        return "odd.weight" in state

    def build(self, state, options, path):
        backbone = HookedBackbone(Odd(state["odd.weight"]), "middle", sample_size=options.image_size or 8)
        backbone.family = self.name
        return backbone


class Half(strategies.BlendingSchedule):
    """Always a half."""

    def gamma(self, t: int) -> float:
        return 0.5


class Raising(Half):
    """Never ends well."""

    def gamma(self, t: int) -> float:
        return 1 / 0


class Unfinished(strategies.BlendingSchedule):
    pass


class NameOnly(Family):
    name = "ddpm"

    def recognises(self, state):
        return False

    def build(self, state, options, path):
        raise NotImplementedError


def module(hook=None, gives=(), name="strange"):
    """A plugin whose hook of that name gives these classes, or raises this exception."""
    made = ModuleType(name)

    def implementation():
        if isinstance(gives, BaseException):
            raise gives
        return gives

    if hook:
        implementation.__name__ = hook
        setattr(made, hook, hookimpl(implementation))
    return made


def inner():
    class Inner(Half):
        pass

    return Inner


@pytest.fixture
def registry():
    found = plugins.Registry()
    found.add("hsx", "hsx", hsx.__version__, plugins._built_in)
    assert not found.broken
    return found


@pytest.fixture
def installed(registry, monkeypatch):
    monkeypatch.setattr(plugins, "load", lambda: registry)
    monkeypatch.setattr("hsx.commands.plugins.load", lambda: registry)
    return registry


def test_the_built_ins_are_registered_as_a_plugin_is(registry):
    shown = {
        name
        for name in strategies.__all__
        if name not in ("Strategy", "BlendingSchedule", "Blend", "Normalizer", "Calibrator", "Donor", "Solver")
    }
    assert shown == registry.of("schedule", "blend", "normalizer", "calibrator", "donor", "solver").keys()
    assert registry.of("backbone").keys() == {"ddpm", "adm", "iddpm", "unet2d"}
    assert registry.of("metric").keys() == set(metrics.__all__) - {"Metric", "MeanMetric"}
    assert all(item.line.endswith((".", "?")) or "." in item.line for item in registry.items)


def test_a_kind_is_declared_once():
    """By its abstract class; the option of that name takes it, and all else follows."""
    assert {"schedule": strategies.BlendingSchedule, "blend": strategies.Blend} | {
        "normalizer": strategies.Normalizer,
        "calibrator": strategies.Calibrator,
        "donor": strategies.Donor,
        "solver": strategies.Solver,
    } == KINDS
    defaults = {option.name: option.default_factory for option in fields(hsx.TransferConfig)}
    for kind, base in KINDS.items():
        assert base.kind == kind and issubclass(defaults[kind], base) and base.usual.startswith(defaults[kind].__name__)
    assert [*KINDS, "backbone", "metric"] == plugins.KINDS


def test_strategies_open_no_pictures():
    """A Transfer gives them what reads theirs."""
    for path in Path(strategies.__file__).parent.glob("*.py"):
        assert not re.search(r"PIL|read_image|read_mask", path.read_text()), path


def test_a_family_from_a_plugin(installed, tmp_path):
    installed.add("odd", "hsx-odd", "1", lambda: module("hsx_backbones", [OddFamily]))
    torch.save({"odd.weight": torch.ones(3, 3, 1, 1)}, tmp_path / "odd.pt")
    net = hsx.load_backbone(tmp_path / "odd.pt", image_size=4)
    assert net.family == "odd" and net.encode(torch.ones(1, 3, 4, 4), torch.tensor([0])).h.shape == (1, 3, 4, 4)


def test_a_strategy_that_raises_is_named_after_the_traceback(installed, tiny_model, pictures, capsys):
    installed.add("strange", "hsx-strange", "0.3", lambda: module("hsx_strategies", [Raising]))
    assert (
        main(
            [
                "predict",
                "--model.backbone",
                str(tiny_model),
                "--data.contents",
                str(pictures / "contents"),
                "--data.styles",
                str(pictures / "styles"),
                "--output_dir",
                str(pictures / "out"),
                "--model.schedule",
                f"{__name__}.Raising",
                "--model.inversion_steps",
                "2",
            ]
        )
        == 1
    )
    *said, last = capsys.readouterr().err.splitlines()
    assert said[-1] == "ZeroDivisionError: division by zero" and "in gamma" in "".join(said)
    assert last == (
        "hsx: error: Raising of hsx-strange 0.3 raised this ZeroDivisionError; tell its author, or name another class"
    )


def test_a_family_that_raises_while_it_looks_is_passed_over(installed, tmp_path, caplog):
    installed.add("odd", "hsx-odd", "1", lambda: module("hsx_backbones", [OddFamily]))
    torch.save({"bad.weight": torch.ones(3, 3, 1, 1)}, tmp_path / "bad.pt")
    with pytest.raises(hsx.BackboneError, match="bad.pt: expected the weights of"):
        hsx.load_backbone(tmp_path / "bad.pt")
    assert "the backbone family odd is left out (KeyError: 'on purpose')" in caplog.text


@pytest.mark.parametrize(
    "load, cause",
    [
        (lambda: module("hsx_strategies", RuntimeError("on\npurpose")), "RuntimeError: on"),
        (lambda: module("hsx_strategies", SystemExit(3)), "SystemExit: 3"),
        (
            lambda: module("hsx_strategys", [Half]),
            "unknown hook 'hsx_strategys'; expected hsx_strategies, hsx_backbones or hsx_metrics",
        ),
        (lambda: module(), "it has no hook; mark hsx_strategies"),
        (lambda: module("hsx_strategies", Half), "expected a list of classes, got the class Half"),
        (lambda: module("hsx_strategies", [Half()]), "or Donor or Solver, got an object of Half"),
        (lambda: module("hsx_strategies", [Half, OddFamily]), "expected a class of BlendingSchedule or Blend"),
        (lambda: module("hsx_metrics", [Half]), "expected a class of Metric, got the class Half"),
        (lambda: module("hsx_strategies", [Unfinished]), "Unfinished lacks gamma"),
        (lambda: module("hsx_strategies", [inner()]), "Inner cannot be imported from"),
        (lambda: module("hsx_strategies", [Half, Half]), "the name Half is taken by hsx-strange"),
        (lambda: module("hsx_strategies", [Half, strategies.Cosine]), "the name Cosine is taken by hsx"),
        (lambda: module("hsx_backbones", [NameOnly]), "the name ddpm is taken by hsx"),
        (lambda: __import__("nowhere_at_all"), "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        (lambda: exec("def f(:"), "SyntaxError: "),
    ],
)
def test_a_broken_plugin_is_left_out_whole_with_its_cause(registry, caplog, load, cause):
    before = list(registry.items)
    registry.add("strange", "hsx-strange", "0.3", load)
    assert registry.items == before
    (broken,) = registry.broken
    assert (broken.plugin, broken.package, broken.version) == ("strange", "hsx-strange", "0.3")
    assert cause in broken.cause and "\n" not in broken.cause
    assert "plugin strange is BROKEN and left out" in caplog.text
    registry.add("good", "hsx-good", "1", lambda: module("hsx_strategies", [Half]))  # everything else works
    assert registry.of("schedule")["Half"] is Half and len(registry.broken) == 1


def test_an_entry_point_of_a_name_that_is_there(registry):
    for n in (1, 2):
        registry.add("good", f"hsx-good-{n}", "1", lambda: module("hsx_strategies", [Half]))
    assert [(b.package, b.cause.split(";")[0]) for b in registry.broken] == [
        ("hsx-good-2", "a plugin named good is there already")
    ]
    assert "Half" in registry.of("schedule")


def test_the_table_and_its_exit_code(installed, capsys):
    assert main(["plugins"]) == 0
    out = capsys.readouterr().out
    assert all(item.name in out for item in installed.items) and "BROKEN" not in out
    installed.add("strange", "hsx-strange", "0.3", lambda: module("hsx_strategies", RuntimeError("[on] purpose")))
    assert main(["plugins"]) == 1
    rows = capsys.readouterr().out.splitlines()
    assert "BROKEN" in rows[-1] or "BROKEN" in rows[-2]
    assert "hsx-strange 0.3" in " ".join(rows[-3:]) and "[on] purpose" in " ".join(rows[-3:])
    assert main(["plugins", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["broken"] == [
        {"plugin": "strange", "package": "hsx-strange", "version": "0.3", "cause": "RuntimeError: [on] purpose"}
    ]
    assert {"kind": "schedule", "name": "Cosine", "package": "hsx", "version": hsx.__version__} == {
        k: v for k, v in next(p for p in found["plugins"] if p["name"] == "Cosine").items() if k != "line"
    }
    assert main(["plugins", "strange"]) == 1
    assert "strange is BROKEN (hsx-strange 0.3): RuntimeError: [on] purpose" in capsys.readouterr().out


def test_one_with_its_options(capsys):
    assert main(["plugins", "Interval"]) == 0
    out = capsys.readouterr().out
    assert "Interval, a schedule of hsx" in out and "hsx.strategies.schedules.Interval" in out
    assert all(word in out for word in ("t_hi", "int", "900", "the first timestep that injects, inclusive."))
    assert main(["plugins", "Table", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["options"] == [{"name": "values", "type": "list[float]", "about": "the weights."}]
    assert main(["plugins", "adm"]) == 0 and "It has no options." in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, said",
    [
        (["Cosin"], "expected one of Cosine, "),
        (["--nope"], "unrecognized arguments: --nope"),
        (["A", "B"], "expected one name, got A B"),
    ],
)
def test_mistakes(argv, said, capsys):
    assert main(["plugins", *argv]) == 2
    err = capsys.readouterr().err
    assert said in err and err.startswith("hsx: error: ") and err.count("\n") == 1


def test_every_option_of_every_class_is_typed_and_told(registry):
    from hsx.commands.plugins import details

    lacking = [
        (item.name, option["name"])
        for item in registry.items
        for option in details(item)["options"]
        if not option["about"] or not option["type"]
    ]
    assert lacking == []


def test_plugins_are_blocked_by_name_or_package(monkeypatch, tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"block_{name}.py").write_text("raise RuntimeError('loaded')")
        info = tmp_path / f"hsx_block_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hsx-block-{name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[hsx]\nblock_{name} = block_{name}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv(plugins.DISABLED, "Block-One, hsx_block_two")
    found = plugins.load.__wrapped__()
    assert {"block_one", "block_two"} <= set(found.disabled) and not found.broken
    monkeypatch.setenv(plugins.DISABLED, "")
    assert {b.plugin: b.cause for b in plugins.load.__wrapped__().broken} == {
        "block_one": "RuntimeError: loaded",
        "block_two": "RuntimeError: loaded",
    }
