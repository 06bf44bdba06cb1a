"""Which of the weight files in a folder of diffusers are read: averaged ones, in full precision, whole."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from hsx.checkpoints.files.choose import ALL
from hsx.checkpoints.files.tensors import read_tensors
from hsx.checkpoints.folders.fields import read_json, shown
from hsx.errors import BackboneError

NAME = re.compile(r"(?P<base>.+?)(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?\.(?P<kind>safetensors|bin|pt|pth|ckpt)$")
INDEX = re.compile(r"(?P<base>.+)\.(?P<kind>safetensors|bin)\.index(?:\.(?P<variant>[\w-]+))?\.json$")
USUAL = "diffusion_pytorch_model"
BESIDE = re.compile(r"(optimizer|scheduler|random_states|scaler|sampler|training_args|rng_state|pytorch_lora)", re.I)
OTHER = {".msgpack": "Flax", ".onnx": "ONNX", ".xml": "OpenVINO", ".h5": "TensorFlow", ".tflite": "TensorFlow"}
OTHER |= {".ckpt.index": "TensorFlow", ".gguf": "GGUF", ".mlmodel": "Core ML"}


class Candidate(NamedTuple):
    """Weights of one network: a file, or shards and what lists them."""

    name: str
    files: tuple[Path, ...]
    usual: bool
    listing: Path | None = None

    def rank(self) -> tuple[int, ...]:
        """The lower, the better: averaged, of the usual name, full precision, safetensors, listed shards."""
        tokens = re.split(r"[._-]", self.name.lower())
        half = bool({"fp16", "bf16", "half", "float16", "bfloat16", "fp8", "int8"} & set(tokens))
        kind = {".safetensors": 0, ".bin": 1}.get(self.files[0].suffix, 2)
        return 1 - averaged(self.name), not self.usual, half, kind, self.listing is None


def averaged(name: str) -> int:
    """1 if the name of a file or folder says averaged weights, -1 if it says the opposite (non_ema), else 0."""
    tokens = re.split(r"[._-]", name.lower())
    if not {"ema", "averaged", "average", "avg", "swa"} & set(tokens):
        return 0
    return -1 if {"non", "no", "not", "raw"} & set(tokens) else 1


def choose(folder: Path, named: Path | None = None) -> tuple[Candidate, list[str]]:
    """The weights to read of this folder, or of the file that was named, and the names of those left out.

    Raises:
        BackboneError: for a folder without weights, or with several between which no rule chooses.
    """
    files = sorted(file for file in folder.iterdir() if file.is_file())
    candidates = _candidates(files)
    if named is not None:
        named_by = (c for c in candidates if named.name in (c.name, *(f.name for f in c.files)))
        found = next(named_by, Candidate(named.name, (named,), False))
        candidates = [found] + [c for c in candidates if c != found]
    else:
        candidates.sort(key=Candidate.rank)
        first, second = (*candidates, None, None)[:2]
        if first and second and first.rank() == second.rank():
            raise BackboneError(f"{folder}: expected one file of weights, got {first.name} and {second.name}; name one")
    if not candidates:
        there = _instead(files)
        raise BackboneError(f"{folder}: expected {USUAL}.safetensors or .bin, got {there}; fetch the model again")
    used = {file.name for c in candidates for file in c.files}
    lora = [file.name for file in files if file.name.lower().startswith("pytorch_lora")]
    stray = [name for f in files if NAME.match(name := f.name) and name not in used and not BESIDE.match(name)]
    return candidates[0], [c.name for c in candidates[1:]] + stray + lora


def read(candidate: Candidate) -> tuple[dict[str, Tensor], str]:
    """The tensors of a candidate, from all its files; and which they are, where a file holds several networks.

    Raises:
        BackboneError: for a shard that is missing, of a strange name, or does not hold what its index says.
    """
    listed = _listed(candidate.listing) if candidate.listing else ()
    state: dict[str, Tensor] = {}
    which = []
    for file in candidate.files:
        if not file.is_file():
            raise BackboneError(f"{candidate.listing}: expected its shards, {file.name} is missing; fetch it too")
        inside, taken, *_ = read_tensors(file, None if len(candidate.files) > 1 else _is_unet)
        which += [taken.value] * (taken.value != ALL)
        if twice := next((name for name in inside if name in state), None):
            raise BackboneError(f"{file}: expected tensors of its own, got {twice} again; save the model again")
        state |= inside
    if lost := next((name for name in listed if name not in state), None):
        raise BackboneError(f"{candidate.listing}: expected the tensor {lost}, got no such; save the model again")
    return state, "; ".join(which)


def _is_unet(state: dict[str, Tensor]) -> bool:
    """Whether these are the names of a UNet2DModel, or of what is left of one."""
    return any(name.startswith(("conv_in.", "down_blocks.0.", "time_embedding.")) for name in state)


def other_formats(files: Iterable[Path]) -> str | None:
    """Weights of other libraries among some files, named."""
    others = ((file.name, kind) for file in files for suffix, kind in OTHER.items() if file.name.endswith(suffix))
    return next((f"{kind} weights ({name})" for name, kind in others), None)


def _listed(index: Path) -> dict[str, str]:
    """Which shard holds which tensor; names of shards are plain names beside the index."""
    weights = read_json(index).get("weight_map")
    if not isinstance(weights, dict) or not weights:
        raise BackboneError(f"{index}: expected a weight_map of shards, got {shown(weights)}; save the model again")
    for tensor, shard in weights.items():
        matched = NAME.match(shard) if isinstance(shard, str) and Path(shard).name == shard else None
        if not matched or not matched["part"]:
            wanted = f"shards such as {USUAL}-00001-of-00002.safetensors beside it"
            raise BackboneError(f"{index}: expected {wanted}, got {shown(shard)} for {tensor}; save the model again")
    return weights


def _candidates(files: list[Path]) -> list[Candidate]:
    """Shards with their index, single files, and whole sets of shards without an index."""
    found: list[Candidate] = []
    for index in (file for file in files if INDEX.match(file.name)):
        shards = tuple(index.parent / name for name in sorted(set(_listed(index).values())))
        found.append(Candidate(index.name, shards, index.name.startswith(USUAL), index))
    listed = {shard.name for candidate in found for shard in candidate.files}
    sets: dict[tuple[str, str, str], list[Path]] = {}
    for file in files:
        name = NAME.match(file.name)
        if not name or file.name in listed or BESIDE.match(file.name):
            continue
        if name["part"]:
            sets.setdefault((name["base"], name["parts"], name["kind"]), []).append(file)
        else:
            found.append(Candidate(file.name, (file,), file.name.startswith(f"{USUAL}.")))
    for (base, parts, _), whole in sets.items():
        if len(whole) == int(parts):
            found.append(Candidate(whole[0].name, tuple(whole), base.startswith(USUAL)))
    return found


def _instead(files: list[Path]) -> str:
    shard = next(filter(None, (NAME.match(file.name) for file in files)), None)
    if shard and shard["part"]:
        return f"shards without all of their {int(shard['parts'])} parts ({shard[0]})"
    return other_formats(files) or (", ".join(f.name for f in files if f.name != "config.json")[:80] or "none")
