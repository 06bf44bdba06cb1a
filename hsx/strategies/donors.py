"""Donors: where the features of the contents come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

from hsx.schedule import onto
from hsx.strategies.base import Donor
from hsx.strategies.states import StyleState

if TYPE_CHECKING:
    from hsx.method.inversion import Trajectory


class Inverted(Donor):
    """The features that the content's own inversion had at the nearest recorded timestep (the paper, section 3)."""

    def __call__(self, content: Trajectory, state: StyleState) -> Mapping[str, Tensor]:
        """See ``Donor``."""
        return content.features_at(state.t)


class Renoised(Donor):
    """The features of E(sqrt(a) content + sqrt(1 - a) eps, t), eps the style's own prediction at this step.

    The content is put where the style's process is, with its noise, and no content is inverted: the features of both
    then differ by what they show alone.  For sites other than h, whose inverted features carry the content's noise too.
    It costs one E more an injecting step.
    """

    inverts, reads = False, True

    def __call__(self, content: Trajectory, state: StyleState) -> Mapping[str, Tensor]:
        """See ``Donor``."""
        assert content.images is not None
        a, eps = state.a, state.eps
        x = onto(a.sqrt(), eps) * content.images.to(eps) + onto((1 - a).sqrt(), eps) * eps
        return state.backbone.encode(x, state.t).features
