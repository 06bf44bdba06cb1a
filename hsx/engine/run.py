"""The run: invert what is not inverted, make the pictures that are missing, say what came of it."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
from PIL import Image
from torch.utils.data import Dataset

import hsx
from hsx.engine.datamodule import Pair, Pairs, Pictures, Trajectories
from hsx.engine.modules import TransferModule
from hsx.engine.progress import PassProgress
from hsx.engine.store import TrajectoryStore, digest
from hsx.engine.writer import RECORD, ResultWriter
from hsx.errors import HsxError, ImageError
from hsx.images import atomic, file_digest, grid, png_text, read_image, to_picture, write_png

GRID_SIDE = 24  # at most so many rows and columns of the grid


def run(
    module: TransferModule, data: Pairs, trainer: lightning.Trainer, folder: Path, overwrite: bool = False,
    config: str | None = None,
) -> int:
    """Transfer every pair of ``data`` into ``folder``; what is already there is not made again.

    Two passes of ``trainer.predict``: every distinct picture is inverted once, then the pairs are made.

    Args:
        config: the resolved config, kept beside the results.

    Returns:
        The exit code: 0, or 3 if some pairs failed.

    Raises:
        HsxError: if ``folder`` cannot be written, or holds pictures of other settings and ``overwrite`` is not given.
    """
    begun = time.monotonic()
    _writable(folder)
    store = TrajectoryStore(folder / "trajectories")
    keys = _keys(module, data, store)
    records = {pair.name: _record(module, pair, keys) for pair in data.pairs}
    missing = _missing(records, folder, overwrite)
    if config and trainer.is_global_zero:
        with atomic(folder / "config.yaml") as part:
            part.write_text(config, encoding="utf-8")
    writer, progress = ResultWriter(store, folder), PassProgress()
    trainer.callbacks += [writer, progress]  # type: ignore[attr-defined]
    writer.records = records

    wanted = dict.fromkeys(path for pair in missing for path in (records[pair]["content"], records[pair]["style"]))
    distinct = {keys[Path(path)]: Path(path) for path in wanted}
    images = [(key, path) for key, path in distinct.items() if key not in store]
    pairs = [(pair.name, keys[pair.content], keys[pair.style]) for pair in data.pairs if pair.name in set(missing)]
    passes: list[tuple[str, list[Any], Dataset]] = [
        ("inverting pictures", images, Pictures(_spread(images, trainer), module.backbone.sample_size)),
        ("making pairs", pairs, Trajectories(_spread(pairs, trainer), store)),
    ]
    for title, items, dataset in passes:
        if items:
            progress.title = title
            trainer.predict(module, data.loader(dataset), return_predictions=False)
    trainer.strategy.barrier()
    return _finish(data, records, keys, store, folder, module, len(missing), begun) if trainer.is_global_zero else 0


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HsxError(f"output_dir: expected a folder that can be written, got {folder} ({error.strerror}); "
                       "name another with --output_dir") from None


def _keys(module: TransferModule, data: Pairs, store: TrajectoryStore) -> dict[Path, str]:
    """The store's key of each picture: its bytes, the network's weights and the inversion's settings."""
    keys = {}
    for path in dict.fromkeys([*data.contents, *data.styles]):
        try:
            keys[path] = digest(file_digest(path), module.inversion_settings)
        except ImageError as error:
            keys[path] = digest(str(path), "unreadable")
            store.fail(keys[path], str(error))
    return keys


def _record(module: TransferModule, pair: Pair, keys: dict[Path, str]) -> dict[str, Any]:
    """All that is needed to make a picture again, kept inside it."""
    made = {"settings": module.settings, "content": keys[pair.content], "style": keys[pair.style]}
    return {"hsx": hsx.__version__, "name": pair.name, "content": str(pair.content), "style": str(pair.style),
            "settings": module.settings, "made": digest(made)}


def _missing(records: dict[str, dict[str, Any]], folder: Path, overwrite: bool) -> list[str]:
    """The names of the pairs still to be made."""
    missing, other = [], []
    for name, record in records.items():
        path = folder / f"{name}.png"
        if not path.exists():
            missing.append(name)
        elif json.loads(png_text(path, RECORD) or "{}").get("made") != record["made"]:
            missing.append(name)
            other.append(path)
    if other and not overwrite:
        raise HsxError(f"output_dir: expected an empty folder or one with results of the same settings and pictures, "
                       f"got {len(other)} of others in {folder}, such as {other[0].name}; name another with "
                       "--output_dir, or replace them with --overwrite true")
    return missing


def _spread(items: list[Any], trainer: lightning.Trainer) -> list[Any]:
    """At least one item a process, as Lightning asks; the last is done again where there are too few."""
    return items + items[-1:] * (trainer.world_size - len(items)) if items else items


def _finish(
    data: Pairs, records: dict[str, dict[str, Any]], keys: dict[Path, str], store: TrajectoryStore, folder: Path,
    module: TransferModule, asked: int, begun: float,
) -> int:
    """Write results.jsonl and grid.png, and say where everything is."""
    failed: dict[str, str] = {}
    lines = []
    for pair in data.pairs:
        record = {"name": pair.name, "content": str(pair.content), "style": str(pair.style)}
        if (folder / f"{pair.name}.png").exists():
            record |= {"status": "done", "picture": f"{pair.name}.png", "made": records[pair.name]["made"]}
        else:
            failed[pair.name] = _reason(pair, keys, store)
            record |= {"status": "failed", "reason": failed[pair.name]}
        lines.append(json.dumps(record, ensure_ascii=False))
    with atomic(folder / "results.jsonl") as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = len(lines) - len(failed)
    made = max(0, asked - len(failed))
    if done:
        _grid(data, folder, module.backbone.sample_size)
    seconds = f"{time.monotonic() - begun:.0f} s"
    print(f"{made} picture{'' if made == 1 else 's'} made in {seconds}, {done - made} were there already, "
          f" {len(failed)} failed: {folder}" + (f" (all on one sheet: {folder / 'grid.png'})" if done else ""))
    reasons: dict[str, int] = {}
    for reason in failed.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, pairs in reasons.items():
        print(f"{pairs} pairs failed: {reason}", file=sys.stderr)
    return 3 if failed else 0


def _reason(pair: Pair, keys: dict[Path, str], store: TrajectoryStore) -> str:
    """Why a pair has no picture."""
    for path in (pair.content, pair.style):
        try:
            store.get(keys[path])
        except ImageError as error:
            return str(error)
    return "the result is not finite; use --trainer.precision 32, fewer steps or a smaller gamma or omega"


def _grid(data: Pairs, folder: Path, size: int) -> None:
    """grid.png: rows contents, columns styles, the originals as headers (zip: content, style, result by rows)."""
    cells: dict[tuple[int, int], Image.Image] = {}

    def place(cell: tuple[int, int], path: Path, header: bool) -> None:
        try:
            if header:
                cells[cell] = to_picture(read_image(path, size))
            else:
                with Image.open(path) as picture:
                    cells[cell] = picture.convert("RGB")
        except (ImageError, OSError):
            pass  # left white

    if data.pairing == "zip":
        for row, pair in enumerate(data.pairs[:GRID_SIDE]):
            place((row, 0), pair.content, True)
            place((row, 1), pair.style, True)
            place((row, 2), folder / f"{pair.name}.png", False)
    else:
        for i, path in enumerate(data.contents[:GRID_SIDE]):
            place((i + 1, 0), path, True)
        for j, path in enumerate(data.styles[:GRID_SIDE]):
            place((0, j + 1), path, True)
        for k, pair in enumerate(data.pairs):
            i, j = divmod(k, len(data.styles))
            if i < GRID_SIDE and j < GRID_SIDE:
                place((i + 1, j + 1), folder / f"{pair.name}.png", False)
    write_png(grid(cells, max(size, 96) if size < 256 else 256), folder / "grid.png")


