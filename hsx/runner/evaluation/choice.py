"""Which measures are made of all that there are."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from hsx.errors import HsxError, first_line
from hsx.metrics import Metric
from hsx.metrics.base import ABOUT
from hsx.plugins import registry as plugins

ALL = "all"
COSTLY = "only with --metrics inversion, as the diffusion model must be evaluated for it"
WEIGHTS = "only when named with --metrics or --networks, as a network's weights are needed"


def choose(
    names: str, networks: str, reference: str | None, kinds: Collection[str]
) -> tuple[list[Metric], dict[str, str]]:
    """The measures that are asked for, and of those that are left out why.

    Args:
        names: classes and groups (what measures are about, or all), with commas between; empty: those that need
            neither weights nor evaluations of the network.
        networks: what measures look through, such as Gram=resnet18.a1_in1k@FILE, with commas between.
        reference: the folder that results are compared with as a set.
        kinds: the pictures that there are.

    Raises:
        HsxError: for a name that is none, and where nothing can be measured.
    """
    known: dict[str, type[Metric]] = plugins.load().of("metric")
    words = [word.strip() for word in names.split(",") if word.strip()]
    for word in words:
        if word not in (*known, *ABOUT, ALL):
            groups = ", ".join((*ABOUT, ALL))
            raise HsxError(
                f"metrics: expected measures ({', '.join(known)}) or groups ({groups}), got {word}; see hsx plugins"
            )
    given = _networks(networks, known)
    chosen, left_out = list[Metric](), dict[str, str]()
    for name, cls in known.items():
        options: dict[str, Any] = {"network": given[name]} if name in given else {}
        if reference is not None and "reference" in _parameters(cls):
            options["reference"] = reference
        if words and not {name, cls.about, ALL} & {*words}:
            continue
        if reason := _lacking(cls, kinds) or ("" if words or options else _dear(cls)):
            left_out[name] = reason
            continue
        try:
            chosen.append(cls(**options))
        except HsxError as error:
            left_out[name] = str(error)
        except Exception as error:  # whatever a plugin's raises
            left_out[name] = f"{type(error).__name__}: {first_line(error)}"
    if not chosen:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise HsxError(f"metrics: expected a measure that can be made, got none ({reasons}); choose others")
    return chosen, left_out


def said(left_out: Mapping[str, str]) -> Iterator[str]:
    """A line for each reason why measures are left out."""
    for reason in dict.fromkeys(left_out.values()):
        yield f"left out: {', '.join(name for name, why in left_out.items() if why == reason)}: {reason}"


def _networks(text: str, known: Mapping[str, type[Metric]]) -> dict[str, str]:
    """The network that each measure is to look through."""
    found: dict[str, str] = {}
    looking = [name for name, cls in known.items() if "network" in _parameters(cls)]
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, network = (each.strip() for each in part.partition("="))
        if name not in looking or not network:
            wanted = f"MEASURE=NETWORK with a measure that takes one ({', '.join(looking) or 'there is none'})"
            raise HsxError(f"networks: expected {wanted}, got {part}; correct it")
        found[name] = network
    return found


def _lacking(cls: type[Metric], kinds: Collection[str]) -> str:
    """Why a measure cannot be made of these pictures; reconstructions are made when they are asked for."""
    lacking = [kind for kind in cls.takes if kind not in kinds and kind != "reconstruction"]
    if not lacking:
        return ""
    return "no truth is given; name one with --truth" if "truth" in lacking else f"no row has a {lacking[0]}"


def _dear(cls: type[Metric]) -> str:
    """Why a measure is made only where it is asked for."""
    if "reconstruction" in cls.takes:
        return COSTLY
    return WEIGHTS if "network" in _parameters(cls) else ""


def _parameters(cls: type[Metric]) -> Collection[str]:
    return inspect.signature(cls).parameters
