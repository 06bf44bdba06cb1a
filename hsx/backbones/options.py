"""What a user may say of a checkpoint, and where each fact about one comes from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import torch

from hsx.errors import BackboneError

DTYPES = {"float64": torch.float64, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class Fact(NamedTuple):
    """A value and its origin: read (from the file), known (a published model), given (an option) or assumed."""

    value: Any
    origin: str


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
        dtype: in which to keep the weights.
        device: where to put them.
        family: read the file as this family's, whatever its names suggest.
        sha256: of a file to be fetched from a URL.
    """

    image_size: int | None = None
    num_heads: int | None = None
    num_head_channels: int | None = None
    attention_order: Literal["legacy", "new"] | None = None
    schedule: Literal["linear", "cosine"] | list[float] | None = None
    num_train_timesteps: int | None = None
    rescale_timesteps: bool | None = None
    class_label: int | None = None
    dtype: Literal["float64", "float32", "float16", "bfloat16"] | None = None
    device: str | None = None
    family: str | None = None
    sha256: str | None = None

    @classmethod
    def checked(cls, options: dict[str, Any]) -> Options:
        """The options, or a BackboneError that names the first that is unknown or out of range."""
        known = [field.name for field in fields(cls)]
        for name, value in options.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                raise BackboneError(f"{name}: expected options among {', '.join(known)}; "
                                    + (f"did you mean {near[0]}?" if near else "leave it out"))
            if name in ("image_size", "num_heads", "num_head_channels", "num_train_timesteps", "class_label"):
                whole = isinstance(value, int) and not isinstance(value, bool)
                if value is not None and not (whole and value >= (name != "class_label")):
                    raise BackboneError(f"{name}: expected a whole number above 0, got {value!r}; correct or drop it")
        if isinstance(options.get("dtype"), torch.dtype):
            options = {**options, "dtype": str(options["dtype"]).removeprefix("torch.")}
        found = cls(**options)
        for name, allowed in (("attention_order", ("legacy", "new")), ("dtype", tuple(DTYPES))):
            if getattr(found, name) not in (None, *allowed):
                raise BackboneError(f"{name}: expected {' or '.join(allowed)}, got {getattr(found, name)}; take one")
        if found.num_heads and found.num_head_channels:
            raise BackboneError("num_heads, num_head_channels: expected one of the two, got both; drop one")
        return found

    def given(self) -> dict[str, Any]:
        """Those that were given."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
