"""Calibrators: x moved so that the skips computed from it agree with the injected bottleneck."""

from __future__ import annotations

import torch
from torch import Tensor

from hsx._renamed import renamed
from hsx.backbones.prediction import predict_x0
from hsx.checks import MOST, number, whole
from hsx.errors import HsxError
from hsx.schedule import onto
from hsx.strategies.arguments import require
from hsx.strategies.base import Calibrator
from hsx.strategies.states import StepState


class NoCalibration(Calibrator):
    """No calibration: the asymmetric step alone (Asyrp: Kwon et al. 2023, arXiv 2210.10960, eq. 6)."""

    def __call__(self, state: StepState) -> Tensor | None:
        """None."""
        return None


Uncalibrated = renamed("Uncalibrated", NoCalibration)


class Latent(Calibrator):
    """Latent calibration (the paper, section 4.2, eq. 8 and 9): one more evaluation of the network a step.

    dx = sqrt(a) (P~ - P) + omega sqrt(1 - a) (eps~ - eps), with P~ re-standardised to the deviation of P.

    Args:
        omega: weight of the second term, 0 or more; 0 leaves calibration out, as the authors' code does, and towards 1
            the two terms cancel but for the re-standardisation, so that the style picture comes back.

    Raises:
        HsxError: for a negative omega.
    """

    def __init__(self, omega: float = 0.0) -> None:
        self.omega = _strength(omega)

    def __call__(self, state: StepState) -> Tensor | None:
        """x + dx, or None with omega = 0."""
        return state.x + shift(state, state.x, state.eps, target(state), self.omega) if self.omega else None


class IteratedLatent(Calibrator):
    """Latent calibration applied until the skips no longer change: x <- x + dx, with P and eps computed anew.

    The aim, P~ and eps~ of the paper's eq. 8 and 9, stays; with ``max_iterations`` 1 it is ``Latent``.  Each further
    application costs one evaluation of the network a step (E and D), and the last check of the skips half of one (E).

    Args:
        omega: as in ``Latent``; 0 keeps the first term alone.
        tolerance: a sample is done when its skips changed by less than this part of their norm.
        max_iterations: applications at most.

    Raises:
        HsxError: for a negative omega or tolerance, or fewer than one application; when called, for a network that does
            not show its skips (a HookedBackbone to which none are named).
    """

    renamed = {"most": "max_iterations"}

    def __init__(self, omega: float = 0.3, tolerance: float = 0.05, max_iterations: int = 4, **renamed: int) -> None:
        max_iterations = renamed.pop("most", max_iterations)
        super().__init__(**renamed)  # which takes none
        nonnegative = number(tolerance, 0, MOST)
        require(nonnegative, "tolerance", "a number of 0 or more", tolerance, "0.05 is five per cent")
        require(whole(max_iterations, 1), "max_iterations", "1 or more applications", max_iterations, "1 is Latent")
        self.omega, self.tolerance, self.max_iterations = _strength(omega), tolerance, max_iterations

    def __call__(self, state: StepState) -> Tensor | None:
        """x after the last application; each sample stops on its own."""
        aim, x, eps, b = target(state), state.x, state.eps, state.b
        if self.max_iterations > 1 and not b.skips:
            why = f"expected a network whose skips are known, got a {type(state.backbone).__name__}, which shows none"
            raise HsxError(f"IteratedLatent: {why}; name its skips, or use Latent")
        active = torch.ones_like(x[:, :1, :1, :1], dtype=torch.bool)
        for further in reversed(range(self.max_iterations)):
            x = torch.where(active, x + shift(state, x, eps, aim, self.omega), x)
            if further:
                before, b = b.skips, state.backbone.encode(x, state.t)
                active = active & (_change(before, b.skips) > self.tolerance)
                if not bool(active.any()):
                    break
                eps = state.backbone.decode(b)
        return x


def target(state: StepState) -> Tensor:
    """P~: the injected x_0, (B, 3, R, R), with the standard deviation of the style's own, its mean kept."""
    x0, injected = predict_x0(state.x, state.eps, state.a), predict_x0(state.x, state.eps_injected, state.a)
    mean = injected.mean((1, 2, 3), keepdim=True)
    ratio = x0.std((1, 2, 3), keepdim=True) / injected.std((1, 2, 3), keepdim=True).clamp_min(1e-12)
    return mean + (injected - mean) * ratio


def shift(state: StepState, x: Tensor, eps: Tensor, aim: Tensor, omega: float) -> Tensor:
    """dx of the paper's eq. 9, (B, 3, R, R), from ``x`` with its prediction ``eps`` towards the x_0 ``aim``."""
    a = state.a
    drawn = onto(a.sqrt(), x) * (aim - predict_x0(x, eps, a))
    return drawn + omega * onto((1 - a).sqrt(), x) * (state.eps_injected - eps)


def _change(before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> Tensor:
    """How much the skips of each sample changed, as a part of their norm, (B, 1, 1, 1)."""
    changes = [new - old for old, new in zip(before, after, strict=True)]
    each = ([v.flatten(1).double().square().sum(1) for v in skips] for skips in (changes, before))
    change, norm = (torch.stack(squares).sum(0) for squares in each)  # (B,)
    return (change / norm.clamp_min(1e-24)).sqrt().reshape(-1, 1, 1, 1)


def _strength(omega: float) -> float:
    require(number(omega, 0, MOST), "omega", "a number of 0 or more", omega, "0.3 is the authors', 0 is off")
    return omega
