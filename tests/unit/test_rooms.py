"""Data flows one way: each room is imported alone, and brings in no room above it."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import hsx

HOME = Path(hsx.__file__).parent
FLOORS = [  # the lowest first; those on one line may not import each other either
    ("errors", "checks", "schedule", "assets", "_moved", "_renamed"),
    ("io",),
    ("backbones",),
    ("strategies",),
    ("metrics",),
    ("method",),
    ("plugins",),
    ("checkpoints",),
    ("pairs",),
    ("store",),
    ("report",),
    ("probing",),
    ("sweeping",),
    ("runner",),
    ("commands",),
    ("builtin", "cli", "testing", "__main__"),
]
ROOMS = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def modules(room: str) -> list[str]:
    path = HOME / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    return [".".join(file.relative_to(HOME.parent).with_suffix("").parts).removesuffix(".__init__") for file in files]


def test_every_module_is_in_a_room():
    found = {path.stem if path.is_file() else path.name for path in HOME.iterdir() if path.suffix in (".py", "")}
    assert found - {"__init__", "__pycache__", "py.typed"} == set(ROOMS)


ALONE = """
import importlib, json, os, sys
import torch, diffusers  # once, for all; a room without them is in test_commands
for room, names in json.loads(sys.argv[1]).items():
    if not os.fork():
        for name in names:
            importlib.import_module(name)
        print(json.dumps([room, [*sys.modules]]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, room
"""


@pytest.fixture(scope="module")
def loaded():
    """What is in memory when each room, alone, has been imported."""
    rooms = json.dumps({room: modules(room) for room in ROOMS if room != "__main__"})
    out = subprocess.run([sys.executable, "-c", ALONE, rooms], capture_output=True, text=True, check=True).stdout
    return dict(map(json.loads, out.splitlines()))


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "__main__"])
def test_a_room_alone_brings_in_none_above_it(loaded, room):
    rooms = {name.split(".")[1] for name in loaded[room] if name.startswith("hsx.")}
    above = {other for other in rooms if ROOMS[other] > ROOMS[room]}
    assert not above, f"{room} imports {above}"
    if ROOMS[room] < ROOMS["runner"]:
        assert not {name.split(".")[0] for name in loaded[room]} & {"lightning", "pytorch_lightning", "jsonargparse"}


def imports(path: Path) -> set[str]:
    """What a file imports at run time, within functions too."""
    tree = ast.parse(path.read_text("utf-8"))
    typing = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} if module == "hsx" else {module}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_no_line_of_a_room_names_one_above_it(room):
    path = HOME / room
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
        found = imports(file)
        rooms = {name.split(".")[1] for name in found if name.startswith("hsx.")}
        above = {other for other in rooms & set(ROOMS) if ROOMS[other] > ROOMS[room]}
        assert not above, f"{file.relative_to(HOME)} imports {above}"
        if ROOMS[room] < ROOMS["runner"]:
            assert not {name.split(".")[0] for name in found} & {"lightning", "jsonargparse"}, file


def test_the_names_that_modules_had_before_still_work_and_say_the_new_ones():
    code = (
        "import warnings; warnings.simplefilter('always')\nfrom hsx.hookspecs import hookimpl\n"
        "from hsx.images import read_image, find_images, write_png\nfrom hsx.step import transfer_step, predict_x0\n"
        "from hsx.noise import SampleNoise\nfrom hsx import images\nassert images.read_image is read_image\n"
        "import hsx, hsx.method.step\nassert transfer_step is hsx.method.step.transfer_step\n"
        "assert hookimpl is hsx.hookimpl\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "hsx.hookspecs has moved: import hookimpl from hsx.plugins.hookspecs" in done.stderr
    assert "import find_images from hsx.pairs.sources" in done.stderr
    with pytest.raises(ImportError, match="nothing"):
        from hsx.images import nothing  # noqa: F401


def test_the_public_names_are_all_there():
    assert dir(hsx) == sorted(hsx.__all__) and all(getattr(hsx, name) is not None for name in hsx.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        hsx.nothing  # noqa: B018
