"""Averaged weights without the network's names: they get those of the raw weights beside them, or are refused."""

from __future__ import annotations

from torch import Tensor

from hsx.checkpoints.files.beside import is_buffer
from hsx.checkpoints.files.contents import Found, Network, State, by_first, doubt_of, is_averaged
from hsx.errors import BackboneError

REMEDY = "copy them into the network and save its state_dict"


def from_list(found: Found, raw: list[Network], files: list[Found]) -> Network:
    """A list of averaged tensors, in the order of the parameters (score_sde, torch-ema, diffusers' EMAModel, NeMo).

    Args:
        raw: the networks with names in the same file.
        files: the state dicts in which they lie: the list may be of all of one, with what else it holds.

    Raises:
        BackboneError: where number and shapes fit none of them, or several that differ.
    """
    assert isinstance(found.tensors, list)
    label, fitting, reasons = ".".join(found.path), [], []
    for network in raw:
        first = next(iter(network.state.values()))
        around = (f.tensors for f in files if f.path == network.path[: len(f.path)] and isinstance(f.tensors, dict))
        whole = next(tensors for tensors in around if any(v is first for v in tensors.values()))
        for parameters in (_parameters(network.state), _parameters(whole)):
            if reason := _misfit(found.tensors, parameters):
                reasons.append(f"{reason} of {network.label}")
                continue
            values = dict(zip(map(_place, parameters.values()), found.tensors, strict=True))
            state = {name: values[_place(v)] for name, v in network.state.items() if _place(v) in values}
            fitting.append(Network(found.path, state, True, found.doubt, ", in the order of the parameters"))
            break
    if not fitting:
        raise BackboneError(f"expected averaged weights in {label} that fit a network, got {reasons[0]}; {REMEDY}")
    if len(fitting) > 1:
        names = " and ".join(network.label for network in raw)
        raise BackboneError(f"expected averaged weights in {label} of one network, got those of {names}; {REMEDY}")
    return fitting[0]


def _parameters(state: State) -> State:
    """The parameters, in their order; a tensor under two names is one parameter."""
    first: dict[int, str] = {}
    for name, value in state.items():
        if not is_buffer(name):
            first.setdefault(_place(value), name)
    return {name: state[name] for name in first.values()}


def _place(value: Tensor) -> int:
    return value.data_ptr() or id(value)


def _misfit(tensors: list[Tensor], parameters: State) -> str:
    """Why a list is not of these parameters, or nothing."""
    if len(tensors) != len(parameters):
        return f"{len(tensors)} tensors for the {len(parameters)} parameters"
    names = list(parameters)
    if len(names) > 4 and names == sorted(names):  # as safetensors writes them: no network registers so
        return "parameters in the order of the alphabet"
    for i, (name, tensor) in enumerate(zip(names, tensors, strict=True)):
        if tensor.shape != parameters[name].shape:
            return f"as number {i} shape {tuple(tensor.shape)} for the {tuple(parameters[name].shape)} of {name}"
    return ""


def from_lit_ema(found: Found, rest: State, raw: list[Network]) -> tuple[list[Network], State]:
    """CompVis's LitEma: ``model_ema.`` and the names in full, their dots taken out; and what is left of ``rest``.

    Raises:
        BackboneError: where a tensor of the network has no average.
    """
    averages: list[Network] = []
    for first, group in by_first(rest).items():
        own = {n: v for n, v in group.items() if n not in ("decay", "num_updates")}
        if not is_averaged((first,)) or not own or any("." in name for name in own):
            continue
        for network in raw:
            prefix = network.path[len(found.path) :]
            for start in range(len(prefix) + 1):
                head = "".join(prefix[start:])
                flat = {name: head + name.replace(".", "") for name in network.state if not is_buffer(name)}
                if not any(value in own for value in flat.values()):
                    continue
                if absent := next((name for name, value in flat.items() if value not in own), None):
                    wanted = f"averaged weights in {first} for every tensor of {network.label}"
                    raise BackboneError(f"expected {wanted}, got none for {absent}; save the one that is meant alone")
                state = {name: own[value] for name, value in flat.items()}
                averages.append(Network((*found.path, first), state, True, doubt_of(group), ", names without dots"))
                rest = {n: v for n, v in rest.items() if not n.startswith(f"{first}.")}
                break
    return averages, rest
