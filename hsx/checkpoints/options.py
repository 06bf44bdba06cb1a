"""What a user may say of a checkpoint, and where each fact about one comes from."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch

from hsx.backbones.base import Fact
from hsx.errors import BackboneError

DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
MOST = {"image_size": 8192, "num_train_timesteps": 100_000}  # far above any model's, and what a machine can hold
MISSING = {  # what cannot be assumed, and what it means
    "image_size": "the side of the square pictures that the network was trained on",
    "num_head_channels": "64 in most ADM and P2 models",
    "num_heads": "4 in most iDDPM models",
    "class_label": "the class with which to use a network of {classes} classes, 0 to {last}",
}


class Unsaid(BackboneError):
    """A source that does not say all of its use: what was read of it, and every option that must be given."""

    def __init__(
        self, path: Path, family: str, facts: dict[str, Fact], missing: Sequence[str], classes: int | None = None
    ) -> None:
        self.family, self.facts = family, facts
        last = classes - 1 if classes else None
        self.missing = {name: MISSING[name].format(classes=classes, last=last) for name in missing}
        one = [f"the option {name} ({what})" for name, what in self.missing.items() if not name.startswith("num_head")]
        heads = [f"{name} ({what})" for name, what in self.missing.items() if name.startswith("num_head")]
        if heads:
            one.append(f"one of the options {' and '.join(heads)}")
        if list(missing) == ["class_label"]:
            said = (
                f"expected an unconditional network, got one of {classes} classes; choose one with the option "
                "class_label, or use an unconditional network"
            )
        else:
            whose = "its config does not say" if family == "diffusers" else f"{family} weights cannot tell"
            said = f"expected {' and '.join(one)}, which {whose}; give {'it' if len(one) == 1 else 'them'}"
        super().__init__(f"{path}: {said}")


def _whole(value: Any, low: int = 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= low


def _schedule(value: Any) -> bool:
    real = isinstance(value, list) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    return isinstance(value, str) or (real and bool(value))


def _plain(value: Any) -> Any:
    """Torch's names of types and devices as words, tensors, arrays and tuples as lists."""
    if isinstance(value, (torch.dtype, torch.device)):
        return str(value).removeprefix("torch.")
    return value.tolist() if hasattr(value, "tolist") else list(value) if isinstance(value, tuple) else value


TAKES: dict[str, tuple[str, Callable[[Any], bool]]] = {  # what the value of an option must be
    **{
        name: ("a whole number above 0", _whole)
        for name in ("image_size", "num_heads", "num_head_channels", "num_train_timesteps")
    },
    "class_label": ("a whole number from 0 on", lambda value: _whole(value, 0)),
    "schedule": ("linear, cosine or a list of betas", _schedule),
    "rescale_timesteps": ("True or False", lambda value: isinstance(value, bool)),
    **{name: ("a name", lambda value: isinstance(value, str)) for name in ("device", "family", "sha256")},
}


@dataclass(frozen=True)
class Options:
    """What overrides, or adds to, what a checkpoint tells of itself.

    Args:
        image_size: the side of the square pictures the network was trained on.
        num_heads: attention heads at every width; or say num_head_channels.
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
    prediction_type: Literal["epsilon", "v_prediction", "sample"] | None = None
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
                raise BackboneError(
                    f"{name}: expected options among {', '.join(known)}; "
                    + (f"did you mean {near[0]}?" if near else "leave it out")
                )
            expected, fits = TAKES.get(name, ("", None))
            if value is not None and fits and not fits(value):
                raise BackboneError(f"{name}: expected {expected}, got {repr(value)[:60]}; correct or drop it")
            if value is not None and name in MOST and value > MOST[name]:
                raise BackboneError(f"{name}: expected at most {MOST[name]}, got {value}; correct or drop it")
        found = cls(**options)
        for name, allowed in (
            ("attention_order", ("legacy", "new")),
            ("dtype", tuple(DTYPES)),
            ("prediction_type", ("epsilon", "v_prediction", "sample")),
        ):
            if getattr(found, name) not in (None, *allowed):
                raise BackboneError(f"{name}: expected {' or '.join(allowed)}, got {getattr(found, name)}; take one")
        if found.num_heads and found.num_head_channels:
            raise BackboneError("num_heads, num_head_channels: expected one of the two, got both; drop one")
        return found

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
