"""What the stages walk through: distinct pictures first, then pairs of their trajectories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from hsx.errors import HsxError, first_line
from hsx.io.images import pixels_digest, read_image, read_mask
from hsx.method.transfer import Transfer
from hsx.pairs.pairing import PairList
from hsx.runner.batches import Failure, Item, Padding, PairItem, PictureItem, Vanished
from hsx.store.records import Recorder
from hsx.store.trajectories import Store, StoreError


class Items(Dataset[Item]):
    """Numbers to work on, with padding up to one a process, as Lightning asks; a failure belongs to its item.

    All that they hold is picklable: loader workers may be new processes.

    Args:
        numbers: of the items.
        processes: how many work on them.
    """

    def __init__(self, numbers: np.ndarray, processes: int) -> None:
        self.numbers, self.processes = numbers, processes

    def __len__(self) -> int:
        return max(len(self.numbers), self.processes)

    def __getitem__(self, place: int) -> Item:
        if place >= len(self.numbers):
            return Padding()
        index = int(self.numbers[place])
        try:
            return self.item(index)
        except StoreError:
            return Vanished(index)
        except HsxError as error:
            return Failure(index, str(error))
        except Exception as error:  # a picture that breaks Pillow in a way nobody foresaw fails by itself too
            return Failure(index, f"{type(error).__name__}: {first_line(error)}")

    def item(self, index: int) -> Item:
        """The item of that number."""
        raise NotImplementedError


class Pictures(Items):
    """Distinct pictures by number, contents first, then styles, ``size`` pixels a side."""

    def __init__(self, numbers: np.ndarray, processes: int, pairs: PairList, size: int, fit: str) -> None:
        super().__init__(numbers, processes)
        self.pairs, self.size, self.fit = pairs, size, fit

    def item(self, index: int) -> PictureItem:
        """See ``Items``."""
        contents = len(self.pairs.contents)
        path = self.pairs.contents[index] if index < contents else self.pairs.styles[index - contents]
        image = read_image(path, self.size, self.fit)
        return PictureItem(index, image, pixels_digest(image))


class Trajectories(Items):
    """Pairs by number, as the tensors of their stored trajectories.

    Args:
        store: where the trajectories are.
        recorder: what the pictures say of themselves.
        size: pixels a side.
        taken: what of a content.
    """

    def __init__(
        self, numbers: np.ndarray, processes: int, store: Store, recorder: Recorder, size: int, taken: Taken
    ) -> None:
        super().__init__(numbers, processes)
        self.store, self.recorder, self.size, self.taken = store, recorder, size, taken
        self.last: tuple[str, Tensor | None] = "", None  # the pixels' digest of the last content read, and its picture

    def item(self, index: int) -> PairItem:
        """See ``Items``."""
        row, fit = self.recorder.pairs[index], self.recorder.fingerprints.fit
        own = self.recorder.own(row)
        keys = dict(zip(("content", "style"), map(self.recorder.fingerprints.trajectory, own["pixels"]), strict=True))
        mask = None if row.mask is None else read_mask(row.mask, self.size, fit)
        image = self._content(self.recorder.pairs.contents[row.content], own["pixels"][0]) if self.taken.reads else None
        if not self.taken.inverts:
            del keys["content"]
        computed = {of: self.store.how(key) for of, key in keys.items()}
        return pair_item(index, own, mask, self.store, keys, self.taken, image, computed)

    def _content(self, path: Path, pixels: str) -> Tensor | None:
        """A content as a picture, which is read once for all its pairs that follow each other."""
        if self.last[0] != pixels:
            image = read_image(path, self.size, self.recorder.fingerprints.fit)
            if pixels_digest(image) != pixels:
                raise HsxError(f"{path}: expected the picture that it was when the run began, got another; start again")
            self.last = pixels, image
        return self.last[1]


@dataclass(frozen=True)
class Taken:
    """What a donor takes of a content.

    Attributes:
        inverts: whether its trajectory.
        sites: which features of that.
        reads: whether the picture itself.
    """

    inverts: bool
    sites: tuple[str, ...]
    reads: bool

    @classmethod
    def by(cls, transfer: Transfer) -> Taken:
        """What this transfer's donor takes."""
        donor = transfer.donor
        return cls(donor.inverts, tuple(transfer.sites) if donor.inverts else (), donor.reads)


def pair_item(
    index: int,
    record: dict[str, Any],
    mask: Tensor | None,
    store: Store,
    keys: dict[str, str],
    taken: Taken,
    image: Tensor | None,
    computed: dict[str, Any],
) -> PairItem:
    """A pair with what the store has of its style, and of its content where that is inverted, under these keys."""
    gamma = torch.tensor(torch.nan if record["gamma"] is None else record["gamma"])
    style = store.get(keys["style"], ())["x_T"]
    content = store.get(keys["content"], taken.sites) if taken.inverts else {"x_T": style[:0]}
    features = {site: content[site] for site in taken.sites}
    return PairItem(index, record, gamma, mask, features, content["x_T"], image, style, computed)
