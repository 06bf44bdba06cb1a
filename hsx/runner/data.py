"""What ``trainer.predict`` walks through: distinct pictures first, then pairs of their trajectories."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from jsonargparse.typing import NonNegativeInt, PositiveInt
from torch.utils.data import DataLoader, Dataset

from hsx.assets import resolve
from hsx.errors import HsxError, first_line
from hsx.io.images import pixels_digest, read_image, read_mask
from hsx.pairs.pairing import PairList, product, random_pairs, zipped
from hsx.pairs.sources import find_images
from hsx.pairs.table import read_table
from hsx.store.records import Recorder
from hsx.store.trajectories import Store, StoreError

QUIET = "ignore::UserWarning:multiprocessing.resource_tracker"
WORKERS = 8  # processes a core at most that read pictures


class Pairs(lightning.LightningDataModule):
    """Which contents go with which styles.

    Args:
        contents: whose content is kept: a picture, a folder of pictures, a glob, or a text file with a path a line.
        styles: whose style is taken, likewise.
        pairs: instead of both, a CSV, JSONL or Parquet table with the columns content and style, and optionally mask,
            gamma, seed and output, a row a pair; paths are relative to the table.  In a config also a list of such rows
            as mappings, with paths relative to the current folder.
        pairing: product (each content with each style), zip (the first with the first, and so on) or random.
        per_content: how many styles each content is given at random.
        pairing_seed: of the random pairing.
        fit: how pictures become square: crop (the middle), pad (with white) or stretch.
        batch_size: how many pictures go through the network at once; results do not depend on it, but for the last
            rounding (1 of 255 in a few pixels).
        num_workers: processes that read pictures ahead.
    """

    def __init__(
        self,
        contents: str | None = None,
        styles: str | None = None,
        pairs: str | list[dict[str, str | int | float | None]] | None = None,
        pairing: Literal["product", "zip", "random"] = "product",
        per_content: PositiveInt = 1,  # type: ignore[valid-type]
        pairing_seed: NonNegativeInt = 0,  # type: ignore[valid-type]
        fit: Literal["crop", "pad", "stretch"] = "crop",
        batch_size: PositiveInt = 4,  # type: ignore[valid-type]
        num_workers: NonNegativeInt = 0,  # type: ignore[valid-type]
    ) -> None:
        super().__init__()
        most = WORKERS * (os.cpu_count() or 1)
        if num_workers > most:
            raise HsxError(
                f"data.num_workers: expected at most {most} ({WORKERS} a core), got {num_workers}; a few are enough"
            )
        self.batch_size, self.num_workers, self.fit = batch_size, num_workers, fit
        self.pairs = self._pairs(contents, styles, pairs, pairing, per_content, pairing_seed)

    @staticmethod
    def _pairs(
        contents: str | None,
        styles: str | None,
        pairs: str | list[dict] | None,
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

    def loader(self, items: Dataset) -> DataLoader:
        """Batches of ``items`` in order, the failed ones apart."""
        return _Loader(
            items, self.batch_size, num_workers=self.num_workers, collate_fn=collate, worker_init_fn=_begin_worker
        )


class _Loader(DataLoader):
    """One whose workers leave Ctrl-C to the main process, from their first moment on and however they are started."""

    def __iter__(self) -> Any:
        if not self.num_workers or not hasattr(signal, "pthread_sigmask"):
            return super().__iter__()
        if multiprocessing.get_start_method() != "fork":
            if QUIET not in sys.warnoptions:  # a run that is stopped in the middle leaves it nothing that need be said
                sys.warnoptions.append(QUIET)
            resource_tracker.ensure_running()  # when it starts it unblocks the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which they inherit
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(number: int) -> None:
    """SIGTERM, which a scheduler sends to all processes, ends a worker without a word: the main process has it."""
    signal.set_wakeup_fd(-1)  # a forked one would wake the main process's watch
    signal.signal(signal.SIGTERM, lambda *given: os._exit(0))


class _Items(Dataset):
    """Numbers to work on, with empty items up to one a process, as Lightning asks; a failure belongs to its item.

    All that they hold is picklable: loader workers may be new processes.
    """

    def __init__(self, todo: Sequence[int] | np.ndarray, processes: int) -> None:
        self.todo, self.processes = todo, processes

    def __len__(self) -> int:
        return max(len(self.todo), self.processes)

    def __getitem__(self, place: int) -> dict[str, Any]:
        if place >= len(self.todo):
            return {}
        index = int(self.todo[place])
        try:
            return {"index": index, **self.item(index)}
        except StoreError:
            return {"index": index, "failed": None}  # its trajectory has vanished
        except HsxError as error:
            return {"index": index, "failed": str(error)}
        except Exception as error:  # a picture that breaks Pillow in a way nobody foresaw fails by itself too
            return {"index": index, "failed": f"{type(error).__name__}: {first_line(error)}"}

    def item(self, index: int) -> dict[str, Any]:
        """All of one item but its number."""
        raise NotImplementedError


class Pictures(_Items):
    """Distinct pictures by number, contents first, then styles: ``image`` (3, R, R) and its ``digest``."""

    def __init__(self, pairs: PairList, todo: np.ndarray, size: int, fit: str, processes: int) -> None:
        super().__init__(todo, processes)
        self.pairs, self.size, self.fit = pairs, size, fit

    def item(self, index: int) -> dict[str, Any]:
        """The picture of that number."""
        image = read_image(picture_path(self.pairs, index), self.size, self.fit)
        return {"image": image, "digest": pixels_digest(image)}


class Trajectories(_Items):
    """Pairs to make, as the tensors of their stored trajectories.

    Args:
        todo: the numbers of the pairs.
        store, key: where trajectories are, and the key of a picture's by its digest.
        recorder: what the pictures say of themselves.
        size: pixels a side.
    """

    def __init__(
        self,
        todo: np.ndarray,
        store: Store,
        key: Callable[[str], str],
        recorder: Recorder,
        size: int,
        processes: int,
    ) -> None:
        super().__init__(todo, processes)
        self.store, self.key, self.recorder, self.size = store, key, recorder, size

    def item(self, index: int) -> dict[str, Any]:
        """The pair of that number."""
        row = self.recorder.pairs[index]
        own = self.recorder.own(row)
        of_content, of_style = map(self.key, own["pixels"])
        content, style = self.store.get(of_content, True), self.store.get(of_style, False)
        return {
            "name": row.name,
            "own": own,
            "sample": tuple(own["pixels"]),
            "seed": own["seed"],
            "gamma": torch.tensor(torch.nan if row.gamma is None else row.gamma),
            "mask": None if row.mask is None else read_mask(row.mask, self.size, self.recorder.fit),
            "content_x_T": content["x_T"],
            "content_h": content["h"],
            "style_x_T": style["x_T"],
            "how": {"content": self.store.how(of_content), "style": self.store.how(of_style)},
        }


def picture_path(pairs: PairList, index: int) -> Path:
    """The picture of that number: contents first, then styles."""
    return pairs.contents[index] if index < len(pairs.contents) else pairs.styles[index - len(pairs.contents)]


def collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Tensors stacked, the rest in lists; ``failed`` maps the numbers of the others to reasons."""
    good = [item for item in items if item and "failed" not in item]
    failed = {item["index"]: item["failed"] for item in items if "failed" in item}
    batch: dict[str, Any] = {"index": [], **{name: [item[name] for item in good] for name in (good or [{}])[0]}}
    masks = [mask for mask in batch.pop("mask", ()) if mask is not None]
    if masks:
        batch["mask"] = [torch.ones_like(masks[0]) if item["mask"] is None else item["mask"] for item in good]
    for name, values in batch.items():
        if values and isinstance(values[0], torch.Tensor):
            widest = max((v.dtype for v in values), key=lambda dtype: dtype.itemsize)
            batch[name] = torch.stack([v.to(widest) for v in values])
    return {**batch, "failed": failed}
