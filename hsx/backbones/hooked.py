"""A Backbone for networks nobody foresaw: any U-Net, cut by forward hooks at named modules."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import zip_longest
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn

from hsx.backbones.base import BOTTLENECK, Backbone, Bottleneck, Layout, layout_of
from hsx.backbones.prediction import check_prediction, to_eps
from hsx.checks import got
from hsx.errors import BackboneError
from hsx.schedule import NoiseSchedule

RESERVED = (BOTTLENECK, "x_T", "timesteps")  # names that a trajectory's file has for other things


@dataclass(frozen=True)
class HookedBottleneck(Bottleneck):
    """A Bottleneck that remembers what the network made of it.

    Attributes:
        eps: what the network put out for ``of``.
        of: the x, t and features that belong to it; with others it is not known.
    """

    eps: Tensor | None = None
    of: tuple[Tensor, ...] = ()

    def with_features(self, features: Mapping[str, Tensor]) -> Bottleneck:
        """Other features, of which the network's output is not known yet."""
        return replace(super().with_features(features), of=())  # type: ignore[call-arg]

    @property
    def known(self) -> Tensor | None:
        """The network's output, if it is known of this very x, t and these features."""
        now = (self.x, self.t, self.h, *self.skips)
        return self.eps if len(self.of) == len(now) and all(map(is_, self.of, now)) else None


class HookedBackbone(Backbone):
    """Any network ``module(x, t)`` that predicts eps, v or x_0, and whose bottleneck is the output of one named module.

    What it costs: ``encode`` runs the whole network once and ``decode`` of its result nothing; ``decode`` with changed
    features runs the *whole* network again, where a Backbone that is really cut runs D only.  All features, changed or
    not, are put in by hooks, so that a changed one reaches the up path alone; skips that are no sites, and what lies
    between two sites, do follow the change.

    Args:
        module: takes (B, 3, R, R) and timesteps (B,); gives (B, 3 or more, R, R), alone, as the first of a tuple or as
            ``.sample``.  It is set to evaluation and frozen.  It must run each named module just once a pass.
        bottleneck: the name of that module, as ``module.named_modules()`` has it.
        skips: the names of the modules whose outputs are skip connections, in the order in which the network runs them:
            sites beside h.
        schedule: with which it was trained; DDPM's linear one by default.
        sample_size: R.
        prediction: what the network predicts, one of ``hsx.backbones.prediction.PREDICTIONS``.

    Raises:
        BackboneError: for an argument of another type, if there is no module of such a name, or if a pass does not run
            each just once and in this order, the bottleneck last.
    """

    family = "hooked"
    skips: tuple[str, ...] = ()  # none in the instance where none are named, so that its fingerprint is as it was

    def __init__(
        self,
        module: nn.Module,
        bottleneck: str = "mid_block",
        skips: Sequence[str] = (),
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
        for skip in (skips := _listed(skips)):
            _check("skips", skip, str, "a list of names of modules inside the network")
        names = [name for name, _ in module.named_modules(remove_duplicate=False) if name]
        for option, name in (("bottleneck", bottleneck), *(("skips", skip) for skip in skips)):
            if name not in names:
                near = ", ".join(difflib.get_close_matches(name, names, 3, 0.3)) or ", ".join(names[:3])
                raise BackboneError(f"{option}: expected a module such as {near}, got {name}; see named_modules()")
            if option == "skips" and (name in (bottleneck, *RESERVED) or skips.count(name) > 1):
                wanted = f"expected each module once, and none called {', '.join(RESERVED)} or the bottleneck"
                raise BackboneError(f"skips: {wanted}, got {name}; drop it")
        self.module, self.bottleneck = module.eval().requires_grad_(False), bottleneck
        if skips:
            self.skips = skips
        self.schedule, self.sample_size = schedule or NoiseSchedule.linear(), sample_size
        self.prediction, self.facts = check_prediction("prediction", prediction), {}

    @property
    def h_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        """(C, H, W) of the bottleneck."""
        return self.layout.h  # type: ignore[return-value]

    @cached_property
    def layout(self) -> Layout:
        """The bottleneck and the skips that were named; E is a whole pass."""
        return layout_of(self, self.bottleneck, self.skips)

    def encode(self, x: Tensor, t: Tensor) -> HookedBottleneck:
        """One whole pass, of which the features are kept."""
        eps, (*skips, h) = self._run(x, t)
        return HookedBottleneck(h, tuple(skips), torch.empty(0), x, t, self.skips, eps, (x, t, h, *skips))

    def decode(self, b: Bottleneck) -> Tensor:
        """What the pass gave; for changed features one more whole pass."""
        if isinstance(b, HookedBottleneck) and b.known is not None:
            return b.known
        if b.x is None or b.t is None:
            raise ValueError("expected a Bottleneck from this backbone's encode, which carries x and t, got another")
        return self._run(b.x, b.t, (*b.skips, b.h))[0]

    def encode_cost(self) -> float:
        """A whole evaluation."""
        return 1.0

    def decode_cost(self, b: Bottleneck) -> float:
        """Nothing where the pass is known, else a whole evaluation."""
        return 0.0 if isinstance(b, HookedBottleneck) and b.known is not None else 1.0

    def _run(self, x: Tensor, t: Tensor, put: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """A pass with hooks, which are removed whatever happens: eps, and what the skips and the bottleneck put out.

        Args:
            put: what they put out in place of their own.
        """
        sites, seen = (*self.skips, self.bottleneck), list[tuple[str, Tensor]]()

        def hook(site: str, instead: Tensor | None, module: nn.Module, inputs: Any, output: Any) -> Any:
            seen.append((site, _first(output)))
            if instead is None:
                return output
            return (instead, *output[1:]) if isinstance(output, tuple) else instead

        with ExitStack() as hooks:
            for site, instead in zip_longest(sites, put):
                handle = self.module.get_submodule(site).register_forward_hook(partial(hook, site, instead))
                hooks.callback(handle.remove)
            dtype = next((p.dtype for p in self.module.parameters() if p.is_floating_point()), x.dtype)
            output = self.module(x.to(dtype), t.to(x.device, non_blocking=True))
        ran = tuple(site for site, _ in seen)
        if ran != sites:
            counts = Counter(ran)
            for option, site in (*(("skips", skip) for skip in self.skips), ("bottleneck", self.bottleneck)):
                if counts[site] != 1:
                    found = f"{site}, which ran {counts[site]} times"
                    raise BackboneError(f"{option}: expected a module that runs once a pass, got {found}; name another")
            order = ", ".join(ran)
            raise BackboneError(
                f"skips: expected them as they run, then the bottleneck, got {order} as it runs; sort them"
            )
        eps = _first(getattr(output, "sample", output))[:, : x.shape[1]].to(x.dtype)
        if self.prediction != "epsilon":
            eps = to_eps(eps, x, self.schedule.at(t), self.prediction)
        return eps, [feature for _, feature in seen]


def _listed(names: Any) -> tuple[Any, ...]:
    return tuple(names) if isinstance(names, (list, tuple)) else (names,)


def _check(name: str, value: Any, kinds: Any, what: str, *but: type) -> None:
    if not isinstance(value, kinds) or isinstance(value, but):
        raise BackboneError(f"{name}: expected {what}, got {got(value)}; correct it")


def _first(output: Any) -> Tensor:
    first = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(first, Tensor):
        wanted = "expected modules that give a tensor, alone or first in a tuple"
        raise BackboneError(f"bottleneck, skips: {wanted}, got {got(first)}; name others")
    return first
