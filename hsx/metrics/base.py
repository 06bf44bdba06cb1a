"""What a measure of a transfer is."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torchmetrics
from torch import Tensor

ABOUT = ("content", "style", "both", "realism", "inversion", "truth")
PICTURES = ("result", "content", "style", "truth", "reconstruction")


class Metric(torchmetrics.Metric):
    """A measure of results, summed up over batches and processes by torchmetrics.

    A subclass declares its sums with ``add_state`` and says in ``higher_is_better`` which way is good.  Options of its
    constructor have defaults.

    Attributes:
        about: what it tells something of: content, style, both, realism, inversion or truth.
        takes: the pictures that it looks at, in the order of the arguments of ``update``: of result, content, style,
            truth (the known answer) and reconstruction (the style given back, nothing injected).
    """

    about: ClassVar[str] = "both"
    takes: ClassVar[tuple[str, ...]] = ("result", "content", "style")
    full_state_update: bool | None = False  # torchmetrics': states of batches can be put together

    @abstractmethod
    def update(self, *pictures: Any, **more: Any) -> None:
        """Take in a batch: those pictures that it ``takes``, each (B, 3, R, R) in [-1, 1], row by row."""

    @abstractmethod
    def compute(self) -> Any:
        """The measure of all that was taken in, a scalar tensor."""


class MeanMetric(Metric):
    """The mean of a number that each row has."""

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    @abstractmethod
    def each(self, *pictures: Any, **more: Any) -> Tensor:
        """The number of each row of a batch, (B,), whatever the other rows are; the arguments of ``update``."""

    def update(self, *pictures: Tensor) -> None:
        """See ``Metric``."""
        numbers = self.each(*pictures)
        self.total += numbers.double().sum()
        self.count += len(numbers)

    def compute(self) -> Tensor:
        """The mean of all rows."""
        return self.total / self.count
