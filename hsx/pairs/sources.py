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
from hsx.io.formats import is_everyday, not_read, suffixes
from hsx.io.images import read_image
from hsx.io.reading import unsaid

MAGIC = "*?["
Scan = Callable[[Path], list[os.DirEntry[str]]]

log = logging.getLogger("hsx")


def find_images(source: str, option: str = "pictures") -> list[Path]:
    """The pictures ``source`` names: a picture, a folder, a pattern such as ``data/**/a*.png``, or a list of paths.

    Folders are searched with the folders in them, sorted by path.  A list is a ``.txt`` file with a path a line,
    relative to it; its order is kept, and so is a path that occurs twice.

    Raises:
        HsxError: naming ``option``, where nothing is found, or nothing that is a picture.
    """
    if not source.strip():
        raise HsxError(f"{option}: expected a picture or a folder of pictures, got an empty name; give a path")
    path = resolve(source)
    if os.path.isdir(path):
        return in_folder(path, option)
    if path.suffix.lower() == ".txt" and os.path.isfile(path):
        return listed(path, option)
    if os.path.lexists(path):
        with unsaid():
            read_image(path, 1)  # a single file that is no picture is refused at once
        return [path]
    if set(MAGIC) & set(source):
        return matching(path, option)
    raise HsxError(
        f"{option}: expected a picture or a folder of pictures, found nothing at {shown(source)}; check the path"
    )


def in_folder(folder: Path, option: str) -> list[Path]:
    """The pictures in ``folder`` and the folders in it, following links and skipping hidden files; sorted by path.

    Raises:
        HsxError: naming ``option``, where the folder cannot be read or holds none.
    """
    try:
        os.scandir(folder).close()
    except OSError as error:
        raise HsxError(
            f"{option}: expected a folder that can be read, got {shown(folder)} ({error.strerror}); "
            "check its permissions"
        ) from None
    files, others = _sorted_by_kind(_files([folder], _scan))
    if not files:
        raise HsxError(
            f"{option}: expected pictures (.png, .jpg, .webp and others), found none in the folder "
            f"{shown(folder)}" + (f" but {_summary(others)}" if others else "; put some there or name another folder")
        )
    _warn_left_out(others, option, folder)
    return files


def matching(pattern: Path, option: str) -> list[Path]:
    """The pictures that match ``pattern``, and those in folders that match; ``**`` is any depth; sorted by path.

    Raises:
        HsxError: naming ``option``, where there are none.
    """
    scan, real = cache(_scan), cache(os.path.realpath)
    parts = pattern.parts
    fixed = next((i for i, part in enumerate(parts) if set(part) & set(MAGIC)), len(parts))
    found = [Path(*parts[:fixed])]
    for part in parts[fixed:]:
        if part == "**":
            found = [folder for folder, _ in _folders(found, scan)]
        else:
            found = [Path(e) for path in found for e in scan(path) if fnmatchcase(e.name, part)]
    files, others = _sorted_by_kind(
        [
            *(path for path in found if not os.path.isdir(path)),
            *_files((path for path in found if os.path.isdir(path)), scan),
        ]
    )
    once: dict[tuple[str, str], Path] = {}
    for path in sorted(files, key=lambda path: (len(path.parts), path)):
        once.setdefault((real(path.parent), path.name), path)  # its shortest path
    if not once:
        raise HsxError(
            f"{option}: expected pictures (.png, .jpg, .webp and others) that match {shown(pattern)}, "
            f"found none{f' but {_summary(others)}' if others else '; check the pattern'}"
        )
    _warn_left_out(others, option, pattern)
    return sorted(once.values())


def listed(file: Path, option: str) -> list[Path]:
    """The paths in the text ``file``, one a line, relative to its folder, in its order.

    Blanks around a path are stripped.  Blank lines and lines that start with # are skipped.  Whether the files exist is
    checked only where all paths seem to be relative to the current folder.

    Raises:
        HsxError: naming ``option``, for a file that cannot be read, is not UTF-8, holds no path, or holds paths
            relative to another folder.
    """
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise HsxError(
            f"{option}: expected a text file with a path a line, could not read {shown(file)} ({reason}); check it"
        ) from None
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


def _files(folders: Iterable[Path], scan: Scan) -> Iterator[Path]:
    """The files in ``folders`` and below."""
    for _, entries in _folders(folders, scan):
        yield from (
            Path(entry)
            for entry in entries
            if not (os.path.isdir(entry) if entry.is_symlink() else entry.is_dir(follow_symlinks=False))
        )


def _sorted_by_kind(files: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """The files with a picture's suffix, and those without one that are probably pictures too; both sorted.

    Whether the former can be opened shows when they are read.
    """
    pictures, others = [], []
    read, known = suffixes(), not_read()
    unfinished = re.compile("|".join(map(re.escape, read)), re.IGNORECASE)
    for path in files:
        name = path.name.lower()
        if name.endswith(read):
            pictures.append(path)
        elif name.endswith(known) or (not path.suffix or unfinished.search(name)) and is_everyday(path):
            others.append(path)
    return sorted(pictures), sorted(others)


def _summary(others: list[Path]) -> str:
    """Files that are probably pictures but are left out: how many by suffix, one of them, and what to do."""
    counts = Counter(path.suffix.lower() or "without a suffix" for path in others).most_common()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts[:5])
    more = f" and {sum(count for _, count in counts[5:])} others" if counts[5:] else ""
    kinds_unread = [path.name.lower().endswith(not_read()) for path in others]
    remedies = ["convert them to PNG or JPEG"] * any(kinds_unread)
    remedies += ["give those with the bytes of a picture its suffix"] * (not all(kinds_unread))
    return f"{shown(kinds)}{more}, such as {shown(others[0].name)}; {', '.join(remedies)}"


def _warn_left_out(others: list[Path], option: str, where: Path) -> None:
    """Warn of files that are left out, if there are any."""
    if others:
        log.warning(
            "%s: files in %s that may be meant as pictures are left out: %s", option, shown(where), _summary(others)
        )


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
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                queue.appendleft(Path(entry))
            elif entry.is_symlink() and os.path.isdir(entry):
                queue.append(Path(entry))


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder that are not hidden; a folder that cannot be read is skipped with a warning."""
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        log.warning("the folder %s is skipped: %s", shown(folder), error.strerror)
        return []
