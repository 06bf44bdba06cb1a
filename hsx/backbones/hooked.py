"""A Backbone for networks nobody foresaw: any U-Net, cut by a forward hook at a named module."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from functools import cached_property
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from hsx.backbones.base import Backbone, Bottleneck, Layout, probe
from hsx.backbones.prediction import check_prediction, to_eps
from hsx.checks import got
from hsx.errors import BackboneError
from hsx.schedule import NoiseSchedule


@dataclass(frozen=True)
class HookedBottleneck(Bottleneck):
    """A Bottleneck that remembers what the network made of it.

    Attributes:
        eps: what the network put out for ``of``.
        of: the x, t and h that belong to it; with others it is not known.
    """

    eps: Tensor | None = None
    of: tuple[Tensor, ...] = ()

    def with_h(self, h: Tensor) -> HookedBottleneck:
        """Another h, of which the network's output is not known yet."""
        return replace(self, h=h, of=())

    @property
    def known(self) -> Tensor | None:
        """The network's output, if it is known of this very x, t and h."""
        same = len(self.of) == 3 and all(map(is_, self.of, (self.x, self.t, self.h)))
        return self.eps if same else None


class HookedBackbone(Backbone):
    """Any network ``module(x, t)`` that predicts eps, v or x_0, and whose bottleneck is the output of one named module.

    What it costs: ``encode`` runs the whole network once and ``decode`` of its result nothing; ``decode`` with a
    changed h runs the *whole* network again, h put in by the hook, where a Backbone that is really cut runs D only.

    Args:
        module: takes (B, 3, R, R) and timesteps (B,); gives (B, 3 or more, R, R), alone, as the first of a tuple or as
            ``.sample``.  It is set to evaluation and frozen.  It must run the named module just once a pass.
        bottleneck: the name of that module, as ``module.named_modules()`` has it.
        schedule: with which it was trained; DDPM's linear one by default.
        sample_size: R.
        prediction: what the network predicts, one of ``hsx.backbones.prediction.PREDICTIONS``.

    Raises:
        BackboneError: for an argument of another type, if there is no module of that name, or if a pass does not run
            it just once.
    """

    family = "hooked"

    def __init__(
        self,
        module: nn.Module,
        bottleneck: str = "mid_block",
        *,
        sample_size: int,
        schedule: NoiseSchedule | None = None,
        prediction: str = "epsilon",
    ) -> None:
        super().__init__()
        _check("module", module, nn.Module, "a torch.nn.Module")
        _check("bottleneck", bottleneck, str, "the name of a module inside the network")
        _check("sample_size", sample_size, int, "a whole number, the side of the pictures", bool)
        if sample_size < 1:
            raise BackboneError(f"sample_size: expected 1 or more pixels, got {sample_size}; give a picture's side")
        _check("schedule", schedule, (NoiseSchedule, type(None)), "a hsx.NoiseSchedule, such as NoiseSchedule.cosine()")
        names = [name for name, _ in module.named_modules(remove_duplicate=False) if name]
        if bottleneck not in names:
            near = ", ".join(difflib.get_close_matches(bottleneck, names, 3, 0.3)) or ", ".join(names[:3])
            raise BackboneError(f"bottleneck: expected a module such as {near}, got {bottleneck}; see named_modules()")
        self.module, self.bottleneck = module.eval().requires_grad_(False), bottleneck
        self.schedule, self.sample_size = schedule or NoiseSchedule.linear(), sample_size
        self.prediction, self.facts = check_prediction("prediction", prediction), {}

    @property
    def h_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(C, H, W) of the bottleneck."""
        return self.layout.h  # type: ignore[return-value]

    @cached_property
    def layout(self) -> Layout:
        """The bottleneck; what runs past it is not known, so no skips are named, and E is a whole pass."""
        return probe(self, self.bottleneck, ())

    def encode(self, x: Tensor, t: Tensor) -> HookedBottleneck:
        """One whole pass, of which h is kept."""
        eps, h = self._run(x, t)
        return HookedBottleneck(h, (), torch.empty(0), x, t, eps, (x, t, h))

    def decode(self, b: Bottleneck) -> Tensor:
        """What the pass gave; for a changed h one more whole pass."""
        if isinstance(b, HookedBottleneck) and b.known is not None:
            return b.known
        if b.x is None or b.t is None:
            raise ValueError("expected a Bottleneck from this backbone's encode, which carries x and t, got another")
        return self._run(b.x, b.t, b.h)[0]

    def encode_cost(self) -> float:
        """A whole evaluation."""
        return 1.0

    def decode_cost(self, b: Bottleneck) -> float:
        """Nothing where the pass is known, else a whole evaluation."""
        return 0.0 if isinstance(b, HookedBottleneck) and b.known is not None else 1.0

    def _run(self, x: Tensor, t: Tensor, h: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A pass with the hook, which is removed whatever happens: eps, and the h that the bottleneck put out.

        Args:
            h: what the bottleneck puts out in place of its own.
        """
        seen = []

        def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
            seen.append(_first(output))
            if h is None:
                return output
            return (h, *output[1:]) if isinstance(output, tuple) else h

        handle = self.module.get_submodule(self.bottleneck).register_forward_hook(hook)
        try:
            dtype = next((p.dtype for p in self.module.parameters() if p.is_floating_point()), x.dtype)
            output = self.module(x.to(dtype), t.to(x.device))
        finally:
            handle.remove()
        if len(seen) != 1:
            found = f"{self.bottleneck}, which ran {len(seen)} times"
            raise BackboneError(f"bottleneck: expected a module that runs once a pass, got {found}; name another")
        eps = _first(getattr(output, "sample", output))[:, : x.shape[1]].to(x.dtype)
        if self.prediction != "epsilon":
            eps = to_eps(eps, x, self.schedule.at(t), self.prediction)
        return eps, seen[0]


def _check(name: str, value: Any, kinds: Any, what: str, *but: type) -> None:
    if not isinstance(value, kinds) or isinstance(value, but):
        raise BackboneError(f"{name}: expected {what}, got {got(value)}; correct it")


def _first(output: Any) -> Tensor:
    first: Tensor = output[0] if isinstance(output, tuple) else output
    return first
