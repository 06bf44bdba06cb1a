"""What the stages walk through: distinct pictures first, then pairs of their trajectories."""

from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import Dataset

from hsx.errors import HsxError, first_line
from hsx.io.images import pixels_digest, read_image, read_mask
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
    """

    def __init__(self, numbers: np.ndarray, processes: int, store: Store, recorder: Recorder, size: int) -> None:
        super().__init__(numbers, processes)
        self.store, self.recorder, self.size = store, recorder, size

    def item(self, index: int) -> PairItem:
        """See ``Items``."""
        row = self.recorder.pairs[index]
        own = self.recorder.own(row)
        of_content, of_style = map(self.recorder.fingerprints.trajectory, own["pixels"])
        content, style = self.store.get(of_content, True), self.store.get(of_style, False)
        return PairItem(
            index,
            own,
            torch.tensor(torch.nan if row.gamma is None else row.gamma),
            None if row.mask is None else read_mask(row.mask, self.size, self.recorder.fingerprints.fit),
            content["x_T"],
            content["h"],
            style["x_T"],
            {"content": self.store.how(of_content), "style": self.store.how(of_style)},
        )
