"""Which files a folder, a pattern or a text list names."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from hsx.assets import resolve
from hsx.errors import HsxError, shown
from hsx.io.files import COPIES
from hsx.io.formats import is_everyday, not_read, suffixes
from hsx.io.images import read_image
from hsx.io.reading import unsaid

MAGIC = "*?["
Scan = Callable[[Path], list[os.DirEntry[str]]]

log = logging.getLogger("hsx")


def find_images(source: str, option: str = "pictures") -> list[Path]:
    """The pictures ``source`` names: a picture, a folder, a pattern such as ``data/**/a*.png``, or a list of paths.

    Folders are searched with the folders in them, sorted by path; links are followed, hidden files skipped.  In a
    pattern, ``**`` is any depth.  A list is a ``.txt`` file with a path a line, relative to it; its order is kept, and
    so is a path that occurs twice; blank lines and lines that start with # are skipped.

    Raises:
        HsxError: naming ``option``, where nothing is found, or nothing that is a picture.
    """
    if not source.strip():
        raise HsxError(f"{option}: expected a picture or a folder of pictures, got an empty name; give a path")
    path, scan = resolve(source), cache(_scan)
    if os.path.isdir(path):
        try:
            os.scandir(path).close()
        except OSError as error:
            reason = f"got {shown(path)} ({error.strerror}); check its permissions"
            raise HsxError(f"{option}: expected a folder that can be read, {reason}") from None
        return _pictures([path], scan, option, path, "in the folder", "put some there or name another folder")
    if path.suffix.lower() == ".txt" and os.path.isfile(path):
        return _listed(path, option)
    if os.path.lexists(path):
        with unsaid():
            read_image(path, 1)  # a single file that is no picture is refused at once
        return [path]
    if set(MAGIC) & set(source):
        return _pictures(_matches(path, scan), scan, option, path, "that match", "check the pattern")
    found = f"found nothing at {shown(source)}; check the path"
    raise HsxError(f"{option}: expected a picture or a folder of pictures, {found}")


def _matches(pattern: Path, scan: Scan) -> list[Path]:
    parts = pattern.parts
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    found = [Path(*parts[:fixed])]
    for part in parts[fixed:]:
        if part == "**":
            found = [folder for folder, _ in _folders(found, scan)]
        else:
            found = [Path(e) for path in found for e in scan(path) if fnmatchcase(e.name, part)]
    return found


def _pictures(found: list[Path], scan: Scan, option: str, source: Path, where: str, remedy: str) -> list[Path]:
    """The files ``found``, and those in folders, that have a picture's suffix; each once, by its shortest path, sorted.

    Whether they can be opened shows when they are read.  Of others that are probably pictures it warns.
    """
    folders = [path for path in found if os.path.isdir(path)]
    files = [path for path in found if not os.path.isdir(path)]
    files += [Path(e) for _, entries in _folders(folders, scan) for e in entries if not _is_folder(e)]
    real, once = cache(os.path.realpath), dict[tuple[str, str], Path]()
    for path in sorted(files, key=lambda path: (len(path.parts), path)):
        once.setdefault((real(path.parent), path.name), path)
    pictures, others = [], []
    unfinished = re.compile("|".join(map(re.escape, suffixes())), re.IGNORECASE)
    for path in sorted(once.values()):
        name = path.name.lower()
        if name.endswith(suffixes()):
            pictures.append(path)
        elif name.endswith(not_read()) or (not path.suffix or unfinished.search(name)) and is_everyday(path):
            others.append(path)
    if not pictures:
        instead = f" but {_summary(others)}" if others else f"; {remedy}"
        expected = f"expected pictures (.png, .jpg, .webp and others) {where} {shown(source)}"
        raise HsxError(f"{option}: {expected}, found none{instead}")
    if others:
        message = "%s: files in %s that may be meant as pictures are left out: %s"
        log.warning(message, option, shown(source), _summary(others))
    return pictures


def _listed(file: Path, option: str) -> list[Path]:
    """The paths a text lists; that they are there is checked only where all seem relative to the current folder."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        got = f"could not read {shown(file)} ({reason}); check it"
        raise HsxError(f"{option}: expected a text file with a path a line, {got}") from None
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise HsxError(f"{option}: expected a path a line, found none in {shown(file)}; list some pictures there")
    relative = [line for line in lines if not os.path.isabs(line)]
    if not any(os.path.lexists(file.parent / line) for line in relative):
        for line in filter(os.path.lexists, relative):
            raise HsxError(
                f"{option}: expected paths relative to the list {shown(file)}, got {shown(line)}, which is "
                "in the current folder, not beside the list; move the list, or write absolute paths"
            )
    return [file.parent / line for line in lines]


def _summary(others: list[Path]) -> str:
    """Files that are probably pictures but are left out: how many by suffix, one of them, and what to do."""
    counts = Counter(path.suffix.lower() or "without a suffix" for path in others).most_common()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts[:5])
    more = f" and {sum(count for _, count in counts[5:])} others" if counts[5:] else ""
    unread = {path.name.lower().endswith(not_read()) for path in others}
    remedies = {True: "convert them to PNG or JPEG", False: "give those with the bytes of a picture its suffix"}
    remedy = ", ".join(remedies[kind] for kind in remedies if kind in unread)
    return f"{shown(kinds)}{more}, such as {shown(others[0].name)}; {remedy}"


def _folders(roots: Iterable[Path], scan: Scan) -> Iterator[tuple[Path, list[os.DirEntry[str]]]]:
    """The folders ``roots`` and those below them with their entries, each real folder once, links last."""
    queue, seen = deque(sorted(roots, key=os.path.islink)), set()
    while queue:
        folder = queue.popleft()
        real = os.path.realpath(folder)
        entries = [] if real in seen else scan(folder)
        if not entries:
            continue
        seen.add(real)
        yield folder, entries
        for entry in filter(_is_folder, entries):
            if entry.is_symlink():
                queue.append(Path(entry))
            else:
                queue.appendleft(Path(entry))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is, or links to, a folder; only a link costs a system call."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir(follow_symlinks=False)


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder that are not hidden, none of one of COPIES; one that cannot be read is warned of."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
        return [] if any(e.name == COPIES for e in found) else found
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.warning("the folder %s is skipped: %s", shown(folder), error.strerror)
        return []
