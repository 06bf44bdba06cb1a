"""docs/plugins.md: its code runs as it stands, its signatures are those of the code."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import hsx
from hsx.checkpoints.options import Options
from hsx.cli import main
from hsx.io.images import read_image, to_picture
from hsx.pairs.sources import find_images
from hsx.plugins import hookspecs
from hsx.plugins import registry as plugins
from hsx.runner.model import TransferModel
from hsx.strategies import DDIM, BlendingSchedule, Constant, Frobenius, Latent, Renoised, Slerp, Solver
from hsx.strategies.base import KINDS
from hsx.testing import check_strategy

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()
FILES = {name: text for name, text in re.findall(r"```\w+\n# (\S+)\n(.*?)```", PAGE, re.S)}
COMMANDS = [line.strip() for line in re.findall(r"^    ((?:pip|hsx) .*)$", PAGE, re.M)]


def signature(function) -> str:
    """``(a: A) -> B``, without ``self``."""
    return re.sub(r"\(self(, )?", "(", str(inspect.signature(function))).replace("'", "")


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A folder of its own with the page's files, from which they can be imported."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_every_hook_is_documented_with_its_exact_signature():
    hooks = {name: f for name, f in vars(hookspecs).items() if hasattr(f, "hsx_spec")}
    assert hooks.keys() == {"hsx_strategies", "hsx_backbones", "hsx_metrics"}
    assert [name for name, f in hooks.items() if f"`{name}{signature(f)}`" not in PAGE] == []


@pytest.mark.parametrize(
    "kind, method",
    [(kind, {BlendingSchedule: "gamma", Solver: "step"}.get(kind, "__call__")) for kind in KINDS.values()],
)
def test_every_kind_is_documented_with_its_exact_signature(kind, method):
    assert kind.__abstractmethods__ == {method}
    assert f"| `{kind.__name__}` | `{method}{signature(getattr(kind, method))}` |" in PAGE.replace("\\|", "|")


@pytest.mark.parametrize("name", ["my_schedules.py", "my_donor.py", "my_solver.py"])
def test_a_strategy_of_ones_own_takes_about_twenty_lines(name):
    code = re.sub(r'""".*?"""', "", FILES[name], flags=re.S)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20


def test_the_pages_donor(page, tiny_model):
    from my_donor import Greyed

    check_strategy(Greyed(0.5))
    with pytest.raises(hsx.HsxError, match="keep: expected a number from 0 to 1, got 2; 0 keeps none"):
        Greyed(2)
    net, images = hsx.load_backbone(tiny_model), torch.rand(2, 3, 16, 16) * 2 - 1

    def made(donor, contents):
        steps = dict(inversion_steps=4, generation_steps=4, t_edit=0, t_boost=0)
        return hsx.Transfer(net, Constant(1.0), sites="skip@R/2", donor=donor, **steps)(contents, -images)

    torch.testing.assert_close(made(Greyed(1), images), made(Renoised(), images), atol=1e-3, rtol=0)
    assert not torch.equal(made(Greyed(), images), made(Renoised(), images))
    grey = images.mean(1, keepdim=True).expand_as(images)
    torch.testing.assert_close(made(Greyed(), images), made(Renoised(), grey), atol=1e-3, rtol=0)


def test_the_pages_solver(page, tiny_model):
    from my_solver import MultistepEps

    check_strategy(MultistepEps())
    net, images = hsx.load_backbone(tiny_model), torch.rand(2, 3, 16, 16) * 2 - 1

    def back(solver):
        steps = dict(inversion_steps=10, generation_steps=10, spacing="mixed", t_boost=0)
        return hsx.Transfer(net, Constant(0.0), solver=solver, **steps)(images, images)

    found = back(MultistepEps())
    assert torch.isfinite(found).all() and not torch.equal(found, back(DDIM()))


def test_the_pages_code_in_this_process(page):
    exec(FILES["test_my_schedules.py"] + "\ntest_contract()", {})
    registry = plugins.Registry()
    for name in ("my_schedules", "my_donor", "my_solver", "my_family", "my_metric"):
        registry.add(name, "page", "1", lambda name=name: __import__(name))
    assert not registry.broken and [item.name for item in registry.items] == [
        "Power",
        "Greyed",
        "MultistepEps",
        "painter",
        "Brightness",
    ]
    with pytest.raises(hsx.HsxError, match="gamma, p: expected"):
        registry.of("schedule")["Power"](gamma=2.0)
    metric = registry.of("metric")["Brightness"]()
    ones = torch.ones(2, 3, 4, 4)
    metric.update(ones, 0.5 * ones)
    metric.update(ones[:1], ones[:1])
    assert float(metric.compute()) == pytest.approx(1 / 3)
    exec(FILES["test_my_metric.py"] + "\ntest_contract()", {})
    family = registry.of("backbone")["painter"]()
    import my_family

    state = my_family.Painter().state_dict()
    assert family.recognises(state)
    net = family.build(state, Options(image_size=8), Path("painter.pt"))
    assert net.encode(torch.ones(1, 3, 8, 8), torch.tensor([3])).h.shape == (1, 8, 4, 4)


def test_the_pages_package_is_installed_and_named_in_a_config(page, tiny_model, pictures):
    """The commands of the page one by one; with the tiny network, and pip aiming at a folder of its own."""
    env = {
        **os.environ,
        "PIP_TARGET": str(page / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(page / "site"),
        "OMP_NUM_THREADS": "1",
    }
    config = yaml.safe_load((page / "power.yaml").read_text())
    config["model"] |= {"backbone": str(tiny_model), "inversion_steps": 5, "generation_steps": 8}
    config["data"] |= {"contents": "contents", "styles": "styles"}
    (page / "power.yaml").write_text(yaml.safe_dump(config))
    assert [line.split()[:2] for line in COMMANDS] == [
        ["pip", "install"],
        ["hsx", "plugins"],
        ["hsx", "predict"],
        ["hsx", "predict"],
    ]
    run = {"cwd": page, "env": env, "capture_output": True, "text": True, "check": False}
    for line in COMMANDS:
        ended = subprocess.run([sys.executable, "-m", *line.split()], **run)
        assert ended.returncode == 0, ended.stderr
    assert len(list(page.glob("outputs/power*/*__*.png"))) == 12
    two = [
        sys.executable,
        "-m",
        "hsx",
        "predict",
        "--config",
        "power.yaml",
        "--output_dir",
        "outputs/ddp",
        "--trainer.accelerator",
        "cpu",
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
    ]
    ended = subprocess.run(two, **run)
    assert ended.returncode == 0, ended.stderr
    one = {p.name: p for p in (page / "outputs" / "power").glob("*__*.png")}
    for name, path in one.items():
        assert abs(pixels(path) - pixels(page / "outputs" / "ddp" / name)).max() <= 1  # the rounding of a pixel
    record = json.loads((page / "outputs" / "power" / "results.jsonl").read_text().splitlines()[0])
    assert record["status"] == "done"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


BROKEN = {  # the text of each module, and what is said of it
    "import_error": ("import nowhere_at_all", "No module named 'nowhere_at_all'"),
    "syntax_error": ("def broken(:", "SyntaxError: "),
    "misspelt_hook": (
        "from hsx import hookimpl\n@hookimpl\ndef hsx_strategys():\n    return []",
        "unknown hook 'hsx_strategys'",
    ),
    "duplicate_name": (
        "from hsx import hookimpl\nfrom hsx.strategies import Lerp\n"
        "class Slerp(Lerp):\n    '''Not it.'''\n"
        "@hookimpl\ndef hsx_strategies():\n    return [Slerp]",
        "the name Slerp is taken by hsx",
    ),
    "raising_hook": (
        "from hsx import hookimpl\n@hookimpl\ndef hsx_metrics():\n    raise OSError('stop')",
        "OSError: stop",
    ),
}


def test_five_broken_plugins_together_stop_nothing(tmp_path, tiny_model, pictures):
    """Each a package installed by pip."""
    for name, (text, _) in BROKEN.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"bad_{name}.py").write_text(text)
        (folder / "pyproject.toml").write_text(
            FILES["pyproject.toml"]
            .replace("my_schedules", f"bad_{name}")
            .replace("my-schedules", f"bad-{name.replace('_', '-')}")
        )
    env = {
        **os.environ,
        "PIP_TARGET": str(tmp_path / "site"),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_INDEX": "1",
        "PYTHONPATH": str(tmp_path / "site"),
        "COLUMNS": "300",
    }
    run = {"cwd": tmp_path, "env": env, "capture_output": True, "text": True, "check": False}
    ended = subprocess.run([sys.executable, "-m", "pip", "install", *(f"./{name}" for name in BROKEN)], **run)
    assert ended.returncode == 0, ended.stderr
    listed = subprocess.run([sys.executable, "-m", "hsx", "plugins"], **run)
    assert listed.returncode == 1 and "Traceback" not in listed.stderr
    rows = [row for row in listed.stdout.splitlines() if "BROKEN" in row]
    assert len(rows) == 5 and listed.stdout.splitlines()[-5:] == rows
    for row, name in zip(rows, sorted(BROKEN), strict=True):
        assert f"bad_{name}" in row and f"bad-{name.replace('_', '-')} 0.1" in row and BROKEN[name][1] in row
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "hsx",
            "predict",
            "--model.backbone",
            str(tiny_model),
            "--data.contents",
            "contents",
            "--data.styles",
            "styles",
            "--model.generation_steps",
            "5",
            "--model.inversion_steps",
            "5",
        ],
        **run,
    )
    assert ended.returncode == 0 and "6 pictures made" in ended.stdout, ended.stderr
    assert all(f"plugin bad_{name} is BROKEN" in ended.stderr for name in BROKEN)


@pytest.mark.parametrize("omega", [0.0, 0.3])
def test_the_papers_strategies_named_in_a_config_are_the_paper(tiny_model, pictures, omega):
    """``Transfer.paper`` bit for bit: the same tensors, and from the same pictures the same files."""
    contents, styles = (
        torch.stack([read_image(p, 16) for p in find_images(str(pictures / kind))]) for kind in ("contents", "styles")
    )
    backbone = hsx.load_backbone(tiny_model)
    paper = hsx.Transfer.paper(backbone, gamma=0.3, omega=omega, inversion_steps=20, generation_steps=50)
    model = {
        "backbone": str(tiny_model),
        "schedule": {"class_path": "Constant", "init_args": {"gamma": 0.3}},
        "blend": "Slerp",
        "normalizer": "Frobenius",
        "calibrator": {"class_path": "Latent", "init_args": {"omega": omega}},
        "inversion_steps": 20,
        "generation_steps": 50,
        "injection_steps": 50,
        "t_edit": 400,
        "t_boost": 0,
    }
    data = {"contents": str(pictures / "contents"), "styles": str(pictures / "styles"), "batch_size": 1}
    config = {"model": model, "data": data, "output_dir": str(pictures / "o"), "store": {"dtype": "float32"}}
    (pictures / "paper.yaml").write_text(yaml.safe_dump(config))
    assert main(["predict", "--config", str(pictures / "paper.yaml")]) == 0
    for i in range(3):
        for j in range(2):
            expected = paper(contents[i : i + 1], styles[j : j + 1])[0]
            with Image.open(pictures / "o" / f"c{i}__s{j}.png") as picture:
                assert picture.tobytes() == to_picture(expected).tobytes()
    chosen = str(tiny_model), Constant(0.3), Slerp(), Frobenius(), Latent(omega)
    named = TransferModel(*chosen, 20, 50, 50, 999, 400, 0)
    assert torch.equal(named.transfer(contents[:2], styles), paper(contents[:2], styles))
    full = TransferModel(*chosen, 50, 1000, 50, 999, 400, 0)
    theirs = hsx.Transfer.paper(backbone, omega=omega)
    assert full.transfer.timesteps == theirs.timesteps
    assert full.transfer.injection_timesteps == theirs.injection_timesteps
