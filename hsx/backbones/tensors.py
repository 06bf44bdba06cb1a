"""The tensors of a checkpoint file, however they are wrapped.  Checkpoints are data: nothing in them is run."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from hsx.backbones.options import Fact
from hsx.errors import BackboneError, first_line

PREFIXES = ("module.", "_orig_mod.", "model.", "unet.", "net.", "ema.", "ema_model.")  # what wrappers put before names
WRAPPERS = ("ema", "ema_state_dict", "state_dict", "model_state_dict", "model")  # where wrappers keep them, best first


class Weights(NamedTuple):
    """What a checkpoint file holds of one network.

    Attributes:
        state: its tensors in float32, under the network's own names (prefixes of wrappers are taken off).
        taken: which weights of the file these are, averaged or not, and what was left out.
        betas: the schedule (T,) float64, where the file holds that of its Gaussian diffusion.
    """

    state: dict[str, Tensor]
    taken: Fact
    betas: Tensor | None = None


def read_tensors(path: Path) -> Weights:
    """The weights in a checkpoint file of any suffix: safetensors, or what ``torch.save`` wrote, by its first bytes.

    Unwrapped are the five-item list of DDPM's training code (model, optimizer, epoch, step, EMA), a Lightning
    checkpoint, and the prefixes that wrappers put before names; averaged weights (EMA) are preferred where there are
    any.

    Raises:
        BackboneError: for a file that is broken, would run code, or holds no state dict, and for weights that are not
            finite.
    """
    if path.stat().st_size == 0:
        raise BackboneError(f"{path}: expected a checkpoint, got an empty file; fetch it again")
    try:
        loaded = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        blocked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"it names {blocked[1]}" if blocked else first_line(error)
        raise BackboneError(f"{path}: expected a checkpoint that holds only tensors, got one that is broken or would "
                            f"run code ({reason}); save its state_dict alone") from None
    except Exception as error:  # torch's unpickler raises nearly anything on bytes that are no checkpoint
        raise BackboneError(f"{path}: expected a whole checkpoint, could not read it ({first_line(error)}); "
                            "fetch it again") from None
    state = _unwrapped(loaded)
    if state is None:
        raise BackboneError(f"{path}: expected a state dict of tensors, got {type(loaded).__name__} without one; "
                            "save the model's state_dict alone")
    broken = [name for name, value in state.items() if value.is_floating_point() and not torch.isfinite(value).all()]
    if broken:
        raise BackboneError(f"{path}: expected finite weights, got {broken[0]} with others; fetch or save it again")
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    return Weights(state, Fact("the only ones in the file", "read"))


def _unwrapped(loaded: Any) -> dict[str, Tensor] | None:
    """The state dict inside ``loaded``, its common prefix taken off."""
    if isinstance(loaded, (list, tuple)):  # DDPM's training code: model, optimizer, epoch, step, EMA
        dicts = [found for found in map(_unwrapped, loaded) if found]
        return dicts[-1] if dicts else None
    if not isinstance(loaded, dict) or not loaded:
        return None
    if not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in loaded.items()):
        inside = [_unwrapped(loaded[key]) for key in WRAPPERS if key in loaded]
        return next((found for found in inside if found), None)
    return _without_prefix(loaded)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrappers put before them; of several networks in one file the averaged one."""
    for prefix in ("ema.", "ema_model."):
        if any(not name.startswith(prefix) for name in state) and any(name.startswith(prefix) for name in state):
            state = {name: value for name, value in state.items() if name.startswith(prefix)}
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            return _without_prefix({name.removeprefix(prefix): value for name, value in state.items()})
    return state
