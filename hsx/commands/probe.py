"""``hsx probe``: which sites of a network carry content and keep style."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from math import inf, lcm
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

import hsx
from hsx.checkpoints.load import load_backbone
from hsx.checkpoints.options import Options
from hsx.checks import in_range, whole
from hsx.errors import HsxError, ImageError, expanded, shown
from hsx.io.files import atomic, check_made
from hsx.io.images import read_image
from hsx.io.png import write_png
from hsx.io.reading import Fit
from hsx.pairs.sources import find_images
from hsx.probing import Probed
from hsx.probing import probe as probed_of
from hsx.probing.costs import costs
from hsx.probing.probing import LIMIT
from hsx.probing.shown import as_data, sheet, tables
from hsx.runner.model import anywhere
from hsx.runner.output import check_writable
from hsx.runner.progress import QUIET
from hsx.store.records import RECORD, record_of, to_json
from hsx.strategies.arguments import absolute

CONFIG = "# Found by hsx probe.\n"  # the first line of probe.yaml
STEPS = ("inversion_steps", "generation_steps", "injection_steps", "t_start", "t_edit", "t_boost")


def probe(
    source: str,
    *,
    contents: str,
    styles: str,
    pairs: int = 12,
    output_dir: str = "outputs/probe",
    fit: Fit = "crop",
    seed: int = 0,
    json: bool = False,
    **options: Any,
) -> int:
    """Which sites of a network carry content and keep style: a table, a sheet, and the best as a config.

    The sheet is probe.png, the config probe.yaml.

    Args:
        source: A checkpoint file, a folder, a Hub id or a URL.
        contents: Whose content is kept: a folder of pictures, a glob, or a text file with a path a line.
        styles: Whose style is taken, likewise.
        pairs: How many pairs of them are tried.
        output_dir: Where the sheet and the config go.
        fit: How pictures become square.
        seed: Of which pictures, and of the noise.
        json: For programs.
    """
    in_range("pairs", pairs, 2, inf, "pairs of pictures", whole)
    in_range("seed", seed, 0, 2**63 - 1, "of which pictures", whole)
    if not output_dir.strip():
        raise HsxError("output_dir: expected a folder, got an empty name; name one with --output_dir")
    folder = expanded(output_dir, "output_dir")
    check_writable(folder, "output_dir")
    _check_ours(folder)
    places = {"contents": find_images(contents, "contents"), "styles": find_images(styles, "styles")}
    given = Options(**options).given()
    backbone = load_backbone(source, **given)
    if "device" not in given and torch.cuda.is_available():
        backbone.to("cuda")
    rng = np.random.default_rng(seed)
    pictures = (_read(paths, pairs, backbone.sample_size, fit, rng, option) for option, paths in places.items())
    content, style = _paired(pairs, *pictures)
    parts = costs(backbone)
    console = Console(stderr=True)
    seconds = len(content) * LIMIT * parts.seconds
    about = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
    console.print(f"{len(content)} pairs, at most {LIMIT} evaluations of the network each: about {about}", markup=False)
    with _progress(console, 2 * len(content)) as advance:
        probed = probed_of(backbone, content, style, fit=fit, seed=seed, parts=parts, on_pair=advance)
    found = {"source": anywhere(source), **{name: value for name, value in given.items() if name != "device"}}
    data = {"contents": absolute(contents), "styles": absolute(styles), "fit": fit}
    written = _write(probed, folder, found, data, sheet(probed, content, style))
    if json:
        print(dumps({**as_data(probed), "written": [*map(str, written)]}, indent=1))
        return 0
    out = Console(markup=False, emoji=False, highlight=False, width=shutil.get_terminal_size((120, 40)).columns)
    for table in tables(probed):
        out.print(table)
    print(f"{probed.verdict}\nwritten: {', '.join(map(str, written))}")
    return 0


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, elsewhere a line a minute; what it gives is called ``total`` times."""
    done, begun = 0, time.monotonic()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("probing", total=total)

        def advance() -> None:
            nonlocal done, begun
            done += 1
            bar.advance(task)
            if not console.is_terminal and time.monotonic() - begun > QUIET:
                begun = time.monotonic()
                console.print(f"probing: {done} of {total} steps", highlight=False)

        yield advance


def _check_ours(folder: Path) -> None:
    """Raises HsxError where a file that would be replaced is not of hsx probe."""
    check_made(
        folder,
        {
            "probe.yaml": lambda path: path.is_file() and path.read_bytes().startswith(CONFIG.encode()),
            "probe.png": lambda path: "sheet" in record_of(path),
        },
    )


def _read(paths: Sequence[Path], n: int, size: int, fit: str, rng: np.random.Generator, option: str) -> list[Tensor]:
    """Up to ``n`` of the pictures in random order, (3, R, R) each; those that cannot be read are named and left out."""
    pictures: list[Tensor] = []
    left_out = 0
    for place in rng.permutation(len(paths)):
        if len(pictures) == n:
            break
        try:
            pictures.append(read_image(paths[place], size, fit))
        except ImageError as error:
            left_out += 1
            print(f"left out: {shown(paths[place])}: {error}", file=sys.stderr)
    if left_out:
        print(f"{option}: {left_out} could not be read, {len(pictures)} are used", file=sys.stderr)
    return pictures


def _paired(n: int, contents: Sequence[Tensor], styles: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Up to ``n`` different pairs, each picture as often as any other; none of a picture with itself.

    Raises HsxError for fewer than two.
    """
    rows, columns = len(contents), len(styles)
    pairs: list[tuple[Tensor, Tensor]] = []
    for k in range(rows * columns):
        pair = contents[k % rows], styles[(k + k // lcm(rows, columns)) % columns]
        if len(pairs) < n and not torch.equal(*pair):
            pairs.append(pair)
    if len(pairs) < 2:
        found = f"{rows} contents and {columns} styles, which make {len(pairs)}"
        raise HsxError(f"contents, styles: expected pictures for two or more pairs, got {found}; add some")
    content, style = zip(*pairs, strict=True)
    return torch.stack(content), torch.stack(style)


def _write(probed: Probed, folder: Path, backbone: dict[str, Any], data: dict[str, Any], picture: Any) -> list[Path]:
    """The sheet and, where there is a best, the config that runs it."""
    written, config = [folder / "probe.png"], folder / "probe.yaml"
    write_png(picture, written[0], {RECORD: to_json({"hsx": hsx.__version__, "sheet": "probe"})})
    if probed.settings is None:
        config.unlink(missing_ok=True)  # of an earlier network
        return written
    model = {"backbone": backbone["source"] if len(backbone) == 1 else backbone}
    model |= {
        name: value
        for name, value in probed.settings.as_model().items()
        if name in ("sites", "donor", "schedule", "normalizer", *STEPS)
    }
    model["sites"] = [*model["sites"]]
    sections = {"output_dir": str(absolute(folder / "transfer")), "model": model, "data": data}
    with atomic(config) as part:
        text = yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)
        part.write_text(f"{CONFIG}# {probed.verdict}\n{text}", encoding="utf-8")
    return [*written, config]
