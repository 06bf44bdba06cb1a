"""Errors are part of the interface: one line with what was expected, what was got, and what to do."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import category


class HsxError(Exception):
    """Anything a user can cause.  The command line prints its one line and exits with code 2, without a traceback."""


class BackboneError(HsxError):
    """A checkpoint that cannot be used, and why."""


class ImageError(HsxError):
    """A picture that cannot be read.  It fails only the pairs it belongs to."""


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, short."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def expanded(path: str, option: str) -> Path:
    """A path that an option names, with ``~`` as the home of the user.  Raises HsxError where no home is known."""
    found = os.path.expanduser(path)
    if found.startswith("~") and not os.path.lexists(found):
        raise HsxError(
            f"{option}: expected a path, got {path}, and no such home is known; give the whole path, or ./ before the ~"
        )
    return Path(found)


@contextmanager
def reported(name: str) -> Iterator[None]:
    """For a script: what a user causes ends it as it ends the command line, with one line and exit code 2.

    Raises:
        SystemExit: for an HsxError; other exceptions pass.
    """
    try:
        yield
    except HsxError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def shown(path: str | Path) -> str:
    """A path on one line: line breaks, and bytes that are no UTF-8, are escaped."""
    return "".join(
        c.encode("unicode_escape").decode() if category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in str(path)
    )
