"""What a measure of a transfer is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torchmetrics
from torch import Tensor


class Metric(torchmetrics.Metric):
    """A measure of results against their contents and styles, summed up over batches and processes by torchmetrics.

    A subclass declares its sums with ``add_state`` and says in ``higher_is_better`` which way is good.
    """

    @abstractmethod
    def update(self, result: Tensor, content: Tensor, style: Tensor) -> None:
        """Take in a batch: pictures (B, 3, R, R) in [-1, 1], row by row."""

    @abstractmethod
    def compute(self) -> Any:
        """The measure of all that was taken in, a scalar tensor."""
