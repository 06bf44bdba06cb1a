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
from torch import Tensor

from hsx.backbones.base import Backbone, Fact
from hsx.backbones.unet2d import UNet2DBackbone, make_unet, time_width
from hsx.checkpoints.config_fields import Rule, check, number, one_of, or_null, read_json, several, whole
from hsx.checkpoints.diffusers_names import OLD
from hsx.checkpoints.family import make_schedule, tell
from hsx.checkpoints.options import Options, Unsaid
from hsx.checkpoints.pipeline import find
from hsx.checkpoints.scheduler import read_scheduler
from hsx.checkpoints.tensors import read_tensors
from hsx.checkpoints.unet_config import TACIT, checked, read_unet_config
from hsx.checkpoints.weight_files import choose, read
from hsx.errors import BackboneError, HsxError
from hsx.schedule import NoiseSchedule

HSX_FILE, HSX_WEIGHTS = "hsx.json", "hsx.safetensors"  # what diffusers does not open, because it would misread it
NOTES = "_hsx"  # facts that hsx convert knew to be assumed or known; diffusers passes over names that begin so
NOTED = {*Options.__dataclass_fields__, *TACIT, "learned_variance"}
HSX_RULES: dict[str, Rule] = {
    "unet": Rule("a config", lambda v: isinstance(v, dict)),
    "num_heads": or_null(whole(1, 65536)),
    "alphas_cumprod": several(number(0, 1)),
    "timestep_scale": number(0, 1e6),
    "class_label": or_null(whole(0, 10**7)),
    "prediction_type": one_of("epsilon", "v_prediction", "sample"),
}
TODAYS = {old: new for new, old in OLD.items()}

log = logging.getLogger("hsx")


def folder_of(file: Path) -> Path | None:
    """The model's folder in which this weights file lies: a config.json or hsx.json beside it says what it is."""
    if not file.is_file():
        return None
    if file.name == HSX_WEIGHTS and (file.parent / HSX_FILE).is_file():
        return file.parent
    config = file.parent / "config.json"
    if not config.is_file():
        return None
    try:
        told = "_class_name" in read_json(config)
    except BackboneError:
        told = file.name.startswith("diffusion_pytorch_model")
    return file.parent if told else None


def read_folder(path: Path, options: Options | None = None, named: Path | None = None) -> Backbone:
    """A UNet2DModel folder, a pipeline folder with ``unet/`` and ``scheduler/``, or one of ``hsx convert --hsx_only``.

    Args:
        options: image_size, schedule, num_train_timesteps, rescale_timesteps, class_label and prediction_type override
            the folder.
        named: the file of weights in it that is to be read.

    Raises:
        BackboneError: for a folder that holds no such model, fields that are not understood, or options that its
            configs already answer.
    """
    options = options or Options()
    path = path if path.name not in ("", "..") else Path(os.path.abspath(path))  # whose name and surroundings matter
    closed = [
        name
        for name in ("num_heads", "num_head_channels", "attention_order", "family")
        if getattr(options, name) not in (None, "diffusers")
    ]
    if closed:
        raise BackboneError(
            f"{named or path}: expected no option {closed[0]} for a diffusers folder, whose config "
            "says it; leave it out"
        )
    try:
        if (path / HSX_FILE).is_file():
            return _read_hsx(path, options)
        return _read_diffusers(path, options, named)
    except OSError as error:
        raise BackboneError(
            f"{path}: expected a folder that can be read, got an error ({error.strerror}); look at its "
            "files and their rights"
        ) from None
    except HsxError as error:
        text = str(error)
        if isinstance(error, Unsaid) or str(path) in text or str(path.parent) in text:
            raise
        raise BackboneError(f"{path}: {text}") from None


def _read_diffusers(path: Path, options: Options, named: Path | None) -> Backbone:
    place = find(path)
    config, facts = read_unet_config(place.unet / "config.json", options)
    told = read_scheduler(place.scheduler, options, config["out_channels"])
    taken, left = choose(place.unet, named)
    name = taken.name if place.unet == path else f"{place.unet.name}/{taken.name}"
    others = ", ".join([*place.left, *left])
    facts = {"weights": Fact(name, f"read; left out: {others}" if others else "read"), **facts, **told.facts}
    if config["out_channels"] == 6:
        facts["learned_variance"] = Fact(True, "read" if told.config.get("variance_type") else "assumed")
    _restore(facts, told.config.get(NOTES))
    _complete(path, config, facts, options)
    state, inside = read(taken)
    if inside:  # a file with several networks
        name = f"{name}: {inside}"
        facts["weights"] = facts["weights"]._replace(value=name)
    if others or inside:
        log.warning("%s: the weights of %s are taken%s", path, name, f", left out: {others}" if others else "")
    tell(path, facts)
    backbone = _backbone(_network(config, state), told.schedule, facts, options)
    backbone.scheduler = told.config
    return backbone


def _read_hsx(path: Path, options: Options) -> Backbone:
    """What ``hsx convert --hsx_only`` wrote."""
    file = path / HSX_FILE
    told = read_json(file, "convert the checkpoint again")
    lacking = next((name for name in HSX_RULES if name not in told), None)
    if lacking:
        raise BackboneError(f"{file}: expected what hsx convert wrote, got no {lacking}; convert the checkpoint again")
    check(file, told, HSX_RULES, ())
    config, facts = checked(file, told["unet"], options)
    schedule = NoiseSchedule(torch.tensor(told["alphas_cumprod"], dtype=torch.float64))
    if not bool((schedule.alphas_cumprod.diff() < 0).all()):
        raise BackboneError(f"{file}: alphas_cumprod: expected numbers that fall; convert the checkpoint again")
    given, count = options.given(), len(schedule)
    if "schedule" in given:
        listed = isinstance(options.schedule, list)
        schedule = make_schedule(
            given["schedule"], options.num_train_timesteps or (len(given["schedule"]) if listed else count)
        )
    elif options.num_train_timesteps not in (None, count):
        raise BackboneError(
            f"{file}: num_train_timesteps: expected it with the option schedule, got it alone; give both"
        )
    scale, rescaled = told["timestep_scale"], options.rescale_timesteps
    if scale != 1 and rescaled is None and len(schedule) != count:
        raise BackboneError(
            f"{file}: timestep_scale: expected the {count} timesteps that it belongs to, got "
            f"{len(schedule)}; give rescale_timesteps too"
        )
    facts = {
        "weights": Fact(HSX_WEIGHTS, "read"),
        **facts,
        **({"timestep_scale": Fact(scale, "read")} if scale != 1 and rescaled is None else {}),
        **({"class_label": Fact(told["class_label"], "read")} if told["class_label"] is not None else {}),
    }
    facts |= {
        "schedule": Fact(given.get("schedule", "alphas_cumprod"), "given" if "schedule" in given else "read"),
        "num_train_timesteps": Fact(len(schedule), "read" if len(schedule) == count else "given"),
        "prediction_type": Fact(
            given.get("prediction_type", told["prediction_type"]), "given" if "prediction_type" in given else "read"
        ),
    }
    _restore(facts, told.get(NOTES))
    _complete(path, config, facts, options, told["class_label"])
    tell(path, facts)
    unet = _network(config, read_tensors(path / HSX_WEIGHTS).state, told["num_heads"], adapts=True)
    return _backbone(unet, schedule, facts, options, scale, told["class_label"])


def _backbone(
    unet: UNet2DModel,
    schedule: NoiseSchedule,
    facts: dict[str, Fact],
    options: Options,
    scale: float = 1.0,
    label: int | None = None,
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


def _complete(
    path: Path, config: dict[str, Any], facts: dict[str, Fact], options: Options, label: int | None = None
) -> None:
    """Raise Unsaid for a folder that leaves open what only its user can say."""
    classes = config["num_class_embeds"]
    missing = ["image_size"] if config["sample_size"] is None else []
    if classes and options.class_label is None and label is None:
        missing.append("class_label")
    if missing:
        raise Unsaid(path, "diffusers", {k: v for k, v in facts.items() if k not in missing}, missing, classes)


def _network(
    config: dict[str, Any], state: dict[str, Tensor], heads: int | None = None, adapts: bool = False
) -> UNet2DModel:
    """The network that a config describes, with these weights and no others; ``adapts``: of any time embedding."""
    state = {_todays(name): value for name, value in state.items()}
    width = time_width(state.get("time_embedding.linear_1.weight"), config)
    if width != config["block_out_channels"][0] and not adapts:
        raise BackboneError(
            f"expected time_embedding.linear_1.weight for {config['block_out_channels'][0]} sinusoids, "
            f"got one for {width}; save or fetch the model again"
        )
    return make_unet(config, state, heads)


def _todays(name: str) -> str:
    """A tensor's name, that of attention by the names of before diffusers 0.18 too."""
    found = re.fullmatch(r"(.*attentions\.\d+\.)(\w+)(\.\w+)", name)
    return f"{found[1]}{TODAYS.get(found[2], found[2])}{found[3]}" if found else name


def _restore(facts: dict[str, Fact], notes: Any) -> None:
    """What was assumed or known when hsx convert wrote a folder stays so, where the folder still says it."""
    for name, note in notes.items() if isinstance(notes, dict) else ():
        fits = isinstance(note, list) and len(note) == 2 and isinstance(note[1], str) and note[1].isprintable()
        if not fits or not note[1].startswith(("assumed", "known")) or name not in NOTED:
            continue
        fact = facts.setdefault(name, Fact(note[0], "read"))
        if fact.origin == "read" and json.dumps(fact.value) == json.dumps(note[0]):
            facts[name] = fact._replace(origin=note[1])
