"""Hashes that tell settings and pictures apart."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from hsx.io.reading import reading


def digest(*parts: object) -> str:
    """A short hash of plain values, 24 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def file_digest(path: Path) -> str:
    """A hash of a file's bytes.  Raises ImageError for one that cannot be read."""
    with reading(path, "picture"):
        return hashlib.sha256(path.read_bytes()).hexdigest()
