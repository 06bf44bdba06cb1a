"""What is measured: results, what each was made from, and where these pictures are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from hsx.assets import resolve
from hsx.errors import HsxError, ImageError, shown
from hsx.io.formats import likely
from hsx.io.reading import reading
from hsx.pairs.sources import find_images
from hsx.store.records import record_of

LOOKS = 100  # results at most that are opened to learn their size


class Result(NamedTuple):
    """A result and what it was made from.

    Attributes:
        name: of its row.
        picture: where it is.
        content, style: where these are, as the run or the table names them; "" where that is not known.
        truth: where the known answer is; "" where there is none.
    """

    name: str
    picture: str
    content: str = ""
    style: str = ""
    truth: str = ""


@dataclass(frozen=True)
class Results:
    """The rows of an evaluation, the same in every process.

    Attributes:
        rows: the results.
        fit: how pictures become square.
        failures: the rows that cannot be measured, by name, and why.
        before: how many pairs had failed in the run.
        recorded: whether results hold records, which say where content and style are and what pixels they had.
        moved: the folders that contents and styles are in now, by kind.
        reconstructions: each style given back, by its place as the rows name it.
        given_size: pixels a side at which pictures are compared; None: see ``size``.
    """

    rows: Sequence[Result]
    fit: str
    failures: Mapping[str, str] = field(default_factory=dict)
    before: int = 0
    recorded: bool = False
    moved: Mapping[str, Path] = field(default_factory=dict)
    reconstructions: Mapping[str, Path] = field(default_factory=dict)
    given_size: int | None = None

    @property
    def kinds(self) -> set[str]:
        """The kinds of pictures that at least one row has."""
        named = {kind for kind in ("content", "style", "truth") if any(getattr(row, kind) for row in self.rows)}
        return {"result", *named, *({"reconstruction"} if self.reconstructions else ())}

    @cached_property
    def size(self) -> int:
        """Pixels a side: as given, or the shorter side of the first result, of a run the first with a record."""
        sides = []
        for row in self.rows[:LOOKS] if self.given_size is None else ():
            picture = Path(row.picture)
            try:
                sides.append(_shorter_side(picture))
            except ImageError:
                continue
            if not self.recorded or record_of(picture):
                return sides[-1]
        return self.given_size or next(iter(sides), 1)

    def places(self, row: Result, record: Mapping[str, Any]) -> dict[str, Path]:
        """Where the pictures of a row are, by kind; ``record`` is that in its result, empty for none."""
        found = {"result": Path(row.picture)}
        for kind in ("content", "style"):
            said, own = getattr(row, kind), record.get(kind)
            if said and kind in self.moved:
                found[kind] = self.moved[kind] / os.path.basename(said)
            elif said:
                found[kind] = resolve(own if isinstance(own, str) and own else said)
        if row.truth:
            found["truth"] = resolve(row.truth)
        if row.style in self.reconstructions:
            found["reconstruction"] = self.reconstructions[row.style]
        return found

    def with_truth(self, folder: str) -> Results:
        """Each row with the picture in ``folder`` that has its name, or its last part; rows without one have failed.

        Raises:
            HsxError: where the folder has none of the names.
        """
        known = ByName(folder, "truth")
        rows, failures = [], dict(self.failures)
        for row in self.rows:
            name = row.name if row.name in known else row.name.rpartition("/")[2]
            try:
                rows.append(row._replace(truth=known[name]))
            except HsxError as error:
                failures[row.name] = str(error)
        if self.rows and not rows:
            wanted = f"pictures named as the results, such as {shown(self.rows[0].name)}.png"
            raise HsxError(f"truth: expected {wanted}, found none of them in {folder}; name another folder")
        return replace(self, rows=rows, failures=failures)


class ByName:
    """The pictures in a folder and below, by their paths in it without suffixes.

    Args:
        option: which one names the folder.

    Raises:
        HsxError: where there is no such folder, or no picture in it.
    """

    def __init__(self, folder: str, option: str) -> None:
        self.folder, self.option = a_folder(folder, option), option
        self.places: dict[str, list[str]] = {}
        for path in find_images(folder, option):
            self.places.setdefault(path.relative_to(self.folder).with_suffix("").as_posix(), []).append(str(path))

    def __contains__(self, name: str) -> bool:
        return name in self.places

    def __getitem__(self, name: str) -> str:
        """The one of that name.  Raises HsxError where there is none, or several."""
        found = self.places.get(name, [])
        if len(found) != 1:
            count = f"{len(found)} of that name" if found else "none"
            wanted = f"expected one picture named {shown(name)} in {self.folder}"
            raise HsxError(f"{self.option}: {wanted}, found {count}; add it, or rename others")
        return found[0]


def a_folder(given: str, option: str) -> Path:
    """A folder that an option names.  Raises HsxError where there is none."""
    path = resolve(given) if given.strip() else Path()
    if not given.strip() or not path.is_dir():
        raise HsxError(f"{option}: expected a folder of pictures, got {shown(given) or 'an empty name'}; name one")
    return path


def _shorter_side(picture: Path) -> int:
    with reading(picture, "picture"), Image.open(picture, formats=likely(picture)) as opened:
        return min(opened.size)
