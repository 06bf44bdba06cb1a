"""The record of how a picture was made, in a text chunk of its PNG."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import hsx
from hsx import assets
from hsx.errors import HsxError
from hsx.io.png import png_text
from hsx.pairs.pairing import PairList, Row
from hsx.store.fingerprints import Fingerprints
from hsx.store.journal import objects

RECORD = "hsx"  # the chunk's name


def to_json(record: dict[str, Any]) -> str:
    """JSON on one line, without escapes unless the name of a file is not UTF-8."""
    text = json.dumps(record, ensure_ascii=False)
    return text if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text) else json.dumps(record)


def record_of(picture: Path) -> dict[str, Any]:
    """How hsx made a picture; empty for one that it did not make."""
    return next(objects([png_text(picture, RECORD) or ""]), {})


@dataclass(frozen=True)
class Recorder:
    """Writes the records of a run's pictures; picklable, for the processes that read pictures.

    Attributes:
        pairs: of the run.
        pixels: the digests of the pictures' pixels by number, contents first, then styles.
        shared: what all records of the run hold, under a config's names.
        network: the network's fingerprint.
        fingerprints: of the run.
        seed: of rows without one.
    """

    pairs: PairList
    pixels: Mapping[int, str]
    shared: dict[str, Any]
    network: str
    fingerprints: Fingerprints
    seed: int

    def __post_init__(self) -> None:
        now()  # a wrong SOURCE_DATE_EPOCH is refused at once

    def own(self, row: Row) -> dict[str, Any]:
        """The part of a record that differs between pairs: pictures, options, fingerprint.

        Raises:
            KeyError: where the pixels of a picture are not known.
            ImageError: for a mask that cannot be read.
        """
        pixels = [self.pixels[row.content], self.pixels[len(self.pairs.contents) + row.style]]
        seed = self.seed if row.seed is None else row.seed
        files = {"content": self.pairs.contents[row.content], "style": self.pairs.styles[row.style], "mask": row.mask}
        paths = {name: None if path is None else portable(path) for name, path in files.items()}
        fingerprint = self.fingerprints.picture(pixels, row.mask, row.gamma, seed)
        return {"name": row.name, **paths, "gamma": row.gamma, "seed": seed, "pixels": pixels, "made": fingerprint}

    def whole(self, own: dict[str, Any], computed: dict[str, Any]) -> str:
        """The whole record of a pair: all that is needed to make its picture again.

        Args:
            own: as from ``own``.
            computed: what decides its last bits.
        """
        import diffusers  # heavy, as torch is, and not needed to read a record
        import torch

        versions = {library.__name__: library.__version__ for library in (hsx, torch, diffusers)}
        last = {name: own[name] for name in ("pixels", "made")}
        first = {name: value for name, value in own.items() if name not in last}
        run = {"computed": computed, "fingerprint": self.network, "settings_digest": self.fingerprints.run}
        return to_json({**versions, "date": now(), **first, **self.shared, **run, **last})


def portable(path: Path) -> str:
    """A path that is the same from any folder; hsx:// for what ships with hsx."""
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
        why = f"expected seconds since 1970, got {epoch:.80}"
        raise HsxError(f"SOURCE_DATE_EPOCH: {why}; correct it or unset it") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
