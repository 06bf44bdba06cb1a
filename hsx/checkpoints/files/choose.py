"""Which weights of a checkpoint file are taken: averaged ones where there are any.  The fact ``weights`` says which.

A file may be the state dict alone, or hold it under keys (``ema``, ``state_dict``, ...), in lists, under prefixes of
wrappers (``module.``, ``model.``, ``_orig_mod.``), several times (raw and averaged), or beside other networks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hsx.backbones.base import Fact
from hsx.checkpoints.files.averaged import REMEDY, from_list, from_lit_ema
from hsx.checkpoints.files.beside import Hint, is_buffer
from hsx.checkpoints.files.contents import Found, Network, Recognises, State, by_first, is_averaged, networks
from hsx.errors import BackboneError

ALL = "the only ones in the file"
PREFIXES = ("module", "model", "unet", "net", "network", "ema", "ema_model")  # of a network that nobody recognises
SAVE = "save the weights that are meant alone, as one state dict"
FEW = 100  # numbers beside a network, such as rates and losses


class Weights(NamedTuple):
    """What a checkpoint file holds of one network.

    Attributes:
        state: its tensors, under the network's own names (prefixes of wrappers are taken off).
        taken: which weights of the file these are, averaged or not, and what was left out.
        path: the keys and the prefix under which they lie in the file.
        beside: the names of the file's other tensors.
        betas: the schedule (T,) float64, where the file holds that of its Gaussian diffusion.
        hints: what the settings in the file say of the network's use.
    """

    state: State
    taken: Fact
    path: tuple[str, ...]
    beside: tuple[str, ...] = ()
    betas: Tensor | None = None
    hints: tuple[Hint, ...] = ()


def choose(found: list[Found], recognises: Recognises | None) -> Weights:
    """Which network of a file is taken.

    Args:
        found: what lies in the file.
        recognises: whether names are those of a network that is looked for; without it every state dict is one.

    Raises:
        BackboneError: where there is none, or several of equal rank, or averaged weights that fit no network.
    """
    named = [f for f in found if isinstance(f.tensors, dict) and f.tensors]
    lists = [f for f in found if isinstance(f.tensors, list)]
    nets: list[Network] = []
    rests: list[tuple[Found, State]] = []
    for one in named:
        inside, rest = networks(one, recognises)
        averages, rest = from_lit_ema(one, rest, inside)
        nets += inside + averages
        rests.append((one, rest))
    if not nets:
        return _largest(named, lists)
    raw = [net for net in nets if not net.averaged]
    nets += [from_list(one, raw or nets, named) for one in lists if one.averaged]
    taken = _best(nets)
    for net in nets:
        if taken.averaged and not net.averaged:
            _check_names(taken, net)
    others = [str(net) for net in nets if net is not taken]
    others += [text for one, rest in rests for text in _rest(one, rest, taken)]
    others += [f"{'.'.join(f.path)} (empty)" for f in found if f.averaged and not f.tensors]
    beside = tuple(".".join((*one.path, name)) for one, rest in rests for name in rest)
    return Weights(_weights(taken.state), Fact(_label(taken, others), "read"), taken.path, beside)


def _weights(state: State) -> State:
    """The state without buffers and without numbers beside the network."""
    return {name: value for name, value in state.items() if not is_buffer(name) and (value.ndim or "." in name)}


def _best(nets: list[Network]) -> Network:
    """The averaged network, else the only one; several of equal rank must be the same."""
    rank = [net for net in nets if net.averaged] or nets
    first, names = rank[0], " and ".join(map(str, rank[:4]))
    if not all(_equal(first.state, other.state) for other in rank[1:]):
        raise BackboneError(f"expected one network, or one averaged, got {names}, which differ; {SAVE}")
    raw = [net for net in nets if not net.averaged]
    if first.doubt and raw and not _equal(first.state, raw[0].state):
        raise BackboneError(f"expected averaged weights, got {first} with {first.doubt}, beside {raw[0]}; {SAVE}")
    return first


def _equal(one: State, two: State) -> bool:
    one, two = _weights(one), _weights(two)
    return one.keys() == two.keys() and all(v.dtype == two[n].dtype and torch.equal(v, two[n]) for n, v in one.items())


def _check_names(averaged: Network, raw: Network) -> None:
    """Averaged weights must be those of the raw network beside them, all of them."""
    mine, its = _weights(averaged.state).keys(), _weights(raw.state).keys()
    if len(mine & its) < len(its) / 2:  # another network
        return
    other = next((n for n in averaged.state if n in raw.state and averaged.state[n].shape != raw.state[n].shape), None)
    if other:
        one, two = (f"{tuple(net.state[other].shape)} in {net}" for net in (averaged, raw))
        raise BackboneError(f"expected averaged weights shaped as the raw ones, got {other} as {one} and {two}; {SAVE}")
    for name in (*sorted(its - mine), *sorted(mine - its)):
        who, whom = (averaged, raw) if name in its else (raw, averaged)
        raise BackboneError(f"expected averages named as the raw ones, got {name} in {whom} but not in {who}; {SAVE}")


def _rest(found: Found, rest: State, taken: Network) -> list[str]:
    """What else a state dict holds, named; averaged weights that are no network must not be passed over."""
    rest = {n: v for n, v in rest.items() if not is_buffer(n) and v.ndim}
    groups = by_first(rest)
    averaged = list(rest)[:1] if found.averaged else []
    averaged += [f"{first}.{next(iter(group))}" for first, group in groups.items() if is_averaged((first,))]
    averaged += [n for n, v in rest.items() if "." not in n and is_averaged((n,)) and v.numel() > FEW]
    if averaged and not taken.averaged:
        other = ".".join((*found.path, averaged[0]))
        wanted = f"expected averaged weights that fit the network {taken.label}"
        raise BackboneError(f"{wanted}, got {other}, which does not; {SAVE}")
    names = [*groups, *(name for name in rest if "." not in name)]
    if not names:
        return []
    where = f"{'.'.join(found.path)}: " if found.path else ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{where}{', '.join(names[:3])}{more} (no such network)"]


def _label(taken: Network, others: list[str]) -> str:
    doubt = f" with {taken.doubt}" if taken.doubt else ""
    also = f"; also there: {'; '.join(others)}" if others else ""
    if not also and not taken.averaged:
        return f"{ALL}{f', under {taken.label}' if taken.path else ''}{doubt}"
    return f"{taken}{doubt}{also}"


def _largest(named: list[Found], lists: list[Found]) -> Weights:
    """Where no network was recognised: the largest state dict, to say what it is, or for the option family."""
    whole = max(named, key=lambda f: (len(f.tensors) > 4, f.averaged, len(f.tensors)), default=None)
    listed = lists[0].tensors if lists else []
    if listed and (whole is None or len(whole.tensors) < len(listed) / 2):
        label = ".".join(lists[0].path) or "the file"
        raise BackboneError(f"expected tensors with names, got a list of {len(listed)} without, in {label}; {REMEDY}")
    if whole is None or not isinstance(whole.tensors, dict):
        raise BackboneError(f"expected a state dict of tensors, got none with a tensor in it; {SAVE}")
    state, path = whole.tensors, whole.path
    while len(groups := by_first(state)) == 1 and not any("." not in name for name in state):
        first = next(iter(groups))
        if first not in PREFIXES:
            break
        state, path = groups[first], (*path, first)
    label = f"the largest state dict, under {'.'.join(path)}" if path else ALL
    return Weights(_weights(state), Fact(label, "read"), path)
