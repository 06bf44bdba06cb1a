"""The commands of docs/gallery.md, each with few steps, and its pictures."""

import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from hsx.cli import main

pytestmark = pytest.mark.usefixtures("all_cores")
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gallery.md").read_text()
COMMANDS = re.findall(r"^    (hsx predict --config .+[^\\])$", PAGE, re.M)
FEW = ["--model.generation_steps", "3", "--model.inversion_steps", "3", "--model.injection_steps", "2"]


def predict(line: str, out: Path) -> Path:
    words = shlex.split(line)
    if "--output_dir" in words:
        out = out / words[words.index("--output_dir") + 1]
    assert words[0] == "hsx" and main([*words[1:], *FEW, "--output_dir", str(out)]) == 0
    return out


@pytest.mark.parametrize("line", COMMANDS[1:], ids=lambda line: line.split("/")[-1])  # the first is the README's
def test_every_command(line, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert (predict(line, tmp_path) / "grid.png").exists()


@pytest.mark.parametrize("name", ["gamma", "omega"])
def test_a_strip(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "examples" / "demo_faces"))
    from strip import main as strip

    values, body = re.search(rf"for {name} in (.+?); do\n(.*?)\ndone", PAGE, re.S).groups()
    for value in values.split()[:2]:
        predict(body.replace("\\\n", " ").replace(f"${name}", value), tmp_path)
    out, pattern = re.search(rf"^python examples/demo_faces/strip.py (\S+) (\S+{name}\S+)$", PAGE, re.M).groups()
    monkeypatch.setattr("sys.argv", ["strip.py", str(tmp_path / out), *map(str, sorted(tmp_path.glob(pattern)))])
    strip()
    with Image.open(tmp_path / out) as picture:
        assert picture.size == (2 * 130 + 2, 130 + 2)


def test_every_picture_is_there():
    for name in re.findall(r"\]\((images/\S+)\)", PAGE):
        with Image.open(ROOT / "docs" / name) as picture:
            picture.verify()
