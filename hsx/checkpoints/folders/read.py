"""A folder becomes a Backbone: diffusers' U-Net with the schedule that its scheduler names, or what only hsx reads."""

from __future__ import annotations

import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DModel

from hsx.backbones.base import Backbone, Fact
from hsx.backbones.family import State
from hsx.backbones.prediction import PREDICTIONS
from hsx.backbones.unet2d import UNet2DBackbone, make_unet, time_width
from hsx.checkpoints.families.unet2d import OLD
from hsx.checkpoints.files.tensors import read_tensors
from hsx.checkpoints.folders.fields import Rule, check, number, one_of, or_null, read_json, several, whole
from hsx.checkpoints.folders.find import find
from hsx.checkpoints.folders.scheduler import COUNT_ALONE, read_scheduler
from hsx.checkpoints.folders.unet import SHAPELESS, checked, read_unet_config
from hsx.checkpoints.folders.weights import choose, read
from hsx.checkpoints.options import MissingOptions, Options, log_facts, make_schedule
from hsx.errors import BackboneError, HsxError
from hsx.schedule import NoiseSchedule

Facts = dict[str, Fact]
HSX_FILE, HSX_WEIGHTS = "hsx.json", "hsx.safetensors"  # which diffusers, that would misread them, does not open
NOTES = "_hsx"  # facts that were assumed or known when hsx convert wrote the folder; diffusers skips such names
NOTED = {*Options.__dataclass_fields__, *SHAPELESS, "learned_variance"}
HSX_RULES: dict[str, Rule] = {
    "unet": Rule("a config", lambda v: isinstance(v, dict)),
    "num_heads": or_null(whole(1, 65536)),
    "alphas_cumprod": several(number(0, 1)),
    "timestep_scale": number(0, 1e6),
    "class_label": or_null(whole(0, 10**7)),
    "prediction_type": one_of(*PREDICTIONS),
}

log = logging.getLogger("hsx")


def folder_of(file: Path) -> Path | None:
    """The model's folder in which this weights file lies: a config.json or hsx.json beside it says what it is."""
    folder, config = file.parent, file.parent / "config.json"
    if not file.is_file():
        return None
    if file.name == HSX_WEIGHTS and (folder / HSX_FILE).is_file():
        return folder
    if not config.is_file():
        return None
    try:
        return folder if "_class_name" in read_json(config) else None
    except BackboneError:
        return folder if file.name.startswith("diffusion_pytorch_model") else None


def read_folder(path: Path, options: Options | None = None, weights: Path | None = None) -> Backbone:
    """A UNet2DModel folder, a pipeline folder with ``unet/`` and ``scheduler/``, or one of ``hsx convert --hsx_only``.

    Args:
        options: image_size, schedule, num_train_timesteps, rescale_timesteps, class_label and prediction_type override
            the folder.
        weights: the file in it that is to be read; by default the folder's best.

    Raises:
        BackboneError: for a folder that holds no such model, fields that are not understood, or options that its
            configs already answer.
    """
    options = options or Options()
    path = path if path.name not in ("", "..") else Path(os.path.abspath(path))  # whose name and surroundings matter
    answered = ("num_heads", "num_head_channels", "attention_order", "family")
    if closed := next((name for name in answered if getattr(options, name) not in (None, "diffusers")), None):
        raise BackboneError(f"{weights or path}: expected no option {closed} for a diffusers folder; leave it out")
    try:
        if (path / HSX_FILE).is_file():
            return _read_hsx(path, options)
        return _read_diffusers(path, options, weights)
    except OSError as error:
        raise BackboneError(f"{path}: expected a readable folder, got {error.strerror}; check its rights") from None
    except HsxError as error:
        text = str(error)
        if isinstance(error, MissingOptions) or str(path) in text or str(path.parent) in text:
            raise
        raise BackboneError(f"{path}: {text}") from None


def _read_diffusers(path: Path, options: Options, weights: Path | None) -> Backbone:
    place = find(path)
    config, facts = read_unet_config(place.unet / "config.json", options)
    scheduler = read_scheduler(place.scheduler, options, config["out_channels"])
    taken, left_out = choose(place.unet, weights)
    name = taken.name if place.unet == path else f"{place.unet.name}/{taken.name}"
    others = ", ".join([*place.left_out, *left_out])
    facts = {"weights": Fact(name, f"read; left out: {others}" if others else "read"), **facts, **scheduler.facts}
    if config["out_channels"] == 6:
        facts["learned_variance"] = Fact(True, "read" if scheduler.config.get("variance_type") else "assumed")
    _restore_origins(facts, scheduler.config.get(NOTES))
    _check_complete(path, config, facts, options, None)
    state, which = read(taken)
    if which:
        name = f"{name}: {which}"
        facts["weights"] = facts["weights"]._replace(value=name)
    if others or which:
        log.warning("%s: the weights of %s are taken%s", path, name, f", left out: {others}" if others else "")
    log_facts(path, facts)
    backbone = _backbone(_network(config, state), scheduler.schedule, facts, options, 1.0, None)
    backbone.scheduler = scheduler.config
    return backbone


def _read_hsx(path: Path, options: Options) -> Backbone:
    file = path / HSX_FILE
    fields = read_json(file, "convert the checkpoint again")
    if lacking := next((name for name in HSX_RULES if name not in fields), None):
        raise BackboneError(f"{file}: expected what hsx convert wrote, got no {lacking}; convert the checkpoint again")
    check(file, fields, HSX_RULES, ())
    config, facts = checked(file, fields["unet"], options)
    schedule = NoiseSchedule(torch.tensor(fields["alphas_cumprod"], dtype=torch.float64))
    if not bool((schedule.alphas_cumprod.diff() < 0).all()):
        raise BackboneError(f"{file}: alphas_cumprod: expected numbers that fall; convert the checkpoint again")
    given, count, scale, label = options.given(), len(schedule), fields["timestep_scale"], fields["class_label"]
    if "schedule" in given:
        length = len(options.schedule) if isinstance(options.schedule, list) else count
        schedule = make_schedule(given["schedule"], options.num_train_timesteps or length)
    elif options.num_train_timesteps not in (None, count):
        raise BackboneError(f"{file}: {COUNT_ALONE}")
    if scale != 1 and options.rescale_timesteps is None and len(schedule) != count:
        found = f"{len(schedule)}; give rescale_timesteps too"
        raise BackboneError(f"{file}: timestep_scale: expected the {count} timesteps that it belongs to, got {found}")
    facts = {"weights": Fact(HSX_WEIGHTS, "read"), **facts}
    if scale != 1 and options.rescale_timesteps is None:
        facts["timestep_scale"] = Fact(scale, "read")
    if label is not None:
        facts["class_label"] = Fact(label, "read")
    facts["schedule"] = Fact("alphas_cumprod", "read")
    facts["num_train_timesteps"] = Fact(len(schedule), "read" if len(schedule) == count else "given")
    facts["prediction_type"] = Fact(fields["prediction_type"], "read")
    facts |= {name: Fact(given[name], "given") for name in ("schedule", "prediction_type") if name in given}
    _restore_origins(facts, fields.get(NOTES))
    _check_complete(path, config, facts, options, label)
    log_facts(path, facts)
    state = read_tensors(path / HSX_WEIGHTS).state
    unet = _network(config, state, fields["num_heads"], any_width=True)
    return _backbone(unet, schedule, facts, options, scale, label)


def _backbone(
    unet: UNet2DModel, schedule: NoiseSchedule, facts: Facts, options: Options, scale: float, label: int | None
) -> UNet2DBackbone:
    """The network with the options over what the folder says."""
    if options.rescale_timesteps is not None:
        scale = 1000 / len(schedule) if options.rescale_timesteps else 1.0
        facts["rescale_timesteps"] = Fact(options.rescale_timesteps, "given")
    if options.class_label is not None:
        label = options.class_label
        facts["class_label"] = Fact(label, "given")
    backbone = UNet2DBackbone(unet, schedule, "diffusers", scale, label, facts["prediction_type"].value)
    backbone.facts = facts
    return backbone


def _check_complete(path: Path, config: dict[str, Any], facts: Facts, options: Options, label: int | None) -> None:
    """Raise MissingOptions for a folder that leaves open what only its user can know."""
    classes = config["num_class_embeds"]
    missing = ["image_size"] if config["sample_size"] is None else []
    if classes and options.class_label is None and label is None:
        missing.append("class_label")
    if missing:
        raise MissingOptions(path, "diffusers", {k: v for k, v in facts.items() if k not in missing}, missing, classes)


def _network(config: dict[str, Any], state: State, heads: int | None = None, any_width: bool = False) -> UNet2DModel:
    """The network that a config describes, with these weights and no others."""
    state = {_current_name(name): value for name, value in state.items()}
    name, width = "time_embedding.linear_1.weight", config["block_out_channels"][0]
    found = time_width(state.get(name), config)
    if found != width and not any_width:
        raise BackboneError(f"expected {name} for {width} sinusoids, got one for {found}; fetch the model again")
    return make_unet(config, state, heads)


def _current_name(name: str) -> str:
    """A tensor's name in diffusers today, where attention was named otherwise before 0.18."""
    found = re.fullmatch(r"(.*attentions\.\d+\.)(\w+)(\.\w+)", name)
    current = {old: new for new, old in OLD.items()}
    return f"{found[1]}{current.get(found[2], found[2])}{found[3]}" if found else name


def _restore_origins(facts: Facts, notes: Any) -> None:
    """What was assumed or known when hsx convert wrote a folder stays so, where the folder still holds that value."""
    for name, note in notes.items() if isinstance(notes, dict) else ():
        fits = isinstance(note, list) and len(note) == 2 and isinstance(note[1], str) and note[1].isprintable()
        if not fits or not note[1].startswith(("assumed", "known")) or name not in NOTED:
            continue
        fact = facts.setdefault(name, Fact(note[0], "read"))
        if fact.origin == "read" and json.dumps(fact.value) == json.dumps(note[0]):
            facts[name] = fact._replace(origin=note[1])
