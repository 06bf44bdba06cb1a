"""The kinds of strategy: the moves of the method, each a small class that anyone can replace.

Every strategy works row by row, for any batch size, device and dtype, and never changes its arguments.  State between
calls is set in ``prepare``, before each batch; a Transfer works with its own copies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import Tensor

from hsx._renamed import warn
from hsx.checks import got, number
from hsx.errors import HsxError
from hsx.io.fingerprint import fingerprint
from hsx.schedule import NoiseSchedule
from hsx.strategies.arguments import ConstructorSignature, absolute, arguments_of, files_of, hashed, plain
from hsx.strategies.states import StepState as StepState
from hsx.strategies.states import StyleState as StyleState

if TYPE_CHECKING:
    from hsx.method.inversion import Trajectory


class Strategy(ABC):  # noqa: B024  (the common name of the kinds; each kind adds its own abstract method)
    """One interchangeable part of the method.

    Attributes:
        kind: the field of ``TransferConfig`` that takes it, set by the abstract class of each kind.
        usual: an object of that kind as Python code, for errors.
        listed: the class that each short name stands for, filled by ``hsx.plugins.registry.load``.
        paths: the constructor's arguments that are paths, or lists of them.  A config holds absolute paths, a record
            digests of the files instead.
        renamed: old names of the constructor's arguments, taken as ``**renamed``, and what they are called now.
    """

    kind: ClassVar[str]
    usual: ClassVar[str]
    listed: ClassVar[dict[str, type[Strategy]]] = {}
    paths: ClassVar[tuple[str, ...]] = ()
    renamed: ClassVar[dict[str, str]] = {}
    _arguments: dict[str, Any]
    __signature__ = ConstructorSignature()

    @classmethod
    def __subclasses__(cls) -> list[Any]:
        """Those that are listed and what they derive from: jsonargparse looks short names up here."""
        listed = Strategy.listed.values()
        return [c for c in type.__subclasses__(cls) if not listed or any(issubclass(known, c) for known in listed)]

    def __new__(cls, *args: Any, **options: Any) -> Any:
        """Keeps the constructor's arguments for ``config``; a copy is made without any and then gets those kept."""
        for old in options.keys() & cls.renamed.keys():
            warn(f"{cls.__name__}'s {old}", cls.renamed[old])
            options[cls.renamed[old]] = options.pop(old)
        strategy = super().__new__(cls)
        arguments = arguments_of(cls, args, options).items()
        noted = {k: absolute(v) if k in cls.paths else _mapped(v, lambda strategy: strategy) for k, v in arguments}
        object.__setattr__(strategy, "_arguments", noted)
        return strategy

    def __init__(self) -> None:  # noqa: B027
        """No options, where a class has no constructor of its own."""

    def config(self) -> dict[str, Any]:
        """The part of a config that makes this strategy again, from any folder.

        Returns:
            ``class_path``, the short name of a class that is hsx's or listed, else its module and name; and
            ``init_args``, the constructor's arguments by their own names, defaults filled in, strategies among them
            likewise.
        """
        cls = type(self)
        known = cls.__module__.startswith("hsx.") or Strategy.listed.get(cls.__name__) is cls
        arguments = _mapped(self._arguments, lambda strategy: strategy.config())
        return {"class_path": cls.__name__ if known else f"{cls.__module__}.{cls.__qualname__}", "init_args": arguments}

    def record(self) -> dict[str, Any]:
        """All that decides its results, as plain data.

        The class, with its code unless it is hsx's own; the constructor's arguments, where ``paths`` are digests of the
        files and other strings that name a file have a digest as well; and the attributes, private ones only if plain.
        """
        cls = type(self)
        code = {} if cls.__module__.startswith("hsx.") else {"code": fingerprint(cls)}
        found = {name: value for name, value in self._arguments.items() if name not in self.paths}
        files = {name: digests for name, value in self._arguments.items() if (digests := files_of(value))}
        spelt = [value for name, value in self._arguments.items() if name in self.paths]
        for name, value in vars(self).items():
            counts = name[0] != "_" or (name != "_arguments" and isinstance(value, PLAIN))
            if counts and absolute(_records(value)) not in spelt:
                found[name] = value
        return {"class_path": f"{cls.__module__}.{cls.__qualname__}", **code, "files": files, **_records(found)}

    def read_pictures(self, image: Callable[[str], Tensor], mask: Callable[..., Tensor]) -> None:
        """Called once by its Transfer, for a strategy that needs pictures of its own, and for those inside it.

        Args:
            image: reads the picture at a path, made square as the transfer's are: (3, R, R) in [-1, 1].
            mask: reads the mask at a path likewise: ``mask(path, side, blur=0.0)`` is (1, side, side) in [0, 1], made
                soft by a Gaussian with a deviation of ``blur`` pixels.
        """
        held = {name: value for name, value in vars(self).items() if name != "_arguments"}
        _mapped(held, lambda strategy: strategy.read_pictures(image, mask), lambda value: None)


class BlendingSchedule(Strategy):
    """How much of the content's features is blended in at each timestep."""

    kind, usual = "schedule", "Constant(0.3)"

    def prepare(self, timesteps: Sequence[int], noise: NoiseSchedule) -> None:  # noqa: B027
        """Called before each batch with the timesteps at which it injects, descending, and the model's schedule."""

    @abstractmethod
    def gamma(self, t: int) -> float:
        """The weight at timestep ``t``, in [0, 1]; 0 injects nothing."""


class Blend(Strategy):
    """How the features of two pictures at one site, such as h, become one."""

    kind, usual = "blend", "Slerp()"

    def prepare(self, content: Trajectory, invert: Callable[[Tensor], Trajectory]) -> Trajectory:
        """Called before each batch with its contents; gives those whose features are injected, by default the same.

        Args:
            content: the batch's contents, ``content.features[site]`` (B, S, C, H, W) for S timesteps; none where the
                donor does not invert them.
            invert: inverts further pictures (N, 3, R, R) in [-1, 1].
        """
        return content

    @abstractmethod
    def __call__(self, h: Tensor, content_h: Tensor, gamma: Tensor, mask: Tensor | None = None) -> Tensor:
        """Blend ``content_h`` into ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        It is called for each site: h may be the bottleneck or a skip, of another size.

        Args:
            gamma: (B, 1, 1, 1) in [0, 1]; 0 gives ``h`` back.
            mask: (B or 1, 1, H, W) in [0, 1]; where it is 0 ``h`` is kept.
        """


class Normalizer(Strategy):
    """How the content's feature at a site is fitted to the style's statistics before it is blended."""

    kind, usual = "normalizer", "Frobenius()"

    @abstractmethod
    def __call__(self, content_h: Tensor, h: Tensor) -> Tensor:
        """``content_h`` with the statistics of ``h``, both (B, C, H, W); a new tensor of the same shape and dtype.

        What has these statistics already comes back as it is: ``normalizer(h, h)`` is ``h``.
        """


class Calibrator(Strategy):
    """How x is moved so that its skip connections agree with the injected h."""

    kind, usual = "calibrator", "Latent(0.3)"

    @abstractmethod
    def __call__(self, state: StepState) -> Tensor | None:
        """The moved x, (B, 3, R, R), from which a plain DDIM step is then taken; None for the asymmetric step."""


class Donor(Strategy):
    """Where the features of the contents come from.

    Attributes:
        inverts: whether the contents are inverted, with their features recorded on the way.
        reads: whether it needs the contents as pictures, ``content.images``.
    """

    kind, usual = "donor", "Inverted()"
    inverts: ClassVar[bool] = True
    reads: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, content: Trajectory, state: StyleState) -> Mapping[str, Tensor]:
        """The contents' features at the timesteps ``state.t``: at each site (B, c, r, r), at least at those injected.

        Args:
            content: the batch's contents: ``features`` where it ``inverts``, ``images`` where it ``reads``.
        """


class Past(NamedTuple):
    """What the network said at an earlier timestep: x_0 and eps, (B, 3, R, R) each, at ``t`` (B,)."""

    x0: Tensor
    eps: Tensor
    t: Tensor


class Solver(Strategy):
    """How x gets from one timestep to the next, up in inversion and down in generation alike.

    Where the content is injected, or noise added, the step is always DDIM's, and what was before is forgotten.

    Attributes:
        memory: how many earlier evaluations it looks at.
        order: by how much its error falls: by 2 to the power of it, where there are twice as many steps.
    """

    kind, usual = "solver", "DDIM()"
    memory: ClassVar[int] = 0
    order: ClassVar[int] = 1
    _noise = NoiseSchedule.linear()

    def prepare(self, noise: NoiseSchedule) -> None:
        """Called before each batch with the model's schedule; keeps it."""
        self._noise = noise

    @abstractmethod
    def step(self, x: Tensor, x0: Tensor, eps: Tensor, t: Tensor, t_next: Tensor, history: Sequence[Past]) -> Tensor:
        """x at ``t_next``, (B, 3, R, R) as ``x``.

        Args:
            x: (B, 3, R, R) at ``t``.
            x0, eps: what the network says of it, likewise.
            t, t_next: (B,) timesteps, which may differ within the batch; ``t_next`` is above ``t`` in inversion and
                below it in generation, where -1 is the clean picture.
            history: the evaluations before it on the same way, at most ``memory``, the latest last; fewer at first.
        """

    def alpha_sigma(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha-bar) and sqrt(1 - alpha-bar) at ``t`` (B,), each (B, 1, 1, 1) in float64 on the CPU."""
        a = self._noise.at(t)
        return a.sqrt(), (1 - a).sqrt()


KINDS: dict[str, type[Strategy]] = {cls.kind: cls for cls in type.__subclasses__(Strategy)}


def check_strategy(name: str, kind: type[Strategy], given: Any) -> None:
    """Raises HsxError for what is neither None nor a strategy of this kind."""
    if given is None or isinstance(given, kind):
        return
    if isinstance(given, type) and issubclass(given, kind):
        remedy = f"give an object, {given.__name__}(…)"
    elif isinstance(given, str):
        remedy = f"give an object of hsx.strategies, such as {kind.usual}, not a name"
    else:
        remedy = f"give one of hsx.strategies, such as {f'Constant({given})' if number(given, 0, 1) else kind.usual}"
    raise HsxError(f"{name}: expected a {kind.__name__}, got {got(given)}; {remedy}")


def without_pictures(strategy: Strategy) -> HsxError:
    """What a strategy raises that is used before its pictures were read."""
    name = type(strategy).__name__
    return HsxError(f"{name}: expected its pictures, which a Transfer reads, got none; use it in a Transfer")


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
