"""What a transfer takes of contents and styles, and what its donor gives, checked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from hsx.backbones.base import Backbone
from hsx.checks import got
from hsx.errors import HsxError
from hsx.method.inversion import Trajectory
from hsx.strategies.base import Donor, Solver
from hsx.strategies.states import StyleState


def check_content(content: Trajectory, donor: Donor, sites: Collection[str], backbone: Backbone) -> None:
    """Raises HsxError unless these contents have what the donor takes, at these sites."""
    remedy, name = "give those of this transfer's own contents()", type(donor).__name__
    if donor.reads:
        wanted, images = (len(content), 3, backbone.sample_size, backbone.sample_size), content.images
        found = "none" if images is None else tuple(images.shape)
        if found != wanted:
            raise HsxError(f"content: expected pictures {wanted}, which {name} reads, got {found}; {remedy}")
    if not donor.inverts:
        return
    for site in sites:
        shape, steps = tuple(backbone.layout.sites[site]), len(content.timesteps)
        found = tuple(content.features[site].shape) if site in content.features else "none"
        if not steps or found != (len(content), steps, *shape):
            got_it = f"features of shape {found} at {steps} timesteps"
            raise HsxError(f"content: expected a Trajectory with {site} of {shape}, got {got_it}; {remedy}")


def as_far_as(content: Trajectory, times: tuple[int, ...]) -> Trajectory:
    """Contents that were inverted further without what was recorded above these timesteps; others as they are."""
    if content.timesteps[: len(times)] != times:
        return content
    features = {site: feature[:, : len(times)] for site, feature in content.features.items()}
    return replace(content, features=features, timesteps=times)


def check_style(style: Trajectory, grid: Sequence[int], solver: Solver) -> None:
    """Raises HsxError unless a style was inverted on this grid by this solver, as far as it tells."""
    remedy = "invert them with this transfer's own invert()"
    if style.t_start != grid[-1]:
        raise HsxError(f"expected styles inverted up to t_start {grid[-1]}, got {style.t_start}; {remedy}")
    if style.grid and [*style.grid] != [*grid]:
        found, wanted = (f"{len(times)} timesteps {times[0]}, {times[1]}, …" for times in (style.grid, grid))
        raise HsxError(f"style: expected one inverted on {wanted} {grid[-1]}, got one on {found}; {remedy}")
    if style.solver is not None and style.solver != solver.record():
        names = [record["class_path"].rpartition(".")[2] for record in (solver.record(), style.solver)]
        found = names[1] if names[1] != names[0] else "another, of other options or code"
        raise HsxError(f"style: expected one inverted by {names[0]}, got one by {found}; {remedy}")


def given(donor: Donor, sites: Collection[str], content: Trajectory, state: StyleState) -> Mapping[str, Tensor]:
    """What a donor gives of these contents.  Raises HsxError where a site is missing, or its feature is like no h."""
    features, style, name = donor(content, state), state.b.features, type(donor).__name__
    for site in sites:
        if not isinstance(features, Mapping) or site not in features:
            found = ", ".join(features) or "none" if isinstance(features, Mapping) else got(features)
            raise HsxError(f"{name}: expected a feature at {site}, got those of {found}; take another donor or site")
        feature, own = features[site], style[site]
        alike = isinstance(feature, Tensor) and (feature.shape, feature.device) == (own.shape, own.device)
        if not alike or not feature.is_floating_point():
            what = f"{feature.dtype} {tuple(feature.shape)}" if isinstance(feature, Tensor) else got(feature)
            where = f"{tuple(own.shape)} on {own.device}"
            raise HsxError(f"{name}: expected a feature at {site} in floats {where}, got {what}; take another donor")
    return features
