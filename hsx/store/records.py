"""What a picture says of how it was made, in a text chunk of its PNG."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import hsx
from hsx import assets
from hsx.errors import HsxError
from hsx.io.digests import digest, file_digest
from hsx.io.png import png_text
from hsx.pairs.pairing import PairList, Row

RECORD = "hsx"  # the chunk's name


def to_json(record: dict[str, Any]) -> str:
    """On one line, letters as they are, but for names of files that are no UTF-8, which are escaped."""
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(record)


def record_of(picture: Path) -> dict[str, Any]:
    """How hsx made a picture; nothing for a foreign one."""
    try:
        found = json.loads(png_text(picture, RECORD) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Recorder:
    """What the pictures of a run say of themselves; picklable, for the processes that read pictures.

    Attributes:
        pairs: of the run.
        digests: of the pictures' pixels, by number: contents first, then styles.
        config: what all pictures of the run share, under the names that a config takes.
        fingerprint: of the network.
        settings: the digest of the run's settings.
        fit: how pictures and masks become square.
        seed: of rows without one.
    """

    pairs: PairList
    digests: dict[int, str]
    config: dict[str, Any]
    fingerprint: str
    settings: str
    fit: str
    seed: int

    def __post_init__(self) -> None:
        now()  # a wrong SOURCE_DATE_EPOCH is refused at once

    def pixels(self, row: Row) -> list[str]:
        """The digests of a pair's content and style.  Raises KeyError where one could not be read."""
        return [self.digests[row.content], self.digests[len(self.pairs.contents) + row.style]]

    def made(self, row: Row) -> str:
        """See ``made_from``.  Raises KeyError or ImageError for a picture or a mask that could not be read."""
        seed = self.seed if row.seed is None else row.seed
        return made_from(self.settings, self.pixels(row), row.mask, self.fit, row.gamma, seed)

    def own(self, row: Row) -> dict[str, Any]:
        """What the picture of a pair says that others do not: its pictures, its options and what they come to."""
        return {
            "name": row.name,
            "content": portable(self.pairs.contents[row.content]),
            "style": portable(self.pairs.styles[row.style]),
            "mask": None if row.mask is None else portable(row.mask),
            "gamma": row.gamma,
            "seed": self.seed if row.seed is None else row.seed,
            "pixels": self.pixels(row),
            "made": self.made(row),
        }

    def whole(self, own: dict[str, Any], computed: dict[str, Any]) -> str:
        """All that is needed to make the picture of a pair again, as it is kept inside it.

        Args:
            own: as ``own`` gives it.
            computed: what decides its last bits.
        """
        import diffusers  # heavy, as torch is, and not needed to read a record
        import torch

        last = "pixels", "made"
        return to_json(
            {
                "hsx": hsx.__version__,
                "torch": torch.__version__,
                "diffusers": diffusers.__version__,
                "date": now(),
                **{name: value for name, value in own.items() if name not in last},
                **self.config,
                "computed": computed,
                "fingerprint": self.fingerprint,
                "settings_digest": self.settings,
                **{name: own[name] for name in last},
            }
        )


def made_from(settings: str, pixels: list[str], mask: Path | None, fit: str, gamma: float | None, seed: int) -> str:
    """A hash of all that decides how a picture looks.  Raises ImageError for a mask that cannot be read."""
    own = {"mask": None if mask is None else [file_digest(mask), fit], "gamma": gamma, "seed": seed}
    return digest(settings, pixels, own)


def portable(path: Path) -> str:
    """A path that is the same from any folder; what ships with hsx as hsx://."""
    inside = os.path.realpath(path.parent) if ".." in path.parts else os.path.abspath(path.parent)  # links may be in it
    whole, ours = Path(inside, path.name), Path(assets.__file__).parent
    return assets.SCHEME + whole.relative_to(ours).as_posix() if whole.is_relative_to(ours) else str(whole)


def now() -> str:
    """The time in UTC, to the second: that of SOURCE_DATE_EPOCH where it is set, so that files can be compared.

    Raises:
        HsxError: where that is no time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.fromtimestamp(int(epoch), timezone.utc) if epoch else datetime.now(timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise HsxError(
            f"SOURCE_DATE_EPOCH: expected seconds since 1970, got {epoch:.80}; correct it or unset it"
        ) from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
