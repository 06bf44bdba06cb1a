"""What a config's section ``data`` names: which contents go with which styles."""

from __future__ import annotations

import os
from typing import Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from hsx.assets import resolve
from hsx.errors import HsxError
from hsx.io.reading import Fit
from hsx.pairs.pairing import PairList, product, random_pairs, zipped
from hsx.pairs.sources import find_images
from hsx.pairs.table import read_table

WORKERS = 8  # processes that read pictures, at most, for each core


class Pairs:
    """Which contents go with which styles.

    Args:
        contents: whose content is kept: a picture, a folder of pictures, a glob, or a text file with a path a line.
        styles: whose style is taken, likewise.
        pairs: instead of both, a CSV, JSONL or Parquet table with the columns content and style, and optionally mask,
            gamma, seed and output, a row a pair; paths are relative to the table.  In a config also a list of such rows
            as mappings, with paths relative to the current folder.
        pairing: product (each content with each style), zip (the first with the first, and so on) or random.
        per_content: how many styles each content is given at random.
        pairing_seed: the seed of the random pairing.
        fit: how pictures become square: crop (the middle), pad (with white) or stretch.
        batch_size: how many pictures go through the network at once; results do not depend on it, but for the last
            rounding (1 of 255 in a few pixels).  auto: on a GPU as many as fit, else 16.
        num_workers: processes that read pictures ahead.
    """

    def __init__(
        self,
        contents: str | None = None,
        styles: str | None = None,
        pairs: str | list[dict[str, str | int | float | None]] | None = None,
        pairing: Literal["product", "zip", "random"] = "product",
        per_content: PositiveInt = 1,
        pairing_seed: NonNegativeInt = 0,
        fit: Fit = "crop",
        batch_size: PositiveInt | Literal["auto"] = 4,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        limit = WORKERS * (os.cpu_count() or 1)
        if num_workers > limit:
            raise HsxError(
                f"data.num_workers: expected at most {limit} ({WORKERS} a core), got {num_workers}; a few are enough"
            )
        self.batch_size, self.num_workers, self.fit = batch_size, num_workers, fit
        self.pairs = self._pairs(contents, styles, pairs, pairing, per_content, pairing_seed)

    @staticmethod
    def _pairs(
        contents: str | None,
        styles: str | None,
        pairs: str | list[dict[str, Any]] | None,
        pairing: str,
        per_content: int,
        seed: int,
    ) -> PairList:
        for name, value, usual in (("per_content", per_content, 1), ("pairing_seed", seed, 0)):
            if value != usual and (pairing != "random" or pairs is not None):
                found = "a table" if pairs is not None else pairing
                raise HsxError(
                    f"data.{name}: expected data.pairing random with it, got {found}; "
                    "add --data.pairing random, or leave it out"
                )
        if pairs is not None:
            if contents is not None or styles is not None:
                raise HsxError(
                    "data: expected either data.pairs or data.contents and data.styles, got both; "
                    "leave one out (of a config's: --data.contents null --data.styles null)"
                )
            return read_table(resolve(pairs) if isinstance(pairs, str) else pairs)
        if contents is None or styles is None:
            given = {"contents": contents, "styles": styles}
            lacking = " and ".join(name for name, value in given.items() if value is None)
            raise HsxError(
                f"data: expected data.contents and data.styles, or a table data.pairs, got no {lacking}; "
                "name a folder of pictures"
            )
        rows, columns = find_images(contents, "data.contents"), find_images(styles, "data.styles")
        if pairing == "random":
            return random_pairs(rows, columns, per_content, seed)
        return zipped(rows, columns) if pairing == "zip" else product(rows, columns)
