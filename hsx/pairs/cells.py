"""What the cells of a table of pairs hold."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from hsx.errors import HsxError, shown
from hsx.pairs.names import safe

SEED = 2**63 - 1  # the highest
PATHS = ("content", "style", "mask", "result", "truth")  # columns of paths, the last two of tables of results
PATH = 4096  # characters of a path, at most: no system takes more
_NO_TEXT = re.compile("[\0\ud800-\udfff]")  # surrogates stand for bytes that are not UTF-8


def as_text(name: str, cell: Any) -> str:
    """A cell that is no text as one, "" where it is missing; a path must be a text.  Raises HsxError."""
    if isinstance(cell, bytes):
        return cell.decode(errors="surrogateescape")
    if cell is None or cell != cell:  # NaN, as pandas writes it
        return ""
    if name in PATHS:
        raise HsxError(f"{name}: expected a path in UTF-8, got {cell!a:.80}; correct it")
    return str(cell)


def _path(text: str) -> str:
    if len(text) > PATH or text.isspace() or _NO_TEXT.search(text):
        raise HsxError(f"expected a path in UTF-8, got {text!a:.80}; correct it")
    return text


def _number(kind: type, highest: float, what: str, text: str) -> Any:
    if text == "nan":
        return ""
    try:
        number = kind(float(text)) if kind is int and "." in text and float(text).is_integer() else kind(text)
    except ValueError:
        number = -1
    if not 0 <= number <= highest:
        raise HsxError(f"expected {what}, got {shown(text):.80}; correct it or leave it empty")
    return number


def _output(text: str) -> str:
    """The name of a result as the column gives it, made safe, without .png."""
    parts = _path(text).replace("\\", "/").split("/")
    *folders, stem = parts
    before, _, suffix = stem.rpartition(".")
    suffix = suffix.lower() if before else ""
    stem = before if suffix == "png" else stem
    got = f"got {shown(text)}"
    if text.startswith("/") or ":" in parts[0] or ".." in folders or not stem.strip(". "):
        raise HsxError(f"expected a name below the output folder, {got}; give one such as b/a.png")
    if suffix in ("jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"):
        raise HsxError(f"expected a name that ends in .png or in nothing, {got}; results are PNG")
    folders = [safe(folder) for folder in folders if folder not in ("", ".")]
    if any(folder.lower().endswith((".png", ".jsonl", ".yaml")) for folder in folders):
        raise HsxError(f"expected folders that do not end as results do (.png, .jsonl, .yaml), {got}; rename them")
    name = "/".join([*folders, safe(stem)])
    if re.fullmatch(r"grid(-\d+)?", name.lower()):
        raise HsxError(f"expected another name than that of the contact sheet, {got}; take another")
    return name


READERS: dict[str, Callable[[str], Any]] = {  # by column; others are ignored
    "content": _path,
    "style": _path,
    "mask": _path,
    "gamma": partial(_number, float, 1.0, "a number from 0 to 1"),
    "seed": partial(_number, int, SEED, f"an integer from 0 to {SEED}"),
    "output": _output,
}
