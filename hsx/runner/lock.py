"""One run at a time in a folder: two would each take the other's pictures for their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsx.errors import HsxError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_held: list[int] = []  # by this process


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Within it no other run begins in a folder, where its file system has locks; a kill at any moment ends it too.

    Raises:
        HsxError: where another run is in it.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    _held.append(handle)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HsxError(
                f"output_dir: expected a folder that no other run is working in, got {folder}, where one is "
                "at this moment; wait for its end, or name another with --output_dir"
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        _held.remove(handle)
        os.close(handle)


def _not_in_a_worker() -> None:
    """A forked process, such as a loader worker, may outlive the run and does not hold the folder with it."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_not_in_a_worker)
