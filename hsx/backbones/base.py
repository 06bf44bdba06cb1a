"""What the method asks of a network: a U-Net that can be cut at its bottleneck.

``encode`` is E of the paper (conv-in, all down blocks *and the middle block*), ``decode`` is D (all up blocks and the
output layers).  What passes between them, at the *sites*, is h, the output of the middle block, and the skips.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from hsx.errors import BackboneError
from hsx.io.fingerprint import fingerprint
from hsx.schedule import NoiseSchedule

BOTTLENECK = "h"  # the name of the site that the paper injects at


class Fact(NamedTuple):
    """A value and its origin.

    ``read`` from the file, ``known`` of the published file of this name, ``given`` as an option, or ``assumed``.
    """

    value: Any
    origin: str


@dataclass(frozen=True)
class Bottleneck:
    """What passes from E to D.

    Attributes:
        h: (B, C, H, W), the output of the middle block.
        skips: the skip connections, in the order in which the down path pushes them, each (B, c, r, r).
        emb: (B, D), the embedding of the timestep (and of the class, where there is one).
        x, t: the input, from which a network that predicts v or x_0 instead of eps gets its eps.
        names: of the skips, each the module that pushes it; none where the network does not tell.
    """

    h: Tensor
    skips: tuple[Tensor, ...]
    emb: Tensor
    x: Tensor | None = None
    t: Tensor | None = None
    names: tuple[str, ...] = ()

    @property
    def features(self) -> dict[str, Tensor]:
        """The feature at each site, (B, c, r, r): ``h``, and the skips by their names in the order of the down path."""
        return {BOTTLENECK: self.h, **(dict(zip(self.names, self.skips, strict=True)) if self.names else {})}

    def with_features(self, features: Mapping[str, Tensor]) -> Bottleneck:
        """The same embedding and features, but for these: what injection changes, and all that it changes.

        Raises:
            BackboneError: for a site that the network does not have.
        """
        both = self.features
        if unknown := sorted(features.keys() - both.keys()):
            raise BackboneError(f"expected sites among {', '.join(both)}, got {unknown[0]}; take one of them")
        h, *skips = {**both, **features}.values()
        return replace(self, h=h, skips=tuple(skips) if self.names else self.skips)

    def with_h(self, h: Tensor) -> Bottleneck:
        """The same skips and embedding, another h."""
        return self.with_features({BOTTLENECK: h})


@dataclass(frozen=True)
class Layout:
    """Where a network is cut, and what runs past the cut.

    Attributes:
        bottleneck: the name of the module whose output is h.
        h: (C, H, W).
        skips: module name and (c, r, r) of each skip, in the order in which they are pushed.
        encode_macs, decode_macs: multiply-adds of E and of D for one picture.
    """

    bottleneck: str
    h: tuple[int, ...]
    skips: tuple[tuple[str, tuple[int, ...]], ...]
    encode_macs: int
    decode_macs: int

    @property
    def sites(self) -> dict[str, tuple[int, ...]]:
        """(c, r, r) of each site: h, then the skips in the order of the down path."""
        return {BOTTLENECK: self.h, **dict(self.skips)}


class Backbone(nn.Module, ABC):
    """A frozen unconditional diffusion network with its noise schedule.

    Attributes:
        schedule: the NoiseSchedule it was trained with.
        sample_size: R, the side of its square pictures.
        h_shape: (C, H, W) of the bottleneck.
        family: where the network comes from, such as ``"diffusers"`` or ``"ddpm"``.
        facts: what is known of the network, each with its origin: read, known, given or assumed.
    """

    schedule: NoiseSchedule
    sample_size: int
    h_shape: tuple[int, int, int]
    family: str
    facts: dict[str, Fact]
    scheduler: dict[str, object]  # the config of a diffusers scheduler, where there was one: hsx convert keeps it

    @property
    @abstractmethod
    def layout(self) -> Layout:
        """The bottleneck's module and every skip with its shape."""

    @abstractmethod
    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """E(x, t): x (B, 3, R, R), t (B,) integer timesteps, which may differ within the batch."""

    @abstractmethod
    def decode(self, b: Bottleneck) -> Tensor:
        """D(h, skips, emb): the predicted noise eps, (B, 3, R, R), without a learned variance."""

    def encode_cost(self) -> float:
        """What ``encode`` costs a picture, in evaluations of the whole network: E is counted as half of it."""
        return 0.5

    def decode_cost(self, b: Bottleneck) -> float:
        """What ``decode`` of ``b`` costs a picture, likewise."""
        return 0.5

    def identity(self) -> dict[str, Any]:
        """What changes the output and is no parameter, buffer or attribute of a module: by default nothing."""
        return {}

    def fingerprint(self) -> str:
        """A hash of everything that changes what the network puts out, 24 hex digits.

        Weights and buffers (names, shapes, dtypes, bytes), every attribute of every module and what lies in those, such
        as the schedule, the size and the numbers of heads, the code of classes that are not torch's, diffusers' or
        hsx's, and ``identity``.  Not where the network comes from or on which device it is.  The same in every process;
        it takes about a second for 500 MB.
        """
        return fingerprint(self, self.identity())

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """eps = D(E(x, t)): the original network."""
        return self.decode(self.encode(x, t))


def layout_of(backbone: Backbone, bottleneck: str, skips: Sequence[str]) -> Layout:
    """The Layout of a backbone whose skips have these names, found by running it on shapes alone (no memory)."""
    shapes = {f"backbone.{name}": value.to("meta") for name, value in backbone.state_dict().items()}
    size = backbone.sample_size
    x, t = torch.empty(1, 3, size, size, device="meta"), torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        b, encode, decode = functional_call(_Halves(backbone), shapes, (x, t))
    names = zip(skips, b.skips, strict=True)
    return Layout(bottleneck, tuple(b.h.shape[1:]), tuple((n, tuple(s.shape[1:])) for n, s in names), encode, decode)


class _Halves(nn.Module):
    """Both halves of a network, each with its multiply-adds counted."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor, t: Tensor) -> tuple[Bottleneck, int, int]:
        with FlopCounterMode(display=False) as encode:
            b = self.backbone.encode(x, t)
        with FlopCounterMode(display=False) as decode:
            self.backbone.decode(b)
        return b, encode.get_total_flops() // 2, decode.get_total_flops() // 2
