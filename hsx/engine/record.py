"""What a picture says of how it was made, in a text chunk of its PNG."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hsx.images import png_text

RECORD = "hsx"  # the chunk's name


def to_json(record: dict[str, Any]) -> str:
    """On one line, letters as they are, but for names of files that are no UTF-8, which are escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(record)


def record_of(picture: Path) -> dict[str, Any]:
    """How hsx made a picture; nothing for a foreign one."""
    try:
        found = json.loads(png_text(picture, RECORD) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
