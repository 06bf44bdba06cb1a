"""Folders as a run leaves them, without a network: pictures with records, and the lists beside them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from PIL import Image

from hsx.io.digests import digest
from hsx.io.images import pixels_digest, read_image
from hsx.io.png import write_png
from hsx.runner.output import CONFIG
from hsx.store.records import RECORD, to_json


def run_folder(
    folder: Path,
    pairs: Sequence[tuple[str, Path, Path]],
    size: int = 16,
    gamma: float = 0.5,
    failed: dict[str, str] | None = None,
) -> Path:
    """A run of pairs (name, content, style); those in ``failed`` have a reason instead of a picture."""
    lines, known = [], {}
    for path in {path for _, *both in pairs for path in both}:
        known[path] = pixels_digest(read_image(path, size)) if path.exists() else "0" * 24
    for i, (name, content, style) in enumerate(pairs):
        line = {"name": name, "content": str(content), "style": str(style), "seed": 0}
        if failed and name in failed:
            lines.append({**line, "status": "failed", "reason": failed[name]})
            continue
        colour = tuple(int(v) for v in np.random.default_rng(i).integers(0, 255, 3))
        pixels = [known[content], known[style]]
        record = {"content": str(content), "style": str(style), "data": {"fit": "crop"}, "pixels": pixels}
        text = {RECORD: to_json({"hsx": "0", "name": name, **record, "made": digest(i)})}
        write_png(Image.new("RGB", (size, size), colour), folder / f"{name}.png", text)
        lines.append({**line, "status": "done", "picture": f"{name}.png", "seconds": 0.1, "device": "cpu"})
    (folder / "results.jsonl").write_text("".join(to_json(line) + "\n" for line in lines))
    model = {"schedule": {"class_path": "Constant", "init_args": {"gamma": gamma}}}
    (folder / "config.yaml").write_text(CONFIG + json.dumps({"output_dir": str(folder), "model": model}))
    return folder


def measured(
    folder: Path, measures: dict[str, tuple[np.ndarray, bool, bool | None]], skipped: dict[str, str] | None = None
) -> None:
    """What ``hsx evaluate`` leaves: of each measure its values, whether more is better, and whether it is fit."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    columns = {of: [line[of] for line in lines] for of in ("name", "content", "style")}
    table = {**columns, **{name: values for name, (values, _, _) in measures.items()}}
    parquet.write_table(arrow.table(table), folder / "metrics.parquet")
    found = {
        name: {"mean": float(np.nanmean(values)), "low": float(np.nanmean(values)) - 0.01, "n": len(values)}
        | {"high": float(np.nanmean(values)) + 0.01, "about": "content", "higher_is_better": more, "fit": fit}
        for name, (values, more, fit) in measures.items()
    }
    summary = {"hsx": "0", "rows": len(lines), "failed": 0, "measures": found, "skipped": skipped or {}}
    (folder / "metrics.json").write_text(json.dumps(summary))


def data_of(page: Path) -> dict:
    """What a page's program reads."""
    (script,) = (page.parent / "report").glob(f"{page.stem}-{'?' * 12}.js")
    text = script.read_text("ascii")
    return json.loads(text[text.index("{") : text.rindex(";")])
