"""What ships with hsx: two small models and sample pictures, addressed as ``hsx://demo_faces`` and ``hsx://plain_faces``."""

from __future__ import annotations

import os
from pathlib import Path

SCHEME = "hsx://"


def resolve(path: str | Path) -> Path:
    """The place of ``path``: inside this package for ``hsx://…``, else as it is (``~`` expanded)."""
    text = str(path)
    if text.startswith(SCHEME):
        return Path(__file__).parent / text.removeprefix(SCHEME)
    return Path(os.path.expanduser(text))  # which leaves an unknown ~user as it is
