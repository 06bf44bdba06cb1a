"""The output folder before a run: whether it can be written, and whether what is in it is hsx's to replace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from hsx.engine.record import record_of
from hsx.errors import HsxError

CONFIG = "# The settings of the pictures beside this file, written by hsx.\n"  # the first line of config.yaml


def check_writable(folder: Path, option: str) -> None:
    """Make a folder that an option names.  Raises HsxError where it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise HsxError(f"{option}: expected a folder that can be written, got {folder} ({reason}); "
                       f"name another with --{option}") from None


def check_ours(folder: Path) -> None:
    """Refuse to replace a config.yaml or a grid.png that hsx did not write."""
    config, sheet = folder / "config.yaml", folder / "grid.png"
    foreign = [config] if config.exists() and not config.read_bytes().startswith(CONFIG.encode()) else []
    foreign += [sheet] if sheet.exists() and not record_of(sheet) else []
    if foreign:
        raise HsxError(f"output_dir: expected a folder whose {foreign[0].name} hsx may write, got {foreign[0]} of "
                       "another hand; name another with --output_dir, or replace it with --overwrite true")


def check_apart(found: Iterable[Path], pictures: Iterable[Path]) -> None:
    """Refuse to take results of an earlier run, ``found`` in the output folder, for contents or styles."""
    made = {str(path.absolute()) for path in found}
    for picture in pictures if made else ():
        if str(picture.absolute()) in made and record_of(picture):
            raise HsxError(f"data: expected pictures that are no results in output_dir, got {picture}; move that "
                           "folder away from your pictures and name it with --output_dir")


def pngs(folder: Path) -> Iterator[Path]:
    """All finished PNGs below a folder."""
    return (path for path in folder.rglob("*.png") if path.name[0] != ".")
