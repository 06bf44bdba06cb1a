"""The options of ``load_backbone``: what each may be, what is assumed without it, the error where one is missing."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from hsx.backbones.base import Fact
from hsx.backbones.prediction import PREDICTIONS, Prediction
from hsx.backbones.unet2d import conditional
from hsx.errors import BackboneError
from hsx.schedule import NoiseSchedule

DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
HIGHEST = {"image_size": 8192, "num_train_timesteps": 100_000}  # far above any model's, and what a machine can hold
ASSUMED: dict[str, Any] = {"schedule": "linear", "attention_order": "legacy", "prediction_type": "epsilon"}
ASSUMED |= {"num_train_timesteps": 1000, "rescale_timesteps": False}
NEVER_ASSUMED = {  # a wrong value raises no error anywhere and gives wrong pictures
    "image_size": "the side of the square pictures that the network was trained on",
    "num_head_channels": "64 in most ADM and P2 models",
    "num_heads": "4 in most iDDPM models",
    "class_label": "the class with which to use a network of {classes} classes, 0 to {last}",
}

log = logging.getLogger("hsx")


@dataclass(frozen=True)
class Options:
    """What overrides or completes what a checkpoint says.

    Args:
        image_size: the side of the square pictures the network was trained on.
        num_heads: attention heads at every width; or give num_head_channels.
        num_head_channels: channels of each attention head (64 in most ADM and P2 models).
        attention_order: how q, k and v lie in an ADM file.
        schedule: betas by name (OpenAI's rules for any number of timesteps), or as a list.
        num_train_timesteps: how many timesteps the network was trained with.
        rescale_timesteps: give the network t 1000 / T (iDDPM trained with 4000 timesteps).
        class_label: the class with which a class-conditional network is used.
        prediction_type: what the network predicts, where a file cannot tell (nearly all predict eps).
        dtype: in which to keep the weights.
        device: where to put them.
        family: read the file as this family's, whatever its names suggest.
        sha256: what the hash of the file must be, in hexadecimal.
    """

    image_size: int | None = None
    num_heads: int | None = None
    num_head_channels: int | None = None
    attention_order: Literal["legacy", "new"] | None = None
    schedule: Literal["linear", "cosine"] | list[float] | None = None
    num_train_timesteps: int | None = None
    rescale_timesteps: bool | None = None
    class_label: int | None = None
    prediction_type: Prediction | None = None
    dtype: Literal["float64", "float32", "float16", "bfloat16"] | None = None
    device: str | None = None
    family: str | None = None
    sha256: str | None = None

    @classmethod
    def checked(cls, options: dict[str, Any]) -> Options:
        """The options, or a BackboneError that names the first that is unknown or out of range."""
        known = [field.name for field in fields(cls)]
        options = {name: _plain(value) for name, value in options.items()}
        for name, value in options.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                remedy = f"did you mean {near[0]}?" if near else "leave it out"
                raise BackboneError(f"{name}: expected options among {', '.join(known)}; {remedy}")
            if value is None:
                continue
            if name in CHOICES and value not in CHOICES[name]:
                raise BackboneError(f"{name}: expected {' or '.join(CHOICES[name])}, got {value}; take one")
            expected, fits = TYPES.get(name, ("", None))
            if fits and not fits(value):
                raise BackboneError(f"{name}: expected {expected}, got {repr(value)[:60]}; correct or drop it")
            if name in HIGHEST and value > HIGHEST[name]:
                raise BackboneError(f"{name}: expected at most {HIGHEST[name]}, got {value}; correct or drop it")
        found = cls(**options)
        if found.num_heads and found.num_head_channels:
            raise BackboneError("num_heads, num_head_channels: expected one of the two, got both; drop one")
        return found

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def _plain(value: Any) -> Any:
    """Torch's names of types and devices as words; tensors, arrays and tuples as lists."""
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value).removeprefix("torch.")
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


def _is_schedule(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(beta, (int, float)) and not isinstance(beta, bool) for beta in value)
    return isinstance(value, str)


CHOICES = {"attention_order": ("legacy", "new"), "dtype": tuple(DTYPES), "prediction_type": PREDICTIONS}
TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("image_size", "num_heads", "num_head_channels", "num_train_timesteps"),
        ("a whole number above 0", lambda value: type(value) is int and value > 0),
    ),
    "class_label": ("a whole number from 0 on", lambda value: type(value) is int and value >= 0),
    "schedule": ("linear, cosine or a list of betas", _is_schedule),
    "rescale_timesteps": ("True or False", lambda value: isinstance(value, bool)),
    **dict.fromkeys(("device", "family", "sha256"), ("a name", lambda value: isinstance(value, str))),
}


class MissingOptions(BackboneError):
    """A checkpoint that needs options: what was read of it, and every option that must be given."""

    def __init__(
        self, path: Path, family: str, facts: dict[str, Fact], missing: Sequence[str], classes: int | None = None
    ) -> None:
        self.family, self.facts = family, facts
        last = classes - 1 if classes else None
        self.missing = {name: NEVER_ASSUMED[name].format(classes=classes, last=last) for name in missing}
        needed = [f"the option {n} ({what})" for n, what in self.missing.items() if not n.startswith("num_head")]
        if heads := [f"{n} ({what})" for n, what in self.missing.items() if n.startswith("num_head")]:
            needed.append(f"one of the options {' and '.join(heads)}")
        who = "its config does not say" if family == "diffusers" else f"{family} weights cannot tell"
        message = f"expected {' and '.join(needed)}, which {who}; give {'it' if len(needed) == 1 else 'them'}"
        super().__init__(f"{path}: {conditional(classes) if list(missing) == ['class_label'] else message}")


def make_schedule(schedule: str | list[float], num_timesteps: int) -> NoiseSchedule:
    """The option schedule: linear and cosine by OpenAI's rules for any number of timesteps, or betas as they are."""
    if schedule == "linear":
        return NoiseSchedule.linear(num_timesteps)
    if schedule == "cosine":
        return NoiseSchedule.cosine(num_timesteps)
    if isinstance(schedule, str):
        raise BackboneError(f"expected the schedule as linear, cosine or a list of betas, got {schedule}; take one")
    betas = torch.as_tensor(schedule, dtype=torch.float64)
    if len(betas) != num_timesteps:
        raise BackboneError(f"num_train_timesteps: expected {len(betas)}, one a beta, got {num_timesteps}; drop it")
    return NoiseSchedule.from_betas(betas)


def log_facts(path: Path, facts: dict[str, Fact]) -> None:
    """Log what was not read: what is known of a published model, and, as a warning, what is only assumed."""
    by_origin: dict[str, list[str]] = {}
    for name, fact in facts.items():
        by_origin.setdefault(fact.origin, []).append(f"{name} {fact.value}")
    lines = [f"{origin}: {', '.join(values)}" for origin, values in by_origin.items()]
    for line in lines:
        if line.startswith("known"):
            log.info("%s: %s", path, line)
    if assumed := "; ".join(line for line in lines if line.startswith("assumed")):
        folder = ", or its folder with config.json" if "diffusers' default" in assumed and path.is_file() else ""
        log.warning("%s: %s; give the options that differ%s", path, assumed, folder)
