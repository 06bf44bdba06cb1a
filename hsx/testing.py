"""The contract of a strategy, as a test that its author runs in one line.

    from hsx.testing import check_strategy

    def test_contract():
        check_strategy(MyBlend())

It checks what Transfer relies on: shapes, dtypes, devices, rows that do not depend on others, arguments left as they
were, finite numbers at gamma 0 and 1, and what each kind promises (see ``hsx.strategies.base``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from diffusers import UNet2DModel
from torch import Tensor

from hsx.backbones.base import BOTTLENECK
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.errors import first_line
from hsx.io.images import read_image, read_mask
from hsx.method.inversion import Trajectory, invert
from hsx.method.transfer import Transfer
from hsx.schedule import NoiseSchedule
from hsx.strategies import Blend, BlendingSchedule, Calibrator, Constant, Donor, Normalizer, Strategy
from hsx.strategies.base import KINDS
from hsx.strategies.states import StepState, StyleState

Call = Callable[..., Any]
DTYPES = {torch.float32: 1e-4, torch.float64: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}  # and their tolerance
ROWS, SIDE, STEPS = 3, 16, 5
ALL = slice(None)  # rows


def check_strategy(strategy: Strategy | type[Strategy]) -> None:
    """Check a strategy of any kind, given as an object, or as a class whose options all have defaults.

    Raises:
        AssertionError: with the class and what it does wrong, in one line.
    """
    strategy = strategy() if isinstance(strategy, type) else deepcopy(strategy)
    wanted = ", ".join(kind.__name__ for kind in KINDS.values())
    _expect(strategy, isinstance(strategy, tuple(KINDS.values())), f"is of no kind; derive it from one of {wanted}")
    for method in (strategy.record, strategy.config):
        try:
            json.dumps(method())
        except TypeError as error:
            _expect(strategy, False, f"{method.__name__}() is not plain data ({error}); return what json can write")
    strategy.read_pictures(partial(read_image, size=SIDE), read_mask)
    for device in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        with torch.inference_mode():
            if type(strategy).kind in CHECKS:
                CHECKS[type(strategy).kind](strategy, device)
            _transfers(strategy, device)


def _schedule(schedule: BlendingSchedule, device: str) -> None:
    cosine, short = NoiseSchedule.cosine(4000), NoiseSchedule.linear(100)
    for noise, times in ((NoiseSchedule.linear(), [999, 600, 599, 20, 0]), (cosine, [3999]), (short, [])):
        mine, given = copy(schedule), list(times)
        mine.prepare(given, noise)
        asked = times or [99, 0]
        gammas = [mine.gamma(t) for t in asked]
        _expect(schedule, given == times, "changes the timesteps that prepare is given; copy them")
        numbers = all(isinstance(g, (int, float)) and 0 <= g <= 1 for g in gammas)
        _expect(schedule, numbers, f"gives a gamma that is not a number from 0 to 1: {gammas} at {asked}")
        again = [mine.gamma(t) for t in reversed(asked)][::-1]
        _expect(schedule, gammas == again, "gives another gamma when asked again, or in another order")


def _normalizer(normalizer: Normalizer, device: str) -> None:
    def call(rows: slice, content_h: Tensor, h: Tensor) -> Tensor:
        return copy(normalizer)(content_h[rows], h[rows])

    for dtype, tolerance in DTYPES.items():
        for size in ((8, 8), (5, 7), (1, 1)):
            h, content_h = (v.to(device, dtype) for v in _features(size))
            _rows(normalizer, call, (content_h, h), h, tolerance)
            same = _near(call(ALL, h, h.clone()), h, 4 * tolerance)
            _expect(normalizer, same, "does not give h back where content_h is h")
    h, content_h = (v.to(device) for v in _features((8, 8)))
    for what, c, s in _extremes(content_h, h):
        _expect(normalizer, _finite(normalizer(c, s)), f"is not finite with {what}")


def _blend(blend: Blend, device: str) -> None:
    images, inverts = _images(device), partial(invert, _backbone(device), steps=STEPS)
    content = inverts(images)
    h = inverts(images.flip(0)).h_at(500)
    gammas = torch.tensor([0.0, 0.5, 1.0], device=device).reshape(-1, 1, 1, 1)
    masks = torch.rand(ROWS, 1, *h.shape[2:], generator=_rng()).to(device)

    def call(rows: slice, h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        mine, before = copy(blend), _rows_of(content, rows)
        with _unchanged(blend, [before.x_T, before.h], "the trajectory that prepare is given; use dataclasses.replace"):
            prepared = mine.prepare(before, inverts)
        alike = isinstance(prepared, Trajectory) and prepared.h.shape == before.h.shape
        _expect(blend, alike, "prepare does not return a Trajectory of the same shape")
        content_h = prepared.h_at(500).to(h.dtype)
        with _unchanged(blend, [content_h], "content_h in place; work on a copy"):
            return mine(h[rows], content_h, gamma[rows], None if mask is None else mask[rows])

    for dtype, tolerance in DTYPES.items():
        like, gamma, mask = h.to(dtype), gammas.to(dtype), masks.to(dtype)
        _rows(blend, call, (like, gamma), like, tolerance)
        _rows(blend, call, (like, gamma, mask), like, tolerance)
        zero, half, full = (torch.full_like(gamma, value) for value in (0, 0.5, 1))
        _expect(blend, _near(call(ALL, like, zero), like, tolerance), "does not give h back at gamma 0")
        _expect(blend, _near(call(ALL, like, full, 0 * mask), like, tolerance), "changes h where the mask is 0")
        one, each = call(ALL, like, half, mask[:1]), call(ALL, like, half, mask[:1].expand_as(mask))
        _expect(blend, _near(one, each, tolerance), "does not take one mask for all rows")
    mine = copy(blend)
    own = mine.prepare(content, inverts).h_at(500)
    for what, c, s in _extremes(own, h):
        for gamma in (0 * gammas, gammas, 0 * gammas + 1):
            _expect(blend, _finite(mine(s, c, gamma)), f"is not finite with {what}")


def _calibrator(calibrator: Calibrator, device: str) -> None:
    for dtype, tolerance in DTYPES.items():
        backbone = _backbone(device, dtype)
        x = _images(device).to(dtype)
        t = torch.tensor([20, 400, 999])
        h_other = backbone.encode(x.flip(0), t).h

        def call(rows: slice, x: Tensor, h_other: Tensor, backbone: Any = backbone, t: Tensor = t) -> Tensor | None:
            b = backbone.encode(x[rows], t[rows])
            h = 0.5 * (b.h + h_other[rows])
            injected = b.with_h(h)
            eps, eps_injected, a = backbone.decode(b), backbone.decode(injected), backbone.schedule.at(t[rows])
            state = StepState(backbone, x[rows], t[rows], a, eps, b, eps_injected, injected)
            seen = [state.x, state.t, state.a, state.eps, state.eps_injected, state.h, state.b.h, *state.b.skips]
            with _unchanged(calibrator, seen, "the state in place; work on copies"):
                return copy(calibrator)(state)

        if call(ALL, x, h_other) is not None:
            _rows(calibrator, call, (x, h_other), x, 10 * tolerance)


def _donor(donor: Donor, device: str) -> None:
    for dtype, tolerance in DTYPES.items():
        backbone = _backbone(device, dtype)
        sites = [BOTTLENECK, *dict(backbone.layout.skips)]
        images, t = _images(device).to(dtype), torch.tensor([20, 400, 999])
        contents = invert(backbone, images, STEPS, sites=sites)
        if not donor.inverts:
            contents = Trajectory.of_pictures(images, contents.t_start)
        seen = [images, *contents.features.values()]

        def call(rows: slice, x: Tensor, backbone: Any = backbone, t: Tensor = t, all_of: Any = contents) -> Any:
            b, a = backbone.encode(x[rows], t[rows]), backbone.schedule.at(t[rows])
            state = StyleState(backbone, x[rows], t[rows], a, backbone.decode(b), b)
            return copy(donor)(_rows_of(all_of, rows), state)

        with _unchanged(donor, seen, "the contents in place; work on copies"):
            given, like = call(ALL, images.flip(0)), backbone.encode(images, t).features
        what = f"returns a {type(given).__name__}; expected a mapping from sites to features"
        _expect(donor, isinstance(given, Mapping), what)
        for site in sites:
            _expect(donor, site in given, f"gives no feature at {site}; give one at each site that the contents have")
        for site in sites[:2]:  # h and a skip

            def at(rows: slice, x: Tensor, call: Call = call, site: str = site) -> Tensor:
                feature: Tensor = call(rows, x)[site]
                return feature

            _rows(donor, at, (images.flip(0),), like[site], 10 * tolerance)


def _rows_of(content: Trajectory, rows: slice) -> Trajectory:
    """Some rows of a batch of contents."""
    features = {site: feature[rows] for site, feature in content.features.items()}
    images = None if content.images is None else content.images[rows]
    return replace(content, x_T=content.x_T[rows], features=features, images=images)


def _transfers(strategy: Strategy, device: str) -> None:
    """Check a whole transfer: finite at gamma 0 and 1, and at 0 the style alone; at 1 at sites of two sizes too."""
    kind, images = type(strategy).kind, _images(device)
    few: dict[str, Any] = {"inversion_steps": STEPS, "generation_steps": STEPS, "t_boost": 0}
    plain = Transfer(_backbone(device), Constant(0.0), **few)
    styles = plain.invert(images.flip(0), ())
    for gamma in (0.0, 1.0):
        transfer = Transfer(_backbone(device), **{"schedule": Constant(gamma), kind: strategy}, **few)
        contents = transfer.contents(images)
        result = transfer.inject(contents, styles)
        _expect(strategy, _finite(result), f"gives pictures that are not finite at gamma {gamma:g}")
        again = transfer.inject(contents, styles)
        _expect(strategy, _near(again, result, 1e-5), "keeps something from one batch to the next; set it in prepare")
        if gamma == 0 and kind != "schedule":
            style = plain.inject(plain.contents(images), styles)
            _expect(strategy, torch.equal(style, result), "changes pictures although gamma is 0")
    several = Transfer(
        _backbone(device), **{"schedule": Constant(1.0), kind: strategy}, sites=[BOTTLENECK, "skip@R"], **few
    )
    try:
        result = several.inject(several.contents(images), styles)
    except RuntimeError as error:  # what torch says of sizes
        what = f"raises {type(error).__name__} at sites other than h ({first_line(error)}); h may be of any size there"
        raise AssertionError(f"{type(strategy).__name__} {what}") from error
    _expect(strategy, _finite(result), "gives pictures that are not finite at sites other than h")


def _rows(strategy: Strategy, call: Call, arguments: Sequence[Tensor], like: Tensor, tolerance: float) -> None:
    """Check that a result is like ``like`` and finite, arguments are unchanged, and each row is as if it were alone."""
    with _unchanged(strategy, arguments, "its arguments in place; work on a copy"):
        out = call(ALL, *arguments)
    shape, wanted = tuple(getattr(out, "shape", ())), tuple(like.shape)
    right = isinstance(out, Tensor) and shape == wanted
    _expect(strategy, right, f"returns {shape}; expected a tensor of shape {wanted}")
    _expect(strategy, out.dtype == like.dtype, f"returns {out.dtype} for {like.dtype}; end with .to(h.dtype)")
    _expect(strategy, out.device == like.device, f"returns a tensor on {out.device} for one on {like.device}")
    _expect(strategy, _finite(out), f"is not finite for ordinary {like.dtype} features at gamma 0, 0.5 and 1")
    _expect(strategy, _near(call(ALL, *arguments), out, 1e-5), "gives another result for the same arguments")
    for i in range(len(like)):
        alone = call(slice(i, i + 1), *arguments)
        same = isinstance(alone, Tensor) and _near(alone, out[i : i + 1], tolerance)
        _expect(strategy, same, f"gives row {i} another result when it is alone; work on each sample by itself")


def _extremes(content_h: Tensor, h: Tensor) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Pairs (content_h, h) on which formulas break, each with what it is."""
    yield "a content_h of zeros", 0 * content_h, h
    yield "an h of zeros", content_h, 0 * h
    yield "zeros in both", 0 * h, 0 * h
    yield "content_h equal to h", h.clone(), h
    yield "content_h opposite to h", -h, h
    yield "constant features", 0 * h + 1, 0 * h + 2


def _features(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Two ordinary bottlenecks, (ROWS, 6, H, W)."""
    rng = _rng()
    return torch.randn(ROWS, 6, *size, generator=rng), torch.randn(ROWS, 6, *size, generator=rng) * 3 + 1


def _images(device: str) -> Tensor:
    """Smooth pictures, (ROWS, 3, SIDE, SIDE) in [-1, 1]."""
    coarse = torch.rand(ROWS, 3, 4, 4, generator=_rng()) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=SIDE, mode="bilinear").to(device)


@cache
def _backbone(device: str, dtype: torch.dtype = torch.float32) -> UNet2DBackbone:
    """A small random network with a bottleneck of 16 x 8 x 8."""
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D")}
    sizes = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DModel(SIDE, **blocks, **sizes)
    return UNet2DBackbone(unet, NoiseSchedule.linear()).to(device, dtype)


def _rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def _near(a: Tensor, b: Tensor, tolerance: float) -> bool:
    """Whether they are equal up to ``tolerance`` times the largest value of b."""
    scale = max(float(b.abs().max()), 1e-3)
    return a.shape == b.shape and float((a.double() - b.double()).abs().max()) <= tolerance * scale * math.sqrt(2)


@contextmanager
def _unchanged(strategy: Strategy, tensors: Sequence[Tensor], what: str) -> Iterator[None]:
    """Within it a strategy must not change any of these."""
    kept = [tensor.clone() for tensor in tensors]
    yield
    _expect(strategy, all(map(torch.equal, kept, tensors)), f"changes {what}")


def _expect(strategy: Strategy, holds: bool, otherwise: str) -> None:
    """Raises AssertionError, with what the strategy does ``otherwise``, unless something holds."""
    if not holds:
        raise AssertionError(f"{type(strategy).__name__} {otherwise}")


CHECKS: dict[str, Call] = {"schedule": _schedule, "blend": _blend, "normalizer": _normalizer}
CHECKS |= {"calibrator": _calibrator, "donor": _donor}
