"""The contracts of a strategy and of a measure, as tests that their authors run in one line.

    from hsx.testing import check_strategy

    def test_contract():
        check_strategy(MyBlend())

It checks what Transfer relies on: shapes, dtypes, devices, rows that do not depend on others, arguments left as they
were, finite numbers at gamma 0 and 1, and what each kind promises (see ``hsx.strategies.base``).  ``check_metric`` does
so for measures (see ``hsx.testing.metrics``).
"""

from __future__ import annotations

import json
from copy import deepcopy
from functools import partial
from typing import Any

import torch

from hsx.backbones.base import BOTTLENECK
from hsx.errors import first_line
from hsx.io.images import read_image, read_mask
from hsx.method.transfer import Transfer
from hsx.strategies import Constant, Strategy
from hsx.strategies.base import KINDS
from hsx.testing import features
from hsx.testing.common import SIDE, STEPS, Call, backbone_of, expect, finite, images_of, near
from hsx.testing.metrics import check_metric as check_metric
from hsx.testing.solvers import check_solver


def check_strategy(strategy: Strategy | type[Strategy]) -> None:
    """Check a strategy of any kind, given as an object, or as a class whose options all have defaults.

    Raises:
        AssertionError: with the class and what it does wrong, in one line.
    """
    strategy = strategy() if isinstance(strategy, type) else deepcopy(strategy)
    wanted = ", ".join(kind.__name__ for kind in KINDS.values())
    expect(strategy, isinstance(strategy, tuple(KINDS.values())), f"is of no kind; derive it from one of {wanted}")
    for method in (strategy.record, strategy.config):
        try:
            json.dumps(method())
        except TypeError as error:
            expect(strategy, False, f"{method.__name__}() is not plain data ({error}); return what json can write")
    strategy.read_pictures(partial(read_image, size=SIDE), read_mask)
    for device in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        with torch.inference_mode():
            CHECKS[type(strategy).kind](strategy, device)
            _transfers(strategy, device)


def _transfers(strategy: Strategy, device: str) -> None:
    """Check a whole transfer: finite at gamma 0 and 1, and at 0 the style alone; at 1 at sites of two sizes too."""
    kind, images = type(strategy).kind, images_of(device)
    few: dict[str, Any] = {"inversion_steps": STEPS, "generation_steps": STEPS, "t_boost": 0}
    for gamma in (0.0, 1.0):
        transfer = Transfer(backbone_of(device), **{"schedule": Constant(gamma), kind: strategy}, **few)
        contents, styles = transfer.contents(images), transfer.invert(images.flip(0), ())
        result = transfer.inject(contents, styles)
        expect(strategy, finite(result), f"gives pictures that are not finite at gamma {gamma:g}")
        again = transfer.inject(contents, styles)
        expect(strategy, near(again, result, 1e-5), "keeps something from one batch to the next; set it in prepare")
        if gamma == 0 and kind not in ("schedule", "solver"):
            plain = Transfer(backbone_of(device), Constant(0.0), **few)
            style = plain.inject(plain.contents(images), styles)
            expect(strategy, torch.equal(style, result), "changes pictures although gamma is 0")
    several = Transfer(
        backbone_of(device), **{"schedule": Constant(1.0), kind: strategy}, sites=[BOTTLENECK, "skip@R"], **few
    )
    styles = several.invert(images.flip(0), ())
    try:
        result = several.inject(several.contents(images), styles)
    except RuntimeError as error:  # what torch says of sizes
        what = f"raises {type(error).__name__} at sites other than h ({first_line(error)}); h may be of any size there"
        raise AssertionError(f"{type(strategy).__name__} {what}") from error
    expect(strategy, finite(result), "gives pictures that are not finite at sites other than h")


CHECKS: dict[str, Call] = {
    "schedule": features.check_schedule,
    "blend": features.check_blend,
    "normalizer": features.check_normalizer,
    "calibrator": features.check_calibrator,
    "donor": features.check_donor,
    "solver": check_solver,
}
