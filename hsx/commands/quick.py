"""``hsx sweep --quick``: the settings to try for a network that is not known, found by probing it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import hsx
from hsx.errors import HsxError, ImageError
from hsx.io.digests import digest
from hsx.io.files import atomic, check_made
from hsx.io.images import read_image
from hsx.io.png import write_png
from hsx.pairs.pairing import PairList, Row
from hsx.probing import probe
from hsx.probing.costs import costs
from hsx.probing.probing import LIMIT
from hsx.probing.shown import sheet
from hsx.runner.data import Pairs
from hsx.runner.model import TransferModel
from hsx.store.records import RECORD, record_of, to_json
from hsx.sweeping.over import Axis, Setting
from hsx.sweeping.over import settings as product
from hsx.sweeping.quick import around

PAIRS = 12  # that are probed and swept, at most
FOUND, SHEET = "quick.json", "probe.png"
LOOK = 1.0  # seconds between looks for what the first process finds


@dataclass(frozen=True)
class Found:
    """What is to be tried.

    Attributes:
        words: what a command line says for all settings.
        settings: all of them.
        data: options of the pairs, in place of those that were given.
        said: what was found and is tried, in words.
    """

    words: Sequence[str]
    settings: list[Setting]
    data: Mapping[str, Any]
    said: str

    @property
    def all_words(self) -> list[str]:
        """Those for all settings, pairs included."""
        data = {name: value if isinstance(value, str) else json.dumps(value) for name, value in self.data.items()}
        return [*self.words, *(f"--data.{name}={value}" for name, value in data.items())]


def quick(model: TransferModel, pairs: Pairs, seed: int, folder: Path, first: bool) -> Found:
    """Probe a network with up to twelve of the pairs, or read what was found before.

    What is found is kept in the folder, as quick.json and probe.png, so that a sweep that is started again goes on with
    the same settings, and so that all processes have those that the first one found.

    Args:
        model: the network.
        seed: of which pairs, and of the noise.
        first: whether this is the first process.

    Raises:
        HsxError: for a network that does not know such pictures, fewer than two pairs, and files that are not hsx's.
    """
    rows, path = drawn(pairs.pairs, seed), folder / FOUND
    names = [[str(pairs.pairs.contents[row.content]), str(pairs.pairs.styles[row.style])] for row in rows]
    asked = digest(hsx.__version__, model.network, pairs.fit, seed, names)
    while not first and _kept(path, asked) is None:
        time.sleep(LOOK)
    if (kept := _kept(path, asked)) is None:
        _check_ours(folder)
        kept = {"hsx": hsx.__version__, "asked": asked, **_probed(model, pairs, rows, seed, folder)}
        with atomic(path) as part:
            part.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    over = [Axis(option, tuple(values)) for option, values in kept["over"].items()]
    return Found(kept["words"], product(over), kept["data"], kept["said"])


def _probed(model: TransferModel, pairs: Pairs, rows: Sequence[Row], seed: int, folder: Path) -> dict[str, Any]:
    backbone = model.backbone
    if torch.cuda.is_available():
        backbone.to("cuda")
    used, content, style = _read(rows, pairs, backbone.sample_size)
    parts = costs(backbone)
    what = f"{len(used)} pairs, at most {LIMIT} evaluations of the network each"
    print(f"probing with {what}: about {len(used) * LIMIT * parts.seconds:.0f} s", file=sys.stderr)
    probed = probe(backbone, content, style, fit=pairs.fit, seed=seed, parts=parts)
    write_png(
        sheet(probed, content, style), folder / SHEET, {RECORD: to_json({"hsx": hsx.__version__, "sheet": "probe"})}
    )
    if probed.best is None:
        raise HsxError(f"--quick: expected a network of such pictures, got another. {probed.verdict}")
    tried = around(probed.best, parts, len(backbone.schedule))
    data: dict[str, Any] = {}
    if len(used) < len(pairs.pairs):
        usual = {"contents": None, "styles": None, "pairing": "product", "per_content": 1, "pairing_seed": 0}
        data = {**usual, "pairs": [_as_row(pairs.pairs, row) for row in used]}
    of = f" of {len(pairs.pairs)}" * bool(data)
    said = f"{probed.verdict}\nTried around it, with {len(used)}{of} pairs: {tried}."
    return {"words": tried.words, "over": {one.option: one.values for one in tried.over}, "data": data, "said": said}


def drawn(pairs: PairList, seed: int) -> list[Row]:
    """Good rows in random order, those first whose content and style come for the first time."""
    rows = [row for i in np.random.default_rng(seed).permutation(len(pairs))[:1000] if (row := _good(pairs, int(i)))]
    seen: set[tuple[str, int]] = set()
    again: dict[int, int] = {}
    for place, row in enumerate(rows):
        new = {("content", row.content), ("style", row.style)}
        again[place] = len(new & seen)
        seen |= new
    return [rows[place] for place in sorted(again, key=lambda place: (again[place], place))]


def _good(pairs: PairList, i: int) -> Row | None:
    try:
        return pairs[i]
    except HsxError:
        return None


def _read(rows: Sequence[Row], pairs: Pairs, size: int) -> tuple[list[Row], Tensor, Tensor]:
    """The first rows whose pictures can be read, and their pictures, (N, 3, R, R)."""
    used: list[Row] = []
    read: list[tuple[Tensor, Tensor]] = []
    for row in rows:
        if len(used) == PAIRS:
            break
        paths = pairs.pairs.contents[row.content], pairs.pairs.styles[row.style]
        with suppress(ImageError):
            content, style = (read_image(path, size, pairs.fit) for path in paths)
            used.append(row)
            read.append((content, style))
    if len(used) < 2:
        raise HsxError(f"--quick: expected two or more pairs of pictures that can be read, got {len(used)}; add some")
    content, style = (torch.stack([both[k] for both in read]) for k in (0, 1))
    return used, content, style


def _as_row(pairs: PairList, row: Row) -> dict[str, Any]:
    """A pair as a row of a table; its own gamma is left out, as gamma is tried."""
    own = {"content": str(pairs.contents[row.content]), "style": str(pairs.styles[row.style])}
    mask = {} if row.mask is None else {"mask": str(row.mask)}
    return {**own, **mask, **({} if row.seed is None else {"seed": row.seed})}


def _kept(path: Path, asked: str) -> dict[str, Any] | None:
    """What was found before for the same question."""
    try:
        kept: Any = json.loads(path.read_bytes()) if path.is_file() else None
        return dict(kept) if kept["asked"] == asked else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def _check_ours(folder: Path) -> None:
    """Raises HsxError where a file that would be replaced is not of hsx sweep."""
    check_made(folder, {FOUND: lambda path: path.is_file() and b'"asked"' in path.read_bytes(), SHEET: record_of})
