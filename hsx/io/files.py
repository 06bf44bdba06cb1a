"""Files whole or not at all: written under a temporary name, which then takes the place of the real one."""

from __future__ import annotations

import os
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hsx.errors import HsxError

COPIES = "hsx-copies.txt"  # a file in a folder of hsx's own copies of pictures, which nobody means to transfer
PART_AGE = 3600  # seconds after which a temporary file has no living writer


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its place when the block ends well, and goes when it does not.

    Its name holds host and process, for ``left_behind``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{_host()}-{os.getpid()}-", suffix=".part")
    os.close(handle)
    part = Path(name)
    try:
        yield part
        os.umask(mask := os.umask(0))  # which can only be read by setting it
        part.chmod(0o666 & ~mask)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_made(folder: Path, made: Mapping[str, Callable[[Path], object]]) -> None:
    """Raises HsxError where a file that is to be written would replace one that hsx did not write.

    Args:
        folder: the one that ``output_dir`` names.
        made: by the file's name, what tells whether hsx wrote the one that is there.
    """
    for name, ours in made.items():
        path = folder / name
        if os.path.lexists(path) and not ours(path):
            wanted = f"expected a folder whose {name} hsx may write, got {path}, which it did not make"
            raise HsxError(f"output_dir: {wanted}; name another with --output_dir")


def in_the_way(place: Path) -> bool:
    """Whether something that is no folder has a folder's place: a file, or a link, which leads out of the one above."""
    return os.path.lexists(place) and (place.is_symlink() or not place.is_dir())


def left_behind(part: Path) -> bool:
    """Whether the writer of a temporary file of ``atomic`` is dead: a process of this host, or silent for an hour."""
    host, _, writer = part.name[1:].rpartition("-")[0].rpartition("-")
    try:
        if time.time() - part.stat().st_mtime > PART_AGE:
            return True
        if host == _host() and os.name == "posix":
            os.kill(int(writer), 0)  # only checks that it runs
    except ProcessLookupError:
        return True
    except (OSError, ValueError):  # just removed, another user's, or of another name
        pass
    return False


def _host() -> str:
    return re.sub(r"\W", "-", socket.gethostname())[:60]
