"""The output folder before a run: one folder is one run, and nothing of another is mixed with it or lost."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hsx.errors import HsxError, ImageError
from hsx.io.files import left_behind
from hsx.io.images import read_image
from hsx.pairs.pairing import PairList
from hsx.report.folders import RESULTS, SWEEP
from hsx.report.measured import clear_measured
from hsx.report.rendering import remove_pages
from hsx.store.journal import FOLDER as JOURNALS
from hsx.store.journal import objects
from hsx.store.records import record_of

CONFIG = "# The settings of the pictures beside this file, written by hsx.\n"  # the first line of config.yaml
FAILURES = "failures.jsonl"
PNG = b"\x89PNG\r\n\x1a\n"  # a PNG's beginning
END = b"IEND\xaeB`\x82"  # of a whole PNG
SETTINGS, LIST, FOREIGN = "of other settings", "of another list of pictures", "not made by hsx"


def check_writable(folder: Path, option: str) -> None:
    """Make a folder that an option names.  Raises HsxError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = (
            "it is a link to nothing"
            if os.path.islink(folder) and not folder.exists()
            else ("it is a file" if isinstance(error, FileExistsError) else error.strerror)
        )
        raise HsxError(
            f"{option}: expected a folder that can be written, got {folder} ({reason}); name another with --{option}"
        ) from None


def check_ours(folder: Path) -> None:
    """Refuse to replace a config.yaml, a list or a grid.png that hsx did not write, and the folder of a sweep."""
    if (folder / SWEEP).exists():
        wanted = f"expected a folder for a run, got {folder}, where a sweep is"
        raise HsxError(f"output_dir: {wanted}; name another with --output_dir")
    ours = {"config.yaml": _is_ours, RESULTS: _is_list, FAILURES: _is_list, "grid.png": record_of}
    for name, wrote in ours.items():
        if os.path.lexists(folder / name) and not wrote(folder / name):
            raise HsxError(
                f"output_dir: expected a folder whose {name} hsx may write, got {folder / name}, which it "
                "did not make; name another with --output_dir, or replace it with --overwrite true"
            )


@dataclass(frozen=True)
class Found:
    """What earlier runs left in an output folder.

    Attributes:
        folder: the output folder.
        results: the pairs that have a picture of the same settings, by number, and the fingerprints of these pictures.
        others: the pictures that are not of this run, with what they are.
    """

    folder: Path
    results: dict[int, str]
    others: dict[Path, str]


def refuse(found: Found) -> None:
    """Raise HsxError where there are pictures that are not of this run."""
    if found.others:
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(found.others.values()).items())
        raise HsxError(
            "output_dir: expected an empty folder or one with results of the same settings and pictures, got "
            f"{len(found.others)} of others in {found.folder} ({kinds}), such as "
            f"{next(iter(found.others)).relative_to(found.folder)}; name another with --output_dir, or replace them "
            "with --overwrite true"
        )


def clear(found: Found) -> None:
    """Take away what is not of this run: the lists first, so that at no moment they speak of other pictures.

    What hsx did not make stays.
    """
    for name in (RESULTS, FAILURES):
        (found.folder / name).unlink(missing_ok=True)
    clear_measured(found.folder)
    remove_pages(found.folder)
    shutil.rmtree(found.folder / JOURNALS, ignore_errors=True)
    for page in found.folder.glob("grid*.png"):
        if "sheet" in record_of(page):
            page.unlink()
    for picture, kind in found.others.items():
        if kind != FOREIGN:
            picture.unlink()
            for folder in picture.relative_to(found.folder).parents[:-1]:
                with suppress(OSError):  # something is left in it
                    (found.folder / folder).rmdir()


def look(folder: Path, pairs: PairList, settings: str) -> Found:
    """What is in an output folder already, by the records in its pictures.

    Args:
        settings: the digest of the run's settings.

    Raises:
        HsxError: where a result in the folder is a content, style or mask of the run, or the folder of a result belongs
            to another run.
    """
    found = Found(folder, {}, {})
    runs: list[Path] = []
    pictures = {path.relative_to(folder).as_posix()[: -len(".png")]: path for path in _pngs(folder, runs)}
    absolute = {str(path.absolute()) for path in pictures.values()}
    for picture in (*pairs.contents, *pairs.styles) if pictures else ():
        _check_apart(picture, absolute)
    theirs = {run.relative_to(folder).as_posix() + "/" for run in runs}
    valid, names = pairs.indices()[0] >= 0, set()
    for i in range(len(pairs)) if pictures or theirs else ():
        row = pairs[i] if valid[i] else None
        name = row.name if row else pairs.name(i)
        if row and row.mask:
            _check_apart(row.mask, absolute)
        if theirs and name.startswith(tuple(theirs)):
            raise HsxError(
                f"output: expected a name in a folder of this run, got {name} in {folder}, where another "
                "run's results are; take another name, or another --output_dir"
            )
        path = pictures.pop(name, None)
        record = record_of(path) if path else {}
        if path is None:
            names.add(name.casefold())
        elif not record:
            if not _is_rest(path):
                found.others[path] = FOREIGN
        elif record.get("settings_digest") != settings:
            found.others[path] = SETTINGS
        elif row and _is_whole(path):
            found.results[i] = record.get("made", "")
    for name, path in pictures.items():
        record = record_of(path)
        if not record:
            if name.casefold() in names and path.with_name(path.name.swapcase()).exists():
                found.others[path] = FOREIGN  # where names are the same in another case
        elif "sheet" not in record:
            found.others[path] = LIST if record.get("settings_digest") == settings else SETTINGS
    return found


def sweep(folder: Path) -> None:
    """Take away the temporary files of writers that were killed."""
    for here, files in _own(folder, []):
        for name in files:
            if name[0] == "." and name.endswith(".part") and left_behind(here / name):
                (here / name).unlink(missing_ok=True)


def _pngs(folder: Path, runs: list[Path]) -> Iterator[Path]:
    """The finished PNGs in a folder and below."""
    return (
        here / name
        for here, files in _own(folder, runs)
        for name in sorted(files)
        if name.endswith(".png") and name[0] != "."
    )


def _own(folder: Path, runs: list[Path]) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below with their files; those of other runs are added to ``runs`` and left alone."""
    for at, folders, files in os.walk(folder):
        here = Path(at)
        if here != folder and (RESULTS in files or _is_ours(here / "config.yaml")):
            runs.append(here)
            folders.clear()
        else:
            folders[:] = sorted(name for name in folders if name[0] != ".")  # no result is in a hidden one
            yield here, files


def _is_ours(config: Path) -> bool:
    """Whether hsx wrote a config.yaml."""
    try:
        with config.open("rb") as file:
            return file.read(len(CONFIG)) == CONFIG.encode()
    except OSError:
        return False


def _is_list(path: Path) -> bool:
    """Whether hsx wrote a list of results or of failures: in a folder with its config, or by what a line says."""
    try:
        with path.open("rb") as lines:
            return _is_ours(path.with_name("config.yaml")) or any("status" in line for line in objects(lines))
    except OSError:
        return False


def _is_rest(picture: Path) -> bool:
    """Whether a file without a record may be one that was emptied or cut, to be made again: no picture of its own."""
    with picture.open("rb") as file:
        start = file.read(len(PNG))
    if start.strip(b"\0") and not PNG.startswith(start):
        return False
    try:
        read_image(picture, 1)
    except ImageError:
        return True
    return False


def _is_whole(picture: Path) -> bool:
    """Whether a PNG has its end."""
    with picture.open("rb") as file:
        file.seek(-min(len(END), os.fstat(file.fileno()).st_size), os.SEEK_END)
        return file.read() == END


def _check_apart(picture: Path, found: Iterable[str]) -> None:
    """Refuse to take results of an earlier run, ``found`` in the output folder, for contents, styles or masks."""
    if str(picture.absolute()) in found and record_of(picture):
        raise HsxError(
            f"data: expected pictures that are no results in output_dir, got {picture}; move that "
            "folder away from your pictures and name it with --output_dir"
        )
