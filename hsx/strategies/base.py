"""The kinds of strategy: the three moves of the method, each a small class that anyone can replace.

Every strategy works row by row, for any batch size, device and dtype, and never changes its arguments.  What one keeps
between calls is set in ``prepare``, before each batch; a Transfer works with copies of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from hsx.backbones.base import Backbone, Bottleneck
from hsx.checks import got, number
from hsx.errors import HsxError
from hsx.schedule import NoiseSchedule
from hsx.strategies.arguments import ConstructorSignature, absolute, files_of, given, hashed, plain

if TYPE_CHECKING:
    from hsx.method.inversion import Trajectory

USUAL = {
    "BlendingSchedule": "Constant(0.3)",
    "Blend": "Slerp()",
    "Normalizer": "Frobenius()",
    "Calibrator": "Latent(0.3)",
}  # an object of each kind


class Strategy(ABC):  # noqa: B024  (the common name of the kinds; each kind adds its own abstract method)
    """One interchangeable part of the method.

    Attributes:
        listed: the class that each short name stands for, filled by ``hsx.plugins.registry.load``.
        paths: those of the constructor's arguments that are paths, or lists of them.  A config holds them absolute, and
            how they were spelt has no part in the record, which holds a digest of the files.
    """

    listed: ClassVar[dict[str, type[Strategy]]] = {}
    paths: ClassVar[tuple[str, ...]] = ()
    _given: dict[str, Any]
    __signature__ = ConstructorSignature()

    @classmethod
    def __subclasses__(cls) -> list[Any]:  # type: ignore[override]
        """Those that are listed and what they derive from: jsonargparse looks short names up here."""
        listed = Strategy.listed.values()
        return [c for c in type.__subclasses__(cls) if not listed or any(issubclass(known, c) for known in listed)]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Notes what the constructor is given, for ``config``; copies call this without and take their note over."""
        made = super().__new__(cls)
        noted = {
            name: absolute(value) if name in cls.paths else _noted(value)
            for name, value in given(cls, args, options).items()
        }
        object.__setattr__(made, "_given", noted)
        return made

    def __init__(self) -> None:  # noqa: B027
        """No options, where a class has no constructor of its own."""

    def config(self) -> dict[str, Any]:
        """What a config takes to make this strategy again, from anywhere.

        Returns:
            ``class_path``, the short name of a class that is listed, else its module and name; and ``init_args``, the
            constructor's arguments by their own names, defaults filled in, strategies among them likewise.
        """
        from hsx.plugins import registry as plugins

        plugins.load()
        kind = type(self)
        name = kind.__name__ if Strategy.listed.get(kind.__name__) is kind else _full_name(self)
        return {"class_path": name, "init_args": _configs(self._given)}

    def record(self) -> dict[str, Any]:
        """What tells its results from those of others, as plain data.

        The class, with its code where that is not hsx's own; the constructor's arguments, of ``paths`` a digest of the
        files alone, of other texts that name a file one beside; and the attributes, of private ones plain data alone.
        """
        from hsx.io.fingerprint import fingerprint

        code = {} if type(self).__module__.startswith("hsx.") else {"code": fingerprint(type(self))}
        found = {name: value for name, value in self._given.items() if name not in self.paths}
        files = {name: digests for name, value in self._given.items() if (digests := files_of(value))}
        spelt = [value for name, value in self._given.items() if name in self.paths]
        for name, value in vars(self).items():
            if (
                name != "_given"
                and (name[0] != "_" or isinstance(value, PLAIN))
                and (absolute(_records(value)) not in spelt)
            ):
                found[name] = value
        return {"class_path": _full_name(self), **code, "files": files, **_records(found)}

    def take_fit(self, fit: str) -> None:
        """Told once, by its Transfer, how pictures are made square (crop, pad or stretch), as are strategies inside it.

        For those that read pictures of their own.
        """
        held = {name: value for name, value in vars(self).items() if name != "_given"}
        _mapped(held, lambda strategy: strategy.take_fit(fit), lambda value: None)


class BlendingSchedule(Strategy):
    """How much of the content's h is blended in at each timestep."""

    def prepare(self, timesteps: Sequence[int], noise: NoiseSchedule) -> None:  # noqa: B027
        """Told before each batch at which timesteps it injects, descending, and the model's schedule; for free use."""

    @abstractmethod
    def gamma(self, t: int) -> float:
        """The weight at timestep ``t``, in [0, 1]; 0 injects nothing."""


class Blend(Strategy):
    """How two bottlenecks become one."""

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """Told before each batch the inverted contents; those whose h is to be injected, by default the same.

        Args:
            content: the batch's contents, ``content.h`` (B, S, C, H, W) for S timesteps.
            invert: inverts further pictures (N, 3, R, R) in [-1, 1].
        """
        return content

    @abstractmethod
    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """Blend ``content_h`` into ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        Args:
            gamma: (B, 1, 1, 1) in [0, 1]; 0 gives ``h`` back.
            mask: (B or 1, 1, H, W) in [0, 1]; where it is 0 ``h`` is kept.
        """


class Normalizer(Strategy):
    """How the content's h is fitted to the style's statistics before it is blended."""

    @abstractmethod
    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """``content_h`` with the statistics of ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        What has these statistics already comes back as it is: ``normalizer(h, h)`` is ``h``.
        """


@dataclass(frozen=True)
class StepState:
    """What a calibrator sees after injection, and may not change.  Pictures are (B, 3, R, R); ``t`` is (B,)."""

    backbone: Backbone
    x: Tensor
    t: Tensor
    a: Tensor  # (B, 1, 1, 1), float64
    eps: Tensor
    eps_injected: Tensor
    b: Bottleneck  # E(x, t), with the style's own h
    h: Tensor  # (B, C, H, W), the injected one


class Calibrator(Strategy):
    """How x is moved so that its skip connections agree with the injected h."""

    @abstractmethod
    def __call__(self, state: StepState) -> Tensor | None:
        """The moved x, (B, 3, R, R), from which a plain DDIM step is then taken; None for the asymmetric step."""


def check_strategy(name: str, kind: type[Strategy], given: Any) -> None:
    """Raises HsxError for what is neither None nor a strategy of this kind."""
    if given is None or isinstance(given, kind):
        return
    usual = USUAL[kind.__name__]
    if isinstance(given, type) and issubclass(given, kind):
        remedy = f"give an object, {given.__name__}(…)"
    elif isinstance(given, str):
        remedy = f"give an object of hsx.strategies, such as {usual}, not a name"
    else:
        remedy = f"give one of hsx.strategies, such as {f'Constant({given})' if number(given, 0, 1) else usual}"
    raise HsxError(f"{name}: expected a {kind.__name__}, got {got(given)}; {remedy}")


def _full_name(strategy: Strategy) -> str:
    return f"{type(strategy).__module__}.{type(strategy).__qualname__}"


def _noted(value: Any) -> Any:
    """A strategy itself, or others inside lists and mappings; the rest copied as plain data."""
    return _mapped(value, lambda strategy: strategy)


def _configs(value: Any) -> Any:
    return _mapped(value, lambda strategy: strategy.config())


def _records(value: Any) -> Any:
    return _mapped(value, lambda strategy: strategy.record(), hashed)


def _mapped(value: Any, change: Callable[[Strategy], Any], leaf: Callable[[Any], Any] = plain) -> Any:
    """Plain data, with every strategy in it changed."""
    if isinstance(value, Strategy):
        return change(value)
    if isinstance(value, Mapping):
        return {str(name): _mapped(one, change, leaf) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mapped(one, change, leaf) for one in value]
    return leaf(value)


PLAIN = (bool, int, float, str, type(None), Mapping, list, tuple, Strategy)
