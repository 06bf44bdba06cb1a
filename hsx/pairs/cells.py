"""What the cells of a table's row say, or in which way they say nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from hsx.errors import HsxError, shown
from hsx.pairs.pairing import safe
from hsx.pairs.rows import Cells

SEED = 2**63 - 1  # at most


class Given(NamedTuple):
    """What a row says."""

    content: str
    style: str
    mask: str | None = None
    gamma: float | None = None
    seed: int | None = None
    output: str | None = None


def checked(cells: Cells) -> Given:
    """A row's cells as what they say.  Raises HsxError for what they cannot say."""
    if isinstance(cells, HsxError):
        raise cells
    content, style = _path(cells, "content"), _path(cells, "style")
    if content is None or style is None:
        raise HsxError(f"expected a content and a style, got no {'style' if content else 'content'}; fill it in")
    if len(cells) == 2:
        return Given(content, style)
    gamma = _number(cells, "gamma", float, "a number from 0 to 1", 0.0, 1.0)
    seed = _number(cells, "seed", int, f"an integer from 0 to {SEED}", 0, SEED)
    return Given(content, style, _path(cells, "mask"), gamma, seed, _output(_text(cells, "output")))


def readable(cells: Cells) -> Given:
    """What a bad row will probably say when it is corrected: its pictures and its name, empty where nobody can know."""
    told = {} if isinstance(cells, HsxError) else cells

    def known(read: Callable[[], str | None]) -> str | None:
        try:
            return read()
        except HsxError:
            return ""

    content, style = known(lambda: _path(told, "content")) or "", known(lambda: _path(told, "style")) or ""
    return Given(content, style, output=known(lambda: _output(_text(told, "output"))) if content and style else "")


def _path(cells: dict, name: str) -> str | None:
    text = cells.get(name)
    if text is None or text == "" or text != text:  # pandas writes what is missing as NaN
        return None
    if not isinstance(text, str) or not text.strip() or "\0" in text or not (text.isascii() or _is_utf8(text)):
        raise HsxError(f"{name}: expected a path in UTF-8, got {text!a:.80}; correct it")
    return text


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _text(cells: dict, name: str) -> str | None:
    value = cells.get(name)
    return None if value is None or value == "" else str(value)


def _number(cells: dict, name: str, kind: type, what: str, low: float, high: float):  # type: ignore[no-untyped-def]
    text = _text(cells, name)
    if text is None or text == "nan":
        return None
    try:
        value = kind(float(text)) if kind is int and float(text).is_integer() and "." in text else kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        raise HsxError(f"{name}: expected {what}, got {shown(text):.80}; correct it or leave it empty")
    return value


def _output(text: str | None) -> str | None:
    """The name of a result as the column gives it, made safe, without .png."""
    if text is None:
        return None
    parts = text.replace("\\", "/").split("/")
    *folders, stem = parts
    dot = stem.rpartition(".")
    suffix = dot[2].lower() if dot[0] else ""
    if suffix == "png":
        stem = dot[0]
    if text.startswith("/") or ":" in parts[0] or ".." in folders or not stem.strip(". "):
        raise HsxError(f"output: expected a name below the output folder, got {shown(text)}; give one such as b/a.png")
    if suffix in ("jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff"):
        raise HsxError(f"output: expected a name that ends in .png or in nothing, got {shown(text)}; results are PNG")
    folders = [safe(folder) for folder in folders if folder not in ("", ".")]
    if any(folder.lower().endswith((".png", ".jsonl", ".yaml")) for folder in folders):
        raise HsxError(
            f"output: expected folders that do not end as results do (.png, .jsonl, .yaml), got "
            f"{shown(text)}; rename them"
        )
    name = "/".join([*folders, safe(stem)])
    if re.fullmatch(r"grid(-\d+)?", name.lower()):
        raise HsxError(f"output: expected another name than that of the contact sheet, got {shown(text)}; take another")
    return name
