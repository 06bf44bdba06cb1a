"""What a picture says of how it was made, in a text chunk of its PNG."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsx.engine.digests import digest
from hsx.engine.pairing import PairList, Row
from hsx.images import file_digest, png_text

RECORD = "hsx"  # the chunk's name


def to_json(record: dict[str, Any]) -> str:
    """On one line, letters as they are, but for names of files that are no UTF-8, which are escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(record)


def record_of(picture: Path) -> dict[str, Any]:
    """How hsx made a picture; nothing for a foreign one."""
    try:
        found = json.loads(png_text(picture, RECORD) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Recorder:
    """What the pictures of a run say of themselves; picklable, for the processes that read pictures.

    Attributes:
        pairs: of the run.
        digests: of the pictures' pixels, by number: contents first, then styles.
        common: what all pictures of the run say.
        settings: the digest of the run's settings.
        fit: how pictures and masks become square.
        seed: of rows without one.
    """

    pairs: PairList
    digests: dict[int, str]
    common: dict[str, Any]
    settings: str
    fit: str
    seed: int

    def pixels(self, row: Row) -> list[str]:
        """The digests of a pair's content and style.  Raises KeyError where one could not be read."""
        return [self.digests[row.content], self.digests[len(self.pairs.contents) + row.style]]

    def made(self, row: Row) -> str:
        """A hash of all that decides how the picture of a pair looks.

        Raises:
            KeyError, ImageError: for a picture or a mask that could not be read.
        """
        own = {"mask": None if row.mask is None else [file_digest(row.mask), self.fit], "gamma": row.gamma,
               "seed": self.seed if row.seed is None else row.seed}
        return digest(self.settings, self.pixels(row), own)

    def of(self, row: Row) -> dict[str, Any]:
        """All that is needed to make the picture of a pair again."""
        return {
            "name": row.name, "content": str(self.pairs.contents[row.content]),
            "style": str(self.pairs.styles[row.style]), "mask": None if row.mask is None else str(row.mask),
            "gamma": row.gamma, "seed": self.seed if row.seed is None else row.seed, **self.common,
            "pixels": self.pixels(row), "made": self.made(row)}
