"""Batches of items in order, read ahead by worker processes that end with the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import resource_tracker
from typing import Any

from torch.utils.data import DataLoader

from hsx.runner.batches import Batch, Item, collate
from hsx.runner.items import Items

QUIET = "ignore::UserWarning:multiprocessing.resource_tracker"


def loader(
    items: Items, batch_size: int, num_workers: int, collate: Callable[[list[Any]], Batch] = collate
) -> DataLoader[Item]:
    """Batches of ``items``: see ``collate``."""
    return _Loader(items, batch_size, num_workers=num_workers, collate_fn=collate, worker_init_fn=_begin_worker)


class _Loader(DataLoader[Item]):
    """Its workers leave Ctrl-C to the main process, from their first moment and however they are started."""

    def __iter__(self) -> Any:
        if not self.num_workers or not hasattr(signal, "pthread_sigmask"):
            return super().__iter__()
        if multiprocessing.get_start_method() != "fork":
            if QUIET not in sys.warnoptions:  # its warnings about a run that was stopped mean nothing
                sys.warnoptions.append(QUIET)
            resource_tracker.ensure_running()  # when it starts it unblocks the signal
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which they inherit
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(number: int) -> None:
    """SIGTERM, which a scheduler sends to all processes, ends a worker silently: the main process reports it."""
    signal.set_wakeup_fd(-1)  # a forked one would wake the main process's watch
    signal.signal(signal.SIGTERM, lambda *given: os._exit(0))
