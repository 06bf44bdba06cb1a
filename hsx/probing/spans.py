"""The three intervals of the timestep that are probed, by how much of the picture the noise leaves."""

from __future__ import annotations

from dataclasses import dataclass

from hsx.backbones.base import Backbone
from hsx.errors import HsxError

NAMES = ("low", "middle", "high")
ENDS = (32.0, 0.25, 0.026)  # alpha-bar / (1 - alpha-bar) at the noisier end of each: t = 49, 395 and 601 at 64 pixels
LOOKS = (65.0, 1.08, 0.044)  # and where a single step is looked at: t = 33, 250 and 555
SIDE = 64  # pixels up to which these hold; at twice as many a side the same layout stands four times as much noise
FEWEST = 20  # timesteps of a schedule in which three intervals can be told apart


@dataclass(frozen=True)
class Span:
    """An interval of the timestep, both ends included.

    Attributes:
        t_hi, t_lo: its ends, the noisier first.
        look: the timestep in it at which a single step is looked at.
        name: how much noise there is.
    """

    t_hi: int
    t_lo: int
    look: int
    name: str

    def down_to(self, t_lo: int) -> Span:
        """The interval from the same noisier end down to another."""
        return Span(self.t_hi, t_lo, self.look, self.name)

    def __str__(self) -> str:
        return f"t {self.t_hi} to {self.t_lo}"


def spans(backbone: Backbone) -> tuple[Span, Span, Span]:
    """Low, middle and high noise, which for larger pictures is more (Hoogeboom et al. 2023, arXiv 2301.11093, eq. 3).

    Raises HsxError for a schedule of too few timesteps.
    """
    a = backbone.schedule.alphas_cumprod
    if len(a) < FEWEST:
        wanted = f"expected a noise schedule of {FEWEST} timesteps or more"
        raise HsxError(f"probe: {wanted}, got {len(a)}; give the one that the network was trained with")
    signal = a / (1 - a) * max(1.0, backbone.sample_size / SIDE) ** 2
    found: list[Span] = []
    for name, end, look in zip(NAMES, ENDS, LOOKS, strict=True):
        last, looked = (int((signal >= value).sum()) - 1 for value in (end, look))
        t_lo = found[-1].t_hi + 1 if found else 0
        t_hi = min(max(last, t_lo + 1), len(a) - 1)
        found.append(Span(t_hi, t_lo, min(max(looked, t_lo, 1), t_hi), name))
    low, middle, high = found
    return low, middle, high
