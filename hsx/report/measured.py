"""What was measured, as files: metrics.json with the means, metrics.parquet with a row a pair."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hsx.io.files import atomic, check_made, in_the_way

SUMMARY, TABLE = "metrics.json", "metrics.parquet"
KEPT = ".measured"  # the folder of numbers that are not computed again
MADE_BY = b"hsx"  # the key in a table's metadata


def write_measured(
    folder: Path, summary: Mapping[str, Any], texts: Mapping[str, Sequence[str]], values: Mapping[str, np.ndarray]
) -> list[Path]:
    """Write both, the table first.

    Args:
        texts: the columns name, content and style, and picture where results are not called NAME.png in ``folder``.
        values: a column a measure, (n,) of float64; nan becomes null.
    """
    import pyarrow  # 30 MiB that no other part of the report needs
    from pyarrow import parquet

    columns = {name: pyarrow.array([*map(_utf8, column)], pyarrow.string()) for name, column in texts.items()}
    columns |= {name: pyarrow.array(column, pyarrow.float64(), from_pandas=True) for name, column in values.items()}
    table = pyarrow.table(columns).replace_schema_metadata({MADE_BY: str(summary["hsx"])})
    with atomic(folder / TABLE) as part:
        parquet.write_table(table, part)
    with atomic(folder / SUMMARY) as part:
        part.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return [folder / SUMMARY, folder / TABLE]


def check_ours(folder: Path) -> None:
    """Raises HsxError where there is a metrics.json, metrics.parquet or .measured that hsx did not write."""
    check_made(folder, {SUMMARY: is_ours, TABLE: is_ours, KEPT: lambda path: not in_the_way(path)})


def clear_measured(folder: Path) -> None:
    """Take away what hsx measured in a folder, whose results are about to change."""
    for name in (SUMMARY, TABLE):
        if is_ours(folder / name):
            (folder / name).unlink()
    shutil.rmtree(folder / KEPT, ignore_errors=True)


def is_ours(path: Path) -> bool:
    """Whether hsx wrote a metrics.json or a metrics.parquet."""
    if not path.is_file():  # reading a pipe would wait
        return False
    try:
        if path.name == SUMMARY:
            return bool({"hsx", "measures"} <= json.loads(path.read_bytes()).keys())
        from pyarrow import parquet

        return MADE_BY in (parquet.read_schema(path).metadata or {})
    except Exception:  # on other files Arrow raises all sorts
        return False


def _utf8(text: str) -> str:
    """A text as UTF-8 has it: bytes of a name that are none are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()
