"""What the stages walk through: distinct pictures first, then pairs of their trajectories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

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

T = TypeVar("T")


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
        self.image, self.content = _Last[Tensor](), _Last[tuple[dict[str, Tensor], dict[str, Any]]]()

    def item(self, index: int) -> PairItem:
        """See ``Items``."""
        row, fit = self.recorder.pairs[index], self.recorder.fingerprints.fit
        own = self.recorder.own(row)
        keys = {
            of: self.recorder.fingerprints.trajectory(pixels, of == "content")
            for of, pixels in zip(("content", "style"), own["pixels"], strict=True)
        }
        mask = None if row.mask is None else read_mask(row.mask, self.size, fit)
        image, content, computed = None, None, {"style": self.store.how(keys["style"])}
        if self.taken.reads:
            path, pixels = self.recorder.pairs.contents[row.content], own["pixels"][0]
            image = self.image.of(pixels, lambda: self._picture(path, pixels))
        if self.taken.inverts:
            content, computed["content"] = self.content.of(keys["content"], lambda: self._trajectory(keys["content"]))
        style = self.store.get(keys["style"], ())["x_T"]
        return pair_item(index, own, mask, style, content, self.taken, image, computed)

    def _picture(self, path: Path, pixels: str) -> Tensor:
        image = read_image(path, self.size, self.recorder.fingerprints.fit)
        if pixels_digest(image) != pixels:
            raise HsxError(f"{path}: expected the picture that it was when the run began, got another; start again")
        return image

    def _trajectory(self, key: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What the store has of a content, and how that was computed."""
        how = self.store.how(key)
        return self.store.get(key, self.taken.sites), how


class _Last(Generic[T]):
    """What was read last, for the pairs of one content that follow each other."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.value: T | None = None

    def of(self, key: str, read: Callable[[], T]) -> T:
        """What belongs to a key; it is read where the one before had another."""
        if key != self.key:
            self.value, self.key = read(), key
        return cast(T, self.value)


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
    style: Tensor,
    content: dict[str, Tensor] | None,
    taken: Taken,
    image: Tensor | None,
    computed: dict[str, Any],
) -> PairItem:
    """A pair with the noise of its style, and what the store has of its content where that is inverted."""
    gamma = torch.tensor(torch.nan if record["gamma"] is None else record["gamma"])
    content = content or {"x_T": style[:0]}
    features = {site: content[site] for site in taken.sites}
    return PairItem(index, record, gamma, mask, features, content["x_T"], image, style, computed)
