"""Where in a folder the U-Net lies, and whether the folder is a model of pixels at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from hsx.checkpoints.config_fields import NOTHING, read_json, same, shown
from hsx.checkpoints.scheduler import understood
from hsx.checkpoints.unet_config import OTHERS
from hsx.checkpoints.weight_files import BESIDE, NAME, averaged, other_formats
from hsx.errors import BackboneError

PIPELINES = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
NET = re.compile(r"(.*[-_.])?(unet|ema|swa|averaged)([-_.].*)?$", re.IGNORECASE)  # folders that may hold the U-Net
WHOLE = {"unet", "model", "diffusion", "weights", "checkpoint", "ckpt"}  # in names of files that may be the network too
SAVED = re.compile(r"(checkpoint|ckpt|step|epoch|iter)s?[-_]?(\d+)$", re.IGNORECASE)  # folders of one training
PARTS = {  # components beside a U-Net, by the beginning of their names
    "vae": "an autoencoder",
    "vq": "an autoencoder",
    "movq": "an autoencoder",
    "first_stage": "an autoencoder",
    "autoencoder": "an autoencoder",
    "text_encoder": "a text encoder",
    "bert": "a text encoder",
    "tokenizer": "a tokenizer",
    "image_encoder": "an image encoder",
    "prior": "a prior",
    "controlnet": "a ControlNet",
    "safety_checker": "a safety checker",
    "feature_extractor": "a feature extractor",
    "transformer": "a transformer",
    "decoder": "a decoder",
    "super_res": "an upsampler",
    "mel": "a converter of sounds",
}
LATENT = ("an autoencoder", "a decoder")
KIND = "give an unconditional pixel-space diffusion model"
EXPECTED = "expected a diffusers UNet2DModel folder with config.json and safetensors"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class Place(NamedTuple):
    """Where the parts of a model lie."""

    unet: Path  # the folder with the U-Net's config.json
    left: tuple[str, ...]  # other U-Nets, and files of weights beside its folder, that were left out
    scheduler: Path | None  # its config


def find(path: Path) -> Place:
    """The U-Net of a folder: a pipeline, a U-Net's own folder, or a checkpoint of diffusers' training scripts.

    Averaged weights (``unet_ema`` and the like) are preferred to those beside them.

    Raises:
        BackboneError: for a pipeline of another kind, several U-Nets, or none, with what there is instead.
    """
    index = _index(path)
    nets = _nets(path, index)
    beside = [p for p in _folders(path) if SAVED.fullmatch(p.name)]
    if not nets and beside:
        newest = max(beside, key=lambda p: int(SAVED.fullmatch(p.name)[2]))  # type: ignore[index]
        raise BackboneError(f"{path}: {EXPECTED}, got {len(beside)} checkpoints of a training; name one: {newest}")
    if not nets:
        raise BackboneError(f"{path}: {EXPECTED}, got {_instead(path)}")
    unet = _choose(path, nets)
    home = unet.parent if unet != path else path
    if unet == path and not index and _is_pipeline(path.parent, path):
        home = path.parent  # a U-Net's own folder inside a pipeline
        siblings = _nets(home, _index(home), only=path.name)
    else:
        siblings = nets
    files = [
        file.name
        for file in sorted(home.iterdir())
        if home != unet
        and _is_weights(file)
        and (averaged(file.name) or WHOLE & set(re.split(r"[._-]", file.name.lower())))
    ]
    left = (*(_short(net, home) for net in siblings if net != unet), *files)
    return Place(unet, left, _scheduler(home, unet, _index(home)))


def _choose(path: Path, nets: list[Path]) -> Path:
    best = max(averaged(net.name) if net != path else 0 for net in nets)
    kept = [net for net in nets if (averaged(net.name) if net != path else 0) == best]
    if len(kept) > 1 and path in kept and path / "unet" in kept:
        kept = [path / "unet"]  # diffusers looks there first
    if len(kept) > 1:
        raise BackboneError(
            f"{path}: expected one U-Net, got {', '.join(_short(net, path) for net in kept)}; name the "
            f"folder that is meant, such as {kept[-1]}"
        )
    return kept[0]


def _nets(path: Path, index: dict[str, Any], only: str | None = None) -> list[Path]:
    """The U-Nets here; BackboneError for anything that makes of them another model."""
    nets, foreign = [], {}
    for folder in _folders(path):
        config = folder / "config.json"
        name = _class_of(config) if config.is_file() else None
        if config.is_file() and (name == "UNet2DModel" or NET.match(folder.name)):
            nets.append(folder)
        elif name or (_part(folder.name) and any(p.suffix == ".json" or NAME.match(p.name) for p in folder.iterdir())):
            foreign[folder.name] = name or ""
    if nets or index or (path / "config.json").is_file():
        for part, kind in (foreign if only is None or NET.match(only) else {}).items():
            raise _foreign(path, part, kind, index)
    if (path / "config.json").is_file():
        nets.append(path)
    if index and "unet" in index and not nets:
        raise BackboneError(
            f"{path}: expected the U-Net that model_index.json names, found no unet/config.json; fetch the whole model"
        )
    return nets


def _index(path: Path) -> dict[str, Any]:
    """A pipeline's model_index.json, its class and its components looked at; empty where there is none."""
    file = path / "model_index.json"
    if not file.exists():
        return {}
    index = read_json(file)
    parts = {k: v for k, v in index.items() if not k.startswith("_") and isinstance(v, list) and any(v)}
    for name, value in parts.items():
        kind = value[-1] if isinstance(value[-1], str) else shown(value)
        own = name == "scheduler" or NET.match(name)
        if own and value[:-1] != ["diffusers"]:
            raise BackboneError(f"{file}: expected {name} of diffusers, got {shown(value)}, code of its own; {KIND}")
        if name == "scheduler":
            understood(file, kind)
        elif NET.match(name) and kind != "UNet2DModel":
            raise BackboneError(f"{file}: expected a UNet2DModel, got {name} {kind}{_what(kind)}; {KIND}")
        elif not NET.match(name):
            raise _foreign(path, name, kind, index)
    rest = [
        k
        for k, v in index.items()
        if not k.startswith("_")
        and k not in parts
        and not any(same(v, n) for n in NOTHING)
        and not (isinstance(v, list) and not any(v))
    ]
    pipeline = index.get("_class_name")
    if rest and not isinstance(index[rest[0]], dict):
        raise BackboneError(
            f"{file}: expected components that hsx understands, got {rest[0]} {shown(index[rest[0]])}; {KIND}"
        )
    if pipeline not in PIPELINES:
        raise BackboneError(
            f"{file}: expected {', '.join(PIPELINES[:-1])} or {PIPELINES[-1]}, got {shown(pipeline)}; {KIND}"
        )
    if not any(NET.match(part) for part in (*parts, *rest)):
        raise BackboneError(
            f"{file}: expected a pipeline with a unet, got one of {', '.join(parts) or 'nothing'}; {KIND}"
        )
    return index


def _foreign(path: Path, name: str, kind: str, index: dict[str, Any]) -> BackboneError:
    what = _part(name) or OTHERS.get(kind, "")
    pipeline = f" of {shown(index['_class_name'])}" if index.get("_class_name") not in (None, *PIPELINES) else ""
    model = "a latent model" if what in LATENT else "a model with another part"
    told = ", ".join(part for part in (kind, what) if part)
    return BackboneError(
        f"{path}: expected a U-Net and a scheduler alone, got {model}{pipeline}: {name}"
        f"{f' ({told})' if told else ''} beside the U-Net; {KIND}"
    )


def _scheduler(home: Path, unet: Path, index: dict[str, Any]) -> Path | None:
    """The scheduler's config: the pipeline's, or that of the training in whose folder this checkpoint lies."""
    name = "scheduler_config.json"

    def beside(*folders: Path) -> list[Path]:
        return [file for file in dict.fromkeys(folder / name for folder in folders) if file.is_file()]

    found = beside(home / "scheduler", home, unet / "scheduler", unet)
    found = found or beside(*(folder for folder in _folders(home) if not (folder / "config.json").is_file()))
    found = found or beside(home.parent / "scheduler", home.parent)
    told = [{k: v for k, v in read_json(file).items() if not k.startswith("_diffusers")} for file in found]
    other = next((file for file, config in zip(found, told, strict=True) if config != told[0]), None)
    if other:
        raise BackboneError(
            f"{home}: expected one scheduler, got {found[0]} and {other}, which differ; take one of them away"
        )
    if not found and (index.get("scheduler") or (home / "scheduler").is_dir()):
        raise BackboneError(
            f"{home}: expected scheduler/{name}, found none, and without it the schedule "
            "would only be assumed; fetch the whole model"
        )
    return found[0] if found else None


def _is_pipeline(home: Path, unet: Path) -> bool:
    return bool(
        (home / "model_index.json").is_file()
        or NET.match(unet.name)
        or (home / "scheduler" / "scheduler_config.json").is_file()
    )


def _instead(path: Path) -> str:
    """What a folder holds that is no model, and what to do."""
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    folders = _folders(path)
    weights = [file for file in files if _is_weights(file)]
    models = [
        p
        for p in folders
        if (p / "model_index.json").is_file() or (p / "config.json").is_file() or (p / "unet" / "config.json").is_file()
    ]
    snapshots = _folders(path / "snapshots") if (path / "snapshots").is_dir() else []
    if snapshots:
        return f"a model in the Hub's cache; name the snapshot: {snapshots[-1]}"
    if weights:
        what = f"{len(weights)} checkpoint files" if len(weights) > 1 else "a checkpoint file"
        return f"{what} without a config.json; name the file: {max(weights, key=lambda file: averaged(file.name))}"
    if models:
        return f"a folder of models; name one: {models[0]}"
    if other_formats(files):
        return f"{other_formats(files)}; convert it to PyTorch, or fetch the safetensors"
    if files and all(file.suffix.lower() in PICTURES for file in files):
        return f"{len(files)} pictures; give the pipeline or its unet folder"
    some = ", ".join(p.name for p in [*files, *folders][:3])
    return f"{some or 'an empty folder'}; give the pipeline or its unet folder"


def _class_of(config: Path) -> str | None:
    """The class that a config.json names, of diffusers or of transformers; none where it cannot be read."""
    try:
        told = read_json(config)
    except BackboneError:
        return None  # said where it is the U-Net's
    kinds = told.get("_class_name") or told.get("architectures") or told.get("model_type")
    return shown(kinds[0] if isinstance(kinds, list) and kinds else kinds) if kinds else None


def _is_weights(file: Path) -> bool:
    return file.is_file() and bool(NAME.match(file.name)) and not BESIDE.match(file.name)


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _part(name: str) -> str | None:
    return next((what for start, what in PARTS.items() if name.lower().startswith(start)), None)


def _what(kind: str) -> str:
    return f", {OTHERS[kind]}" if kind in OTHERS else ""


def _short(net: Path, home: Path) -> str:
    return net.name if net != home else "the folder itself"
