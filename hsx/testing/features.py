"""The checks of the kinds that work on features, and of schedules."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hsx.backbones.base import BOTTLENECK
from hsx.method.inversion import Trajectory, invert
from hsx.schedule import NoiseSchedule
from hsx.strategies import Blend, BlendingSchedule, Calibrator, Donor, Normalizer
from hsx.strategies.states import StepState, StyleState
from hsx.testing.common import (
    ALL,
    DTYPES,
    ROWS,
    STEPS,
    Call,
    backbone_of,
    check_rows,
    expect,
    extremes,
    features,
    finite,
    images_of,
    near,
    rng,
    unchanged,
)


def check_schedule(schedule: BlendingSchedule, device: str) -> None:
    """Numbers from 0 to 1, the same whenever they are asked for."""
    cosine, short = NoiseSchedule.cosine(4000), NoiseSchedule.linear(100)
    for noise, times in ((NoiseSchedule.linear(), [999, 600, 599, 20, 0]), (cosine, [3999]), (short, [])):
        mine, given = copy(schedule), list(times)
        mine.prepare(given, noise)
        asked = times or [99, 0]
        gammas = [mine.gamma(t) for t in asked]
        expect(schedule, given == times, "changes the timesteps that prepare is given; copy them")
        numbers = all(isinstance(g, (int, float)) and 0 <= g <= 1 for g in gammas)
        expect(schedule, numbers, f"gives a gamma that is not a number from 0 to 1: {gammas} at {asked}")
        again = [mine.gamma(t) for t in reversed(asked)][::-1]
        expect(schedule, gammas == again, "gives another gamma when asked again, or in another order")


def check_normalizer(normalizer: Normalizer, device: str) -> None:
    """Rows, dtypes, extremes; h comes back where the content's feature is h."""

    def call(rows: slice, content_h: Tensor, h: Tensor) -> Tensor:
        return copy(normalizer)(content_h[rows], h[rows])

    for dtype, tolerance in DTYPES.items():
        for size in ((8, 8), (5, 7), (1, 1)):
            h, content_h = (v.to(device, dtype) for v in features(size))
            check_rows(normalizer, call, (content_h, h), h, tolerance)
            same = near(call(ALL, h, h.clone()), h, 4 * tolerance)
            expect(normalizer, same, "does not give h back where content_h is h")
    h, content_h = (v.to(device) for v in features((8, 8)))
    for what, c, s in extremes(content_h, h):
        expect(normalizer, finite(normalizer(c, s)), f"is not finite with {what}")


def check_blend(blend: Blend, device: str) -> None:
    """Rows, dtypes, extremes; h comes back where gamma or the mask is 0."""
    images, inverts = images_of(device), partial(invert, backbone_of(device), steps=STEPS)
    content = inverts(images)
    h = inverts(images.flip(0)).h_at(500)
    gammas = torch.tensor([0.0, 0.5, 1.0], device=device).reshape(-1, 1, 1, 1)
    masks = torch.rand(ROWS, 1, *h.shape[2:], generator=rng()).to(device)

    def call(rows: slice, h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        mine, before = copy(blend), _rows_of(content, rows)
        with unchanged(blend, [before.x_T, before.h], "the trajectory that prepare is given; use dataclasses.replace"):
            prepared = mine.prepare(before, inverts)
        alike = isinstance(prepared, Trajectory) and prepared.h.shape == before.h.shape
        expect(blend, alike, "prepare does not return a Trajectory of the same shape")
        content_h = prepared.h_at(500).to(h.dtype)
        with unchanged(blend, [content_h], "content_h in place; work on a copy"):
            return mine(h[rows], content_h, gamma[rows], None if mask is None else mask[rows])

    for dtype, tolerance in DTYPES.items():
        like, gamma, mask = h.to(dtype), gammas.to(dtype), masks.to(dtype)
        check_rows(blend, call, (like, gamma), like, tolerance)
        check_rows(blend, call, (like, gamma, mask), like, tolerance)
        zero, half, full = (torch.full_like(gamma, value) for value in (0, 0.5, 1))
        expect(blend, near(call(ALL, like, zero), like, tolerance), "does not give h back at gamma 0")
        expect(blend, near(call(ALL, like, full, 0 * mask), like, tolerance), "changes h where the mask is 0")
        one, each = call(ALL, like, half, mask[:1]), call(ALL, like, half, mask[:1].expand_as(mask))
        expect(blend, near(one, each, tolerance), "does not take one mask for all rows")
    mine = copy(blend)
    own = mine.prepare(content, inverts).h_at(500)
    for what, c, s in extremes(own, h):
        for gamma in (0 * gammas, gammas, 0 * gammas + 1):
            expect(blend, finite(mine(s, c, gamma)), f"is not finite with {what}")


def check_calibrator(calibrator: Calibrator, device: str) -> None:
    """Rows, dtypes, and a state that stays as it was."""
    for dtype, tolerance in DTYPES.items():
        backbone = backbone_of(device, dtype)
        x = images_of(device).to(dtype)
        t = torch.tensor([20, 400, 999])
        h_other = backbone.encode(x.flip(0), t).h

        def call(rows: slice, x: Tensor, h_other: Tensor, backbone: Any = backbone, t: Tensor = t) -> Tensor | None:
            b = backbone.encode(x[rows], t[rows])
            h = 0.5 * (b.h + h_other[rows])
            injected = b.with_h(h)
            eps, eps_injected, a = backbone.decode(b), backbone.decode(injected), backbone.schedule.at(t[rows])
            state = StepState(backbone, x[rows], t[rows], a, eps, b, eps_injected, injected)
            seen = [state.x, state.t, state.a, state.eps, state.eps_injected, state.h, state.b.h, *state.b.skips]
            with unchanged(calibrator, seen, "the state in place; work on copies"):
                return copy(calibrator)(state)

        if call(ALL, x, h_other) is not None:
            check_rows(calibrator, call, (x, h_other), x, 10 * tolerance)


def check_donor(donor: Donor, device: str) -> None:
    """Rows, dtypes, a feature at each site, and contents that stay as they were."""
    for dtype, tolerance in DTYPES.items():
        backbone = backbone_of(device, dtype)
        sites = [BOTTLENECK, *dict(backbone.layout.skips)]
        images, t = images_of(device).to(dtype), torch.tensor([20, 400, 999])
        contents = invert(backbone, images, STEPS, sites=sites)
        if not donor.inverts:
            contents = Trajectory.of_pictures(images, contents.t_start)
        seen = [images, *contents.features.values()]

        def call(rows: slice, x: Tensor, backbone: Any = backbone, t: Tensor = t, all_of: Any = contents) -> Any:
            b, a = backbone.encode(x[rows], t[rows]), backbone.schedule.at(t[rows])
            state = StyleState(backbone, x[rows], t[rows], a, backbone.decode(b), b)
            return copy(donor)(_rows_of(all_of, rows), state)

        with unchanged(donor, seen, "the contents in place; work on copies"):
            given, like = call(ALL, images.flip(0)), backbone.encode(images, t).features
        what = f"returns a {type(given).__name__}; expected a mapping from sites to features"
        expect(donor, isinstance(given, Mapping), what)
        for site in sites:
            expect(donor, site in given, f"gives no feature at {site}; give one at each site that the contents have")
        for site in sites[:2]:  # h and a skip

            def at(rows: slice, x: Tensor, call: Call = call, site: str = site) -> Tensor:
                feature: Tensor = call(rows, x)[site]
                return feature

            check_rows(donor, at, (images.flip(0),), like[site], 10 * tolerance)


def _rows_of(content: Trajectory, rows: slice) -> Trajectory:
    """Some rows of a batch of contents."""
    features = {site: feature[rows] for site, feature in content.features.items()}
    images = None if content.images is None else content.images[rows]
    return replace(content, x_T=content.x_T[rows], features=features, images=images)
