"""The files of a sweep: sweep.json, sweep.png, tradeoff.png and recommended.yaml."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import hsx
from hsx.errors import HsxError
from hsx.io.files import atomic, check_made
from hsx.io.png import write_png
from hsx.report.folders import RESULTS, SWEEP
from hsx.store.records import RECORD, record_of, to_json
from hsx.sweeping.outcome import Outcome
from hsx.sweeping.over import Setting
from hsx.sweeping.plot import tradeoff
from hsx.sweeping.sheet import Column, Pair, contact_sheet

CONFIG = "# Recommended by hsx sweep.\n"  # the first line of recommended.yaml
DATA, SHEET, PLOT, RECOMMENDED = SWEEP, "sweep.png", "tradeoff.png", "recommended.yaml"


def check_ours(folder: Path) -> None:
    """Raises HsxError where a file that would be replaced is not of hsx sweep, and for the folder of a run."""
    if os.path.lexists(folder / RESULTS):
        wanted = f"expected a folder for a sweep, got {folder}, where a run's results are"
        raise HsxError(f"output_dir: {wanted}; name another with --output_dir")
    check_made(folder, {DATA: _is_data, SHEET: record_of, PLOT: record_of, RECOMMENDED: _is_config})


def write(
    outcome: Outcome,
    settings: Sequence[Setting],
    folder: Path,
    below: str,
    pairs: Sequence[Pair],
    look: tuple[int, str],
    config: str,
    data: Mapping[str, Any],
) -> list[Path]:
    """Write all of them; where they are.

    Args:
        folder: of the sweep.
        below: the folder in it that has those of the settings.
        look: pixels a side of the results, and how pictures become square.
        config: of the recommended setting.
        data: the pictures that were asked for, of which it may have a part.
    """
    swept = outcome.as_data(settings, {one.name: f"{below}/{one.name}" for one in settings})
    with atomic(folder / DATA) as part:
        part.write_text(json.dumps(swept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with atomic(folder / RECOMMENDED) as part:
        part.write_text(
            f"{CONFIG}# {outcome.recommended}: {outcome.why}.\n{_moved(config, folder, data)}", encoding="utf-8"
        )
    shown = [one for one in settings if one.name in outcome.found]
    marks = {outcome.recommended: "recommended"}
    columns = [Column(one.short, folder / below / one.name, marks.get(one.name, "")) for one in shown]
    record = {RECORD: to_json({"hsx": hsx.__version__, "sheet": "sweep"})}
    write_png(contact_sheet(pairs, columns, *look), folder / SHEET, record)
    content, style = outcome.axes
    of_content, of_style = (scale.words for scale in outcome.scales)
    axes = f"content, by {content} ({of_content})", f"style, by {style} ({of_style})"
    title = f"Content against style: {len(shown)} settings, {len(pairs)} pairs"
    plot = tradeoff(outcome.places, outcome.front, outcome.recommended, axes, title)
    write_png(plot, folder / PLOT, record)
    return [folder / name for name in (DATA, SHEET, PLOT, RECOMMENDED)]


def _moved(config: str, folder: Path, data: Mapping[str, Any]) -> str:
    """The config of a setting, with an output folder of its own and all pictures."""
    changed = {"output_dir": str(folder / "recommended"), "overwrite": False, "data": dict(data)}
    options = {**yaml.safe_load(config), **changed}
    return yaml.safe_dump(options, sort_keys=False, allow_unicode=True)


def _is_config(path: Path) -> bool:
    return path.is_file() and path.read_bytes().startswith(CONFIG.encode())


def _is_data(path: Path) -> bool:
    try:
        data: Any = json.loads(path.read_bytes()) if path.is_file() else {}
        return bool({"hsx", "over", "settings"} <= data.keys())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False
