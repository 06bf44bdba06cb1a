"""The files of a page: report.html with its styles and its program, and beside it, in ``report/``, data and originals.

The data are a script, since a page on disk can load nothing else.  Its name has its digest, so that a page never shows
the pairs of another one, and the page itself is written last.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

import hsx
from hsx.errors import HsxError, shown
from hsx.io.files import atomic, in_the_way
from hsx.report.folders import Measure, Results
from hsx.report.originals import FOLDER as ORIGINALS
from hsx.report.originals import copies, tidy

PAGE, BESIDE = "report.html", "report"
TEMPLATE = Path(__file__).parent / "template"
PROGRAM = ("data.js", "sheet.js", "pair.js", "start.js")
MADE = b'<meta name="generator" content="hsx '  # in the first bytes of a page
DATA = "// The pairs of a page of hsx, which reads them.\n"  # the first line of a data file


@dataclass(frozen=True)
class Layer:
    """Pictures of one kind, one a pair: the results of a run or of a setting.

    Attributes:
        name: of the kind.
        base: the folder of the pictures, relative to the page, with a slash at its end unless it is empty.
        failed: reasons by number.
        values: of measures, by their names, pair by pair.
        pictures: where they are in that folder; None: each is called as its pair.
        remade: whether ``hsx remake`` makes them again.
    """

    name: str
    base: str = ""
    failed: Mapping[int, str] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Sequence[str] | None = None
    remade: bool = True


@dataclass(frozen=True)
class Page:
    """What a page shows.

    Attributes:
        folder: where it goes.
        name: its file's.
        title: its own.
        found: the pairs.
        layers: their results.
        measures: of each layer.
        view: what the template shows of settings and measures, by the names that it knows.
        chosen: the number of the layer to look at first.
    """

    folder: Path
    name: str
    title: str
    found: Results
    layers: Sequence[Layer]
    measures: Sequence[Measure]
    view: dict[str, Any]
    chosen: int = 0


def check_page(folder: Path, name: str = PAGE, remedy: str = "move it away") -> None:
    """Raises HsxError where a page, or the folder beside it, would replace what hsx did not make."""
    path, places = folder / name, (folder / BESIDE, folder / ORIGINALS)
    wrong = path if os.path.lexists(path) and not is_page(path) else None
    if wrong := wrong or next((place for place in places if in_the_way(place)), None):
        wanted = f"expected a folder whose {wrong.name} hsx may write"
        raise HsxError(f"{wanted}, got {shown(wrong)}, which it did not make; {remedy}")


def is_page(path: Path) -> bool:
    """Whether hsx wrote a page."""
    with suppress(OSError):
        if not path.is_file():  # opening a pipe would wait
            return False
        with path.open("rb") as file:
            return MADE in file.read(200)
    return False


def remove_pages(folder: Path) -> None:
    """Remove the pages that hsx wrote in a folder, with their data and originals."""
    for path in folder.glob("report*.html"):
        if is_page(path):
            path.unlink()
            _remove_data(folder, path.stem)
    tidy(folder, ())


def write(page: Page) -> Path:
    """Write originals, data and page, and then remove what only an earlier page needed; where the page is."""
    (page.folder / BESIDE).mkdir(exist_ok=True)
    copied = copies(page.found.originals, page.folder)
    text = f"{DATA}globalThis.HSX = {json.dumps(_data(page, copied), separators=(',', ':'))};\n"
    path = page.folder / page.name
    script = f"{path.stem}-{sha256(text.encode()).hexdigest()[:12]}.js"
    with atomic(page.folder / BESIDE / script) as part:
        part.write_text(text, encoding="ascii")
    html = _html(page, f"{BESIDE}/{script}")
    with atomic(path) as part:
        part.write_bytes(html.encode("utf-8", "replace"))  # names that are not UTF-8
    _remove_data(page.folder, path.stem, keep=script)
    if page.name == PAGE:  # which has all originals
        tidy(page.folder, copied)
    return path


def _data(page: Page, copied: Sequence[str]) -> dict[str, Any]:
    """What the program reads, as columns: see template/data.js."""
    found = page.found
    return {
        "names": found.names,
        "content": found.contents,
        "style": found.styles,
        "originals": [[Path(one.path).stem, file] for one, file in zip(found.originals, copied, strict=True)],
        "layers": [[layer.name, layer.base, dict(layer.failed), layer.pictures, layer.remade] for layer in page.layers],
        "chosen": page.chosen + 2,
        "measures": [
            [one.name, one.better, [_numbers(layer.values.get(one.name)) for layer in page.layers]]
            for one in page.measures
            if any(one.name in layer.values for layer in page.layers)
        ],
    }


def _numbers(values: np.ndarray | None) -> list[float | None] | None:
    """Numbers of five digits; None where there is none."""
    return None if values is None else [float(f"{v:.5g}") if abs(v) < np.inf else None for v in values.tolist()]


def _html(page: Page, data: str) -> str:
    from markupsafe import Markup

    program = "\n".join((TEMPLATE / each).read_text("utf-8") for each in PROGRAM)
    style = (TEMPLATE / "page.css").read_text("utf-8")
    nothing: dict[str, Any] = {"settings": {}, "histograms": [], "comparison": None, "sweep": None}
    html: str = _template().render(
        nothing
        | {
            "version": hsx.__version__,
            "title": page.title,
            "found": page.found,
            "layers": page.layers,
            "measures": page.measures,
            "data": data,
            "folder": os.path.abspath(page.folder),
            "program": Markup(program),
            "style": Markup(style),
            "allowed": {"program": _digest(program), "style": _digest(style)},
        }
        | page.view
    )
    return html


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    found = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters["url"] = lambda path: quote(os.fsencode(path))
    return found.get_template("page.html")


def _digest(text: str) -> str:
    """As a Content-Security-Policy names what may run."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _remove_data(folder: Path, stem: str, keep: str = "") -> None:
    """Remove the data of a page, but for ``keep``."""
    for path in (folder / BESIDE).glob("*.js"):
        if path.name != keep and re.fullmatch(rf"{re.escape(stem)}-[0-9a-f]{{12}}\.js", path.name):
            with path.open("rb") as file:
                ours = file.read(len(DATA)) == DATA.encode()
            if ours:
                path.unlink()
