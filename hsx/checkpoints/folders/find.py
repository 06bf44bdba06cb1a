"""Where in a folder the U-Net lies, and whether the folder is a model of pixels at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from hsx.checkpoints.files.refused import GIVE
from hsx.checkpoints.folders.fields import by_name, is_nothing, read_json, shown
from hsx.checkpoints.folders.scheduler import understood
from hsx.checkpoints.folders.unet import OTHERS
from hsx.checkpoints.folders.weights import BESIDE, NAME, averaged, other_formats
from hsx.errors import BackboneError

PIPELINES = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
NET = re.compile(r"(.*[-_.])?(unet|ema|swa|averaged)([-_.].*)?$", re.IGNORECASE)  # folders that may hold the U-Net
WHOLE = {"unet", "model", "diffusion", "weights", "checkpoint", "ckpt"}  # in names of files that may be the network too
SAVED = re.compile(r"(checkpoint|ckpt|step|epoch|iter)s?[-_]?(\d+)$", re.IGNORECASE)  # folders of one training
PARTS = by_name(  # components beside a U-Net, by the beginning of their names; the last say it themselves
    {
        "an autoencoder": "vae vq movq first_stage autoencoder",
        "a decoder": "decoder",
        "a text encoder": "bert",
        "an upsampler": "super_res",
        "a converter of sounds": "mel",
        "": "text_encoder tokenizer image_encoder prior controlnet safety_checker feature_extractor transformer",
    }
)
LATENT = ("an autoencoder", "a decoder")
EXPECTED = "expected a diffusers UNet2DModel folder with config.json and safetensors"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class Place(NamedTuple):
    """Where the parts of a model lie."""

    unet: Path  # the folder with the U-Net's config.json
    left_out: tuple[str, ...]  # other U-Nets, and files of weights beside its folder
    scheduler: Path | None  # its config


def find(path: Path) -> Place:
    """The U-Net of a folder: a pipeline, a U-Net's own folder, or a checkpoint of diffusers' training scripts.

    Averaged weights (``unet_ema`` and the like) are preferred to those beside them.

    Raises:
        BackboneError: for a pipeline of another kind, several U-Nets, or none, with what there is instead.
    """
    index = _index(path)
    nets = _nets(path, index)
    if not nets:
        raise BackboneError(f"{path}: {EXPECTED}, got {_instead(path)}")
    unet = _choose(path, nets)
    model, siblings = unet.parent if unet != path else path, nets
    files = (path.parent / "model_index.json", path.parent / "scheduler" / "scheduler_config.json")
    if unet == path and not index and (NET.match(path.name) or any(file.is_file() for file in files)):
        model = path.parent  # the U-Net's own folder inside a pipeline was given
        siblings = _nets(model, _index(model), only=path.name)
    left_out = [_short(net, model) for net in siblings if net != unet]
    for file in sorted(model.iterdir()) if model != unet else ():
        whole = WHOLE & set(re.split(r"[._-]", file.name.lower()))
        if _is_weights(file) and (averaged(file.name) or whole):
            left_out.append(file.name)
    return Place(unet, tuple(left_out), _scheduler(model, unet, _index(model)))


def _choose(path: Path, nets: list[Path]) -> Path:
    ranks = {net: averaged(net.name) if net != path else 0 for net in nets}
    best = [net for net in nets if ranks[net] == max(ranks.values())]
    if len(best) > 1 and path in best and path / "unet" in best:
        return path / "unet"  # diffusers looks there first
    if len(best) > 1:
        names = ", ".join(_short(net, path) for net in best)
        raise BackboneError(f"{path}: expected one U-Net, got {names}; name the folder, such as {best[-1]}")
    return best[0]


def _nets(path: Path, index: dict[str, Any], only: str | None = None) -> list[Path]:
    """The U-Nets here; BackboneError for anything that makes of them another model."""
    nets, parts = [], {}
    for folder in _folders(path):
        config = folder / "config.json"
        name = _class_of(config) if config.is_file() else None
        if config.is_file() and (name == "UNet2DModel" or NET.match(folder.name)):
            nets.append(folder)
        elif name or (
            _part(folder.name) is not None and any(p.suffix == ".json" or NAME.match(p.name) for p in folder.iterdir())
        ):
            parts[folder.name] = name or ""
    if nets or index or (path / "config.json").is_file():
        for part, kind in (parts if only is None or NET.match(only) else {}).items():
            raise _another_part(path, part, kind, index)
    if (path / "config.json").is_file():
        nets.append(path)
    if index and "unet" in index and not nets:
        raise BackboneError(f"{path}: expected the U-Net of model_index.json, found no unet/config.json; fetch it too")
    return nets


def _index(path: Path) -> dict[str, Any]:
    """A pipeline's model_index.json, its class and its components looked at; empty where there is none."""
    file = path / "model_index.json"
    if not file.exists():
        return {}
    index = read_json(file)
    components = {k: v for k, v in index.items() if not k.startswith("_") and not is_nothing(v)}
    parts = {k: v for k, v in components.items() if isinstance(v, list) and any(v)}
    for name, value in parts.items():
        kind = value[-1] if isinstance(value[-1], str) else shown(value)
        own = name == "scheduler" or NET.match(name)
        if own and value[:-1] != ["diffusers"]:
            raise BackboneError(f"{file}: expected {name} of diffusers, got {shown(value)}, code of its own; {GIVE}")
        if name == "scheduler":
            understood(file, kind)
        elif NET.match(name) and kind != "UNet2DModel":
            what = f", {OTHERS[kind]}" if kind in OTHERS else ""
            raise BackboneError(f"{file}: expected a UNet2DModel, got {name} {kind}{what}; {GIVE}")
        elif not NET.match(name):
            raise _another_part(path, name, kind, index)
    rest = [name for name, value in components.items() if not isinstance(value, list)]
    pipeline = index.get("_class_name")
    if rest and not isinstance(index[rest[0]], dict):
        raise BackboneError(f"{file}: expected known components, got {rest[0]} {shown(index[rest[0]])}; {GIVE}")
    if pipeline not in PIPELINES:
        raise BackboneError(f"{file}: expected {' or '.join(PIPELINES)}, got {shown(pipeline)}; {GIVE}")
    if not any(NET.match(part) for part in (*parts, *rest)):
        raise BackboneError(f"{file}: expected a pipeline with a unet, got {', '.join(parts) or 'none'}; {GIVE}")
    return index


def _another_part(path: Path, name: str, kind: str, index: dict[str, Any]) -> BackboneError:
    what = _part(name) or OTHERS.get(kind, "")
    pipeline = f" of {shown(index['_class_name'])}" if index.get("_class_name") not in (None, *PIPELINES) else ""
    model = "a latent model" if what in LATENT else "a model with another part"
    details = ", ".join(part for part in (kind, what) if part)
    found = f"{model}{pipeline}: {name}{f' ({details})' if details else ''} beside the U-Net"
    return BackboneError(f"{path}: expected a U-Net and a scheduler alone, got {found}; {GIVE}")


def _scheduler(model: Path, unet: Path, index: dict[str, Any]) -> Path | None:
    """The scheduler's config: the pipeline's, or that of the training in whose folder this checkpoint lies."""
    name = "scheduler_config.json"

    def beside(*folders: Path) -> list[Path]:
        return [file for file in dict.fromkeys(folder / name for folder in folders) if file.is_file()]

    found = beside(model / "scheduler", model, unet / "scheduler", unet)
    found = found or beside(*(folder for folder in _folders(model) if not (folder / "config.json").is_file()))
    found = found or beside(model.parent / "scheduler", model.parent)
    configs = [{k: v for k, v in read_json(file).items() if not k.startswith("_diffusers")} for file in found]
    if other := next((file for file, config in zip(found, configs, strict=True) if config != configs[0]), None):
        raise BackboneError(f"{model}: expected one scheduler, got {found[0]} and {other}, which differ; remove one")
    if not found and (index.get("scheduler") or (model / "scheduler").is_dir()):
        raise BackboneError(f"{model}: expected scheduler/{name}, found none; fetch the whole model")
    return found[0] if found else None


def _instead(path: Path) -> str:
    """What a folder holds that is no model, and what to do."""
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    folders = _folders(path)
    configs = ("model_index.json", "config.json", "unet/config.json")
    if saved := [folder for folder in folders if SAVED.fullmatch(folder.name)]:
        newest = max(saved, key=lambda folder: int(re.sub(r"\D", "", folder.name)))
        return f"{len(saved)} checkpoints of a training; name one: {newest}"
    if snapshots := _folders(path / "snapshots") if (path / "snapshots").is_dir() else []:
        return f"a model in the Hub's cache; name the snapshot: {snapshots[-1]}"
    if weights := [file for file in files if _is_weights(file)]:
        what = f"{len(weights)} checkpoint files" if len(weights) > 1 else "a checkpoint file"
        return f"{what} without a config.json; name the file: {max(weights, key=lambda file: averaged(file.name))}"
    if models := [folder for folder in folders if any((folder / config).is_file() for config in configs)]:
        return f"a folder of models; name one: {models[0]}"
    if formats := other_formats(files):
        return f"{formats}; convert it to PyTorch, or fetch the safetensors"
    if files and all(file.suffix.lower() in PICTURES for file in files):
        return f"{len(files)} pictures; give the pipeline or its unet folder"
    some = ", ".join(p.name for p in [*files, *folders][:3])
    return f"{some or 'an empty folder'}; give the pipeline or its unet folder"


def _class_of(config: Path) -> str | None:
    """The class that a config.json names, of diffusers or of transformers; none where it cannot be read."""
    try:
        fields = read_json(config)
    except BackboneError:
        return None  # an error where the config is the U-Net's
    kinds = fields.get("_class_name") or fields.get("architectures") or fields.get("model_type")
    return shown(kinds[0] if isinstance(kinds, list) and kinds else kinds) if kinds else None


def _is_weights(file: Path) -> bool:
    return file.is_file() and bool(NAME.match(file.name)) and not BESIDE.match(file.name)


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _part(name: str) -> str | None:
    return next((what for start, what in PARTS.items() if name.lower().startswith(start)), None)


def _short(net: Path, folder: Path) -> str:
    return net.name if net != folder else "the folder itself"
