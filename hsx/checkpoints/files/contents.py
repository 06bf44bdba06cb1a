"""What lies in a loaded checkpoint file: state dicts and lists of tensors, and the networks among their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor

from hsx.errors import BackboneError

State = dict[str, Tensor]
Recognises = Callable[[State], bool]
Prefixed = list[tuple[tuple[str, ...], State]]

WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # what wrappers put anywhere into names
AVERAGED = re.compile(
    r"(?<![a-z])(ema|swa|avg)s?(model|net|unet|weights?|params?|state|dict)*(?![a-z])|"
    r"(model|net|unet|params)(ema|swa|avg)(?![a-z])|averag|shadow|polyak"
)
RAW = re.compile(
    r"(?<![a-z])(online|raw|original|current|backup|collected|stored|temp)(?![a-z])|"
    r"(?<![a-z])(no|non|not|un|without|wo|pre|before)_?(ema|swa|avg|averag)"
)
OPTIMIZER = re.compile(r"(.*\.)?((max_)?exp_avg(_sq)?s?|exp_inf|square_avg|momentum_buffer|step)")  # Adam's and others'
NOTHING = {"n_averaged": 0, "initted": False, "num_updates": 0}  # before the first average


class Setting:
    """Stands for an object in a file that is no tensor; its class is not called, its attributes are in ``held``."""

    held: dict[str, Any]

    def __new__(cls, *_: Any) -> Setting:  # noqa: D102
        setting = super().__new__(cls)
        setting.held = {}
        return setting

    def __setstate__(self, state: Any) -> None:
        self.held = state if isinstance(state, dict) else {}


class Found(NamedTuple):
    """Tensors that lie together in a file, by name or in a list.

    Attributes:
        path: the keys that lead there.
        averaged: whether a key, or the code that writes such files, says that they are averaged.
        doubt: why averaged ones may be no averages yet, or nothing.
    """

    path: tuple[str, ...]
    tensors: State | list[Tensor]
    averaged: bool
    doubt: str = ""


class Network(NamedTuple):
    """One network of a file.

    Attributes:
        path: the keys, then the prefix of its names, that lead to it.
        state: its tensors under its own names.
        averaged, doubt: as in ``Found``.
        how: in words, how tensors without names got theirs.
    """

    path: tuple[str, ...]
    state: State
    averaged: bool
    doubt: str = ""
    how: str = ""

    @property
    def label(self) -> str:
        """Where in the file it lies."""
        return ".".join(self.path) or "the names without prefix"

    def __str__(self) -> str:
        return f"{self.label} ({'averaged' if self.averaged else 'raw'}{self.how})"


def walk(node: Any) -> list[Found]:
    """Every dict and list of tensors in a loaded file, wherever it lies, but those of an optimizer.

    Raises:
        BackboneError: for averaged weights that are no tensors.
    """
    return list(_walk(node, (), False, "", set()))


def _walk(node: Any, path: tuple[str, ...], averaged: bool, doubt: str, seen: set[tuple[int, bool]]) -> Iterator[Found]:
    if (id(node), averaged) in seen or len(path) > 100:  # data may hold itself
        return
    seen.add((id(node), averaged))
    inside = list(node.values() if isinstance(node, dict) else node) if isinstance(node, (dict, list, tuple)) else []
    if averaged and sum(isinstance(value, Setting) for value in inside) > len(inside) / 2:
        at = ".".join(path)
        raise BackboneError(f"expected averaged weights as tensors, got NumPy arrays or the like in {at}; save tensors")
    if isinstance(node, dict) and node and list(node) == list(range(len(node))):
        node = list(node.values())
    if isinstance(node, (list, tuple)) and node and all(map(_is_named, node)):  # list(network.named_parameters())
        node = dict(node)
    if isinstance(node, dict):
        keys = set(map(str, node))
        own = {k: v for k, v in node.items() if not OPTIMIZER.fullmatch(str(k))}
        if {"state", "param_groups"} <= keys:
            own = {k: v for k, v in own.items() if k not in ("state", "param_groups")}
        tensors = {str(k): v for k, v in own.items() if isinstance(v, Tensor) and (averaged or isinstance(k, str))}
        averaged, doubt = averaged or "n_averaged" in tensors, doubt or doubt_of(node)
        if tensors or (averaged and not node):
            yield Found(path, tensors, averaged, doubt)
        for key, value in own.items():
            says = is_averaged((str(key),))
            if key == "state_dict" and "current_model_state" in keys:  # Lightning's WeightAveraging exchanges the two
                says = True
            if key in ("state_dict", "ema_state_dict") and "ema_state_dict" in keys and _is_mmengine(node):
                says = key == "state_dict"  # as its EMAHook does
            yield from _walk(value, (*path, str(key)), averaged if says is None else says, doubt, seen)
    elif isinstance(node, (list, tuple)):
        if len(node) > 1 and all(isinstance(value, Tensor) for value in node):
            if any(value.ndim for value in node):  # not a list of losses
                yield Found(path, list(node), averaged, doubt)
            return
        for i, value in enumerate(node):
            last = not path and len(node) == 5 and i == 4  # DDPM's list: model, optimizer, epoch, step, EMA
            yield from _walk(value, (*path, f"[{i}]"), averaged or last, doubt, seen)


def is_averaged(path: tuple[str, ...]) -> bool | None:
    """Whether the last of these keys that says anything says averaged or raw."""
    for key in reversed(path):
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower()
        if RAW.search(words):
            return False
        if AVERAGED.search(words):
            return True
    return None


def _is_named(pair: Any) -> bool:
    return isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(isinstance, pair, (str, Tensor)))


def _is_mmengine(node: dict[Any, Any]) -> bool:
    meta = node.get("meta")
    return "message_hub" in node or isinstance(meta, dict) and "mmengine_version" in meta


def doubt_of(node: dict[Any, Any]) -> str:
    """What shows that nothing was averaged yet, so that averaged weights are those of before the training."""
    inside = node.get("averaging_state")
    for place in (node, inside if isinstance(inside, dict) else {}):
        for key, nothing in NOTHING.items():
            value = place.get(key)
            value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
            if isinstance(value, (int, float)) and value == nothing:
                return f"{key} {nothing}: nothing averaged yet"
    return ""


def networks(found: Found, recognises: Recognises | None) -> tuple[list[Network], State]:
    """The networks in a state dict, each with its prefix taken off, and the tensors that belong to none.

    Args:
        recognises: whether names are those of the network that is looked for; without it the state dict is one.
    """
    assert isinstance(found.tensors, dict)
    state = _cleaned(found.tensors)
    inside, rest = ([((), state)], {}) if recognises is None else _split(state, recognises, ())
    result = []
    for prefix, own in inside:
        around = [_beside(state, prefix[:n]) for n in range(1, len(prefix) + 1)]
        averaged = is_averaged(prefix)
        if averaged is None:
            averaged = found.averaged or any("n_averaged" in counters for counters in around)
        doubt = found.doubt or "".join(map(doubt_of, around))
        result.append(Network((*found.path, *prefix), own, averaged, doubt if averaged else ""))
    return result, rest


def _beside(state: State, prefix: tuple[str, ...]) -> dict[Any, Any]:
    """The counters of averaging under a prefix."""
    return {key: state[name] for key in NOTHING if (name := ".".join((*prefix, key))) in state}


def _cleaned(tensors: State) -> State:
    """Names without what wrappers put anywhere into them, unless two would become one."""
    names = [".".join(part for part in name.split(".") if part not in WRAPPERS) for name in tensors]
    return dict(zip(names, tensors.values(), strict=True)) if len(set(names)) == len(names) else tensors


def _split(state: State, recognises: Recognises, prefix: tuple[str, ...]) -> tuple[Prefixed, State]:
    """The networks under a prefix, and the tensors that belong to none, under their full names."""
    here = recognises(state)
    found: Prefixed = []
    own = {name: value for name, value in state.items() if "." not in name}
    for first, group in by_first(state).items():
        if not here:
            inside, left = _split(group, recognises, (*prefix, first))
        else:  # the network itself has no more prefix, but a copy of it may lie under one beside it
            inside, left = ([((*prefix, first), group)], {}) if recognises(group) else ([], group)
        found += inside
        own |= {f"{first}.{name}": value for name, value in left.items()}
    if here:
        own = {name: state[name] for name in state if name in own}  # in their own order
        return [(prefix, own), *found], {}
    return found, own


def by_first(state: State) -> dict[str, State]:
    """Names with a dot, grouped by what stands before the first dot."""
    groups: dict[str, State] = {}
    for name, value in state.items():
        first, dot, rest = name.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = value
    return groups
