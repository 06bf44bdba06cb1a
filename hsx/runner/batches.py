"""What the two stages take and give: items, batches and outcomes, each a type of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from hsx.method.inversion import Trajectory

T = TypeVar("T", bound="Batch")


@dataclass(frozen=True)
class Failure:
    """A picture or a pair that cannot be made, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Vanished:
    """A pair whose trajectory is gone from the store: its pictures are to be inverted again."""

    index: int


@dataclass(frozen=True)
class Padding:
    """No item at all: Lightning wants one for every process."""


@dataclass(frozen=True)
class PictureItem:
    """A picture by its number, (3, R, R) in [-1, 1], and the digest of its pixels."""

    index: int
    image: Tensor
    pixels: str


@dataclass(frozen=True)
class PairItem:
    """A pair by its number, ready to be made.

    Attributes:
        record: what its record holds that others do not, see ``Recorder.own``.
        gamma: one number, nan for the schedule's.
        mask: (1, R, R) in [0, 1], or None.
        content: the features of the content by site, each (S, c, r, r); none where its donor does not invert.  Pairs of
            one content that follow each other share them.
        content_x_T, style_x_T: (3, R, R), the noise of each; of a content that is not inverted (0, R, R).
        image: (3, R, R), the content itself where the donor reads it.
        computed: how the trajectories were computed.
    """

    index: int
    record: dict[str, Any]
    gamma: Tensor
    mask: Tensor | None
    content: dict[str, Tensor]
    content_x_T: Tensor
    image: Tensor | None
    style_x_T: Tensor
    computed: dict[str, Any]


Item = PictureItem | PairItem | Failure | Vanished | Padding


@dataclass
class Batch:
    """Rows of one stage.

    Attributes:
        index: the rows' numbers.
        failures: reasons by number, for the items that failed before.
        vanished: the numbers of the items whose trajectory was gone.
    """

    index: list[int]
    failures: dict[int, str] = field(default_factory=dict, kw_only=True)
    vanished: list[int] = field(default_factory=list, kw_only=True)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def items(self) -> int:
        """How many items it takes in, rows or not."""
        return len(self.index) + len(self.failures) + len(self.vanished)

    def to(self: T, device: torch.device) -> T:
        """The same on a device."""
        return replace(self, **{f.name: _moved(getattr(self, f.name), device) for f in fields(self)})


@dataclass
class PictureBatch(Batch):
    """Pictures to be inverted: ``images`` (B, 3, R, R) in [-1, 1], and the digests of their ``pixels``."""

    images: Tensor
    pixels: list[str]


@dataclass
class PairBatch(Batch):
    """Pairs to be made; see ``PairItem``, each field with a first dimension of B.

    Attributes:
        content: that of each distinct content once, with a first dimension of their number.
        which: of these each pair's own; by default its row.
    """

    records: list[dict[str, Any]]
    gamma: Tensor
    mask: Tensor | None
    content: dict[str, Tensor]
    content_x_T: Tensor
    image: Tensor | None
    style_x_T: Tensor
    computed: list[dict[str, Any]]
    which: list[int] = field(default_factory=list)

    def to(self, device: torch.device) -> PairBatch:
        """The same on a device; but gamma stays, as it decides what a step does: reading it costs nothing there."""
        return replace(super().to(device), gamma=self.gamma)

    def features(self, rows: Sequence[int], x: Tensor) -> dict[str, Tensor]:
        """The content's features at each site of these rows, (B, S, c, r, r), in the dtype of ``x``."""
        which = [self.which[row] if self.which else row for row in rows]
        return {site: torch.stack([*map(own.to(x).__getitem__, which)]) for site, own in self.content.items()}


class Inverted(NamedTuple):
    """What became of a PictureBatch.

    Attributes:
        rows: which of the batch's pictures were inverted, and the sites of each that are to be kept.
        trajectory: of these.
        at_once: with how many others each was computed, which decides its last bits.
        others: pictures of the same batch that were inverted less far, or further.
    """

    rows: dict[int, list[str]]
    trajectory: Trajectory | None
    at_once: list[int]
    others: tuple[Inverted, ...] = ()


class Injected(NamedTuple):
    """What became of a PairBatch: ``images`` (B, 3, R, R) in [-1, 1], and with how many others each was computed."""

    images: Tensor
    at_once: list[int]


def collate(items: list[Item]) -> Batch:
    """A batch of the items that are rows; the others beside it."""
    failures = {item.index: item.reason for item in items if isinstance(item, Failure)}
    vanished = [item.index for item in items if isinstance(item, Vanished)]
    pictures = [item for item in items if isinstance(item, PictureItem)]
    pairs = [item for item in items if isinstance(item, PairItem)]
    if pictures:
        images = torch.stack([picture.image for picture in pictures])
        pixels = [picture.pixels for picture in pictures]
        return PictureBatch([picture.index for picture in pictures], images, pixels, failures=failures)
    if not pairs:
        return Batch([], failures=failures, vanished=vanished)
    masks = [pair.mask for pair in pairs if pair.mask is not None]
    if masks:
        masks = [torch.ones_like(masks[0]) if pair.mask is None else pair.mask for pair in pairs]
    own = [*map(_features, pairs)]
    distinct = list(dict.fromkeys(own))
    return PairBatch(
        [pair.index for pair in pairs],
        records=[pair.record for pair in pairs],
        gamma=torch.stack([pair.gamma for pair in pairs]),
        mask=torch.stack(masks) if masks else None,
        content={site: _stack([pairs[own.index(one)].content[site] for one in distinct]) for site in pairs[0].content},
        content_x_T=_stack([pair.content_x_T for pair in pairs]),
        image=torch.stack(read) if (read := [pair.image for pair in pairs if pair.image is not None]) else None,
        style_x_T=_stack([pair.style_x_T for pair in pairs]),
        computed=[pair.computed for pair in pairs],
        which=[*map(distinct.index, own)],
        failures=failures,
        vanished=vanished,
    )


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, dict):
        return {name: _moved(one, device) for name, one in value.items()}
    return value.to(device) if isinstance(value, Tensor) else value


def _features(pair: PairItem) -> tuple[int, ...]:
    """Which features a pair's content has, as objects."""
    return tuple(map(id, pair.content.values()))


def _stack(tensors: list[Tensor]) -> Tensor:
    """Tensors of one shape, and of the widest of their dtypes."""
    widest = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)
    return torch.stack([tensor.to(widest) for tensor in tensors])
