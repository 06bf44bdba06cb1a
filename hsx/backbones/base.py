"""What the method asks of a network: a U-Net that can be cut at its bottleneck.

``encode`` is E of the paper (conv-in, all down blocks *and the middle block*), ``decode`` is D (all up blocks and the
output layers).  The bottleneck feature h, the output of the middle block, carries the content; the skips the style.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from torch import Tensor, nn

from hsx.schedule import NoiseSchedule


@dataclass(frozen=True)
class Bottleneck:
    """What passes from E to D.

    Attributes:
        h: (B, C, H, W), the output of the middle block.
        skips: the skip connections, in the order in which the down path pushes them, each (B, c, r, r).
        emb: (B, D), the embedding of the timestep (and of the class, where there is one).
        x, t: the input, from which a network that predicts v or x_0 instead of eps gets its eps.
    """

    h: Tensor
    skips: tuple[Tensor, ...]
    emb: Tensor
    x: Tensor | None = None
    t: Tensor | None = None

    def with_h(self, h: Tensor) -> Bottleneck:
        """The same skips and embedding, another h: what injection changes, and all that it changes."""
        return replace(self, h=h)


class Backbone(nn.Module, ABC):
    """A frozen unconditional diffusion network with its noise schedule.

    Attributes:
        schedule: the NoiseSchedule it was trained with.
        sample_size: R, the side of its square pictures.
        h_shape: (C, H, W) of the bottleneck.
        family: where the network comes from, such as ``"diffusers"`` or ``"ddpm"``.
    """

    schedule: NoiseSchedule
    sample_size: int
    h_shape: tuple[int, int, int]
    family: str

    @abstractmethod
    def encode(self, x: Tensor, t: Tensor) -> Bottleneck:
        """E(x, t): x (B, 3, R, R), t (B,) integer timesteps, which may differ within the batch."""

    @abstractmethod
    def decode(self, b: Bottleneck) -> Tensor:
        """D(h, skips, emb): the predicted noise eps, (B, 3, R, R); a learned variance is left away."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """eps = D(E(x, t)): the original network."""
        return self.decode(self.encode(x, t))
