"""What the measures come to, in one or two plain sentences."""

from __future__ import annotations

from hsx.probing.finals import STEPS, Ceiling
from hsx.probing.measures import CARRIED, KEPT, Score
from hsx.probing.screening import Combination

DENOISED = 0.5  # of the noise at middle noise that a network of such pictures takes away at least
OWN = 0.5  # of a style's own structure that comes back at least with nothing injected
GOOD = 20.0  # dB at which styles come back whatever their edges are
FEW = 3  # pairs, below which that is said


def carries(score: Score) -> bool:
    """Whether content comes in while the style stays."""
    return score.structure >= CARRIED and score.kept >= KEPT


def useless(denoised: float) -> str:
    """Of a network that does not denoise the styles."""
    part = f"takes away {denoised:.0%} of it" if denoised >= 0 else "adds to it"
    return (
        f"Nothing carries, and nothing can be said of single sites: of noise added to the styles the network {part}: "
        "it is no model of such pictures. See by hsx inspect whether it was read rightly, and take pictures of "
        "the kind that it was trained on."
    )


def sentence(best: Combination, score: Score, ceiling: Ceiling) -> str:
    """Of the best combination, and of how well styles come back with nothing injected."""
    back = (
        f"With nothing injected styles come back at {ceiling.decibels:.1f} dB in {STEPS} steps from t {best.span.t_hi}"
    )
    if ceiling.score.leak < OWN and ceiling.decibels < GOOD:
        back += ": hardly at all, so that none of this is sure"
    numbers = (
        f"{score.content:.2f} of the content's structure against {score.leak:.2f} of the style's own, "
        f"palette {score.palette:.2f}, texture {score.texture:.2f} of what comes back, by {score.n} "
        f"pair{'s' * (score.n != 1)}{'' if score.n >= FEW else ', which is few: more pairs would make it surer'}"
    )
    with_ = f"donor {best.donor.__name__}, {best.span}"
    if carries(score):
        return f"Content is carried by {best.where} ({with_}): {numbers}. {back}."
    lost = (
        "the style is lost"
        if score.structure >= CARRIED
        else "too little of the content comes in, or too much of the style picture stays"
    )
    return (
        f"Nothing carries: this network's sites carry content and keep style at none of what was tried; the nearest "
        f"thing is {best.where} ({with_}), where {lost}: {numbers}. {back}."
    )
