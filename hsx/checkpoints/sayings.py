"""What the settings beside the weights say of the network's use: it must not contradict what would be assumed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hsx.backbones.base import Fact
from hsx.checkpoints.contents import Setting
from hsx.errors import BackboneError

# The names of settings, the option that each is, and how its values are called there.
PREDICTS = {
    "eps": "epsilon",
    "noise": "epsilon",
    "x0": "sample",
    "v": "v_prediction",
    "pred_noise": "epsilon",
    "pred_x0": "sample",
    "pred_v": "v_prediction",
}
SCHEDULES = {"squaredcos_cap_v2": "cosine"}
SAYS: dict[str, tuple[str, dict[Any, Any]]] = {
    "prediction_type": ("prediction_type", PREDICTS),
    "parameterization": ("prediction_type", PREDICTS),
    "objective": ("prediction_type", PREDICTS),
    "predict_xstart": ("prediction_type", {True: "sample", False: "epsilon"}),
    "noise_schedule": ("schedule", SCHEDULES),
    "beta_schedule": ("schedule", SCHEDULES),
    "num_train_timesteps": ("num_train_timesteps", {}),
    "diffusion_steps": ("num_train_timesteps", {}),
    "num_diffusion_timesteps": ("num_train_timesteps", {}),
    "timesteps": ("num_train_timesteps", {}),
    "ddpm_beta_schedule": ("schedule", SCHEDULES),
    "ddpm_num_steps": ("num_train_timesteps", {}),  # diffusers' script
    "rescale_timesteps": ("rescale_timesteps", {}),
}
Sayings = list[tuple[str, str, Any]]


def sayings(loaded: Any) -> Sayings:
    """Where a loaded file has such a setting, the option that it is, and its value in the option's words."""
    return list(_sayings(loaded, (), set()))


def _sayings(node: Any, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, str, Any]]:
    if id(node) in seen or len(path) > 100:
        return
    seen.add(id(node))
    node = getattr(node, "held", node) if isinstance(node, Setting) else node
    if isinstance(node, (list, tuple)):
        node = dict(enumerate(node))
    for key, value in node.items() if isinstance(node, dict) else ():
        where = (*path, str(key)) if key not in ("_content", "_val") else path  # OmegaConf's
        plain = value.held.get("_val") if isinstance(value, Setting) and "_val" in value.held else value
        if key in SAYS and isinstance(plain, (str, int)):
            option, words = SAYS[key]
            if key == "objective" and plain not in words:  # of something else
                continue
            yield ".".join(where), option, words.get(plain, plain)
        elif key != "_parent":
            yield from _sayings(value, where, seen)


def check_sayings(path: Path, said: Sayings, facts: dict[str, Fact]) -> None:
    """Nothing is assumed against the file's own settings.

    Raises:
        BackboneError: for the first that says otherwise, with the option to give.
    """
    for where, option, value in said:
        fact, steps = facts.get(option), facts.get("num_train_timesteps")
        if option == "rescale_timesteps" and steps and steps.value == 1000:  # which changes nothing
            continue
        if fact and fact.origin.startswith("assumed") and fact.value != value:
            raise BackboneError(
                f"{path}: expected the option {option}, of which {fact.value} would be assumed, "
                f"because the file's setting {where} says {value}; give it"
            )
