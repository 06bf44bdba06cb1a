"""What a measure of a transfer is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
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


class MeanMetric(Metric):
    """The mean of a number that each picture has."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def each(self, result: Tensor, content: Tensor, style: Tensor) -> Tensor:
        """The number of each picture of a batch, (B,)."""

    def update(self, result: Tensor, content: Tensor, style: Tensor) -> None:
        """See ``Metric``."""
        self.total += self.each(result, content, style).double().sum()
        self.count += len(result)

    def compute(self) -> Tensor:
        """The mean of all pictures."""
        return self.total / self.count
