"""Hashes that tell settings and pictures apart."""

from __future__ import annotations

import hashlib
import json


def digest(*parts: object) -> str:
    """A short hash of plain values, 24 hex digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]
