"""Standard streams that are closed, full, or read by nobody any more."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def opened() -> None:
    """What is written to a closed stream (``>&-``) is lost from now on, and no file that is opened takes its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def unwritten(error: OSError) -> int:
    """The output could not be written: the exit code, 0 where its reader, such as head, has enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0
    return refused(f"expected to write, could not ({error.strerror}); free some space")


def refused(reason: str) -> int:
    """Say on stderr why; the exit code."""
    try:
        print(f"hsx: error: {reason}", file=sys.stderr, flush=True)
    except OSError:  # full too
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return 2
