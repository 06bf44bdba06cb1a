"""A Backbone as a folder: for diffusers where its configs can say what the network is, else for hsx alone."""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import save_file

from hsx.backbones.base import Backbone
from hsx.backbones.unet2d import UNet2DBackbone
from hsx.checkpoints.folders.read import HSX_FILE, HSX_WEIGHTS, NOTES
from hsx.checkpoints.folders.scheduler import BETAS, DEFAULTS, UNDERSTOOD, read_scheduler, schedule_of
from hsx.checkpoints.options import Options
from hsx.errors import BackboneError, HsxError
from hsx.schedule import NoiseSchedule


def export(backbone: Backbone, folder: Path, hsx_only: bool = False) -> None:
    """Write a diffusers pipeline folder that ``DDPMPipeline.from_pretrained`` opens, and hsx reads again to the bit.

    Args:
        folder: where to; it must not exist, or be empty.  It appears whole or not at all.
        hsx_only: write a folder that hsx alone reads: for networks that diffusers' configs cannot describe.

    Raises:
        BackboneError: for a network that cannot be written so, with the reason.
        HsxError: for a folder that is not empty, or cannot be written.
    """
    if not isinstance(backbone, UNet2DBackbone):
        raise BackboneError(f"expected a UNet2DModel, got family {backbone.family}; it cannot be converted")
    reasons = beyond_diffusers(backbone)
    if reasons and not hsx_only:
        raise BackboneError(
            f"expected what diffusers' configs can describe, got {reasons[0]}; write a folder for hsx alone: --hsx_only"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HsxError(f"{folder}: expected an empty folder or none, got one with files; name another")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as name:
            part = Path(name)
            part.chmod(0o755)
            _write_hsx(backbone, part) if hsx_only else _write_diffusers(backbone, part)
            part.replace(folder)
    except OSError as error:
        raise HsxError(f"{folder}: expected a writable folder, got an error ({error.strerror}); name another") from None


def beyond_diffusers(backbone: UNet2DBackbone) -> list[str]:
    """What diffusers' configs cannot express of this network."""
    with torch.device("meta"):
        plain = UNet2DModel(**dict(backbone.unet.config))
    heads = {name: m.heads for name, m in plain.named_modules() if isinstance(m, Attention)}
    fixed = _fixed_heads(backbone.unet)
    reasons = []
    if any(m.heads != heads[name] for name, m in backbone.unet.named_modules() if isinstance(m, Attention)):
        reasons.append(f"{fixed} attention heads at every width")
    if plain.time_proj.num_channels != backbone.unet.time_proj.num_channels:
        reasons.append(f"a time embedding of {backbone.unet.time_proj.num_channels} sinusoids")
    if backbone.timestep_scale != 1:
        reasons.append(f"timesteps rescaled by {backbone.timestep_scale}")
    if backbone.class_label is not None:
        reasons.append("a class label at every call")
    return reasons


def _write_diffusers(backbone: UNet2DBackbone, folder: Path) -> None:
    read = getattr(backbone, "scheduler", {})
    learned = backbone.unet.config.out_channels == 2 * backbone.unet.config.in_channels
    fields: dict[str, Any] = {"variance_type": "learned_range" if learned else "fixed_small"}
    own = inspect.signature(DDPMScheduler.__init__).parameters
    fields |= {name: value for name, value in read.items() if name in own and name not in BETAS and value is not None}
    fields |= _betas_read(read, backbone.schedule) or _betas(backbone.schedule)
    fields |= {"num_train_timesteps": len(backbone.schedule), "prediction_type": backbone.prediction_type}
    DDPMPipeline(backbone.unet, DDPMScheduler(**fields)).save_pretrained(folder)
    file = folder / "scheduler" / "scheduler_config.json"
    schedule = read_scheduler(file, Options(), backbone.unet.config.out_channels).facts["schedule"].value
    file.write_text(json.dumps(json.loads(file.read_text()) | _notes(backbone, schedule), indent=2) + "\n")


def _notes(backbone: UNet2DBackbone, schedule: str) -> dict[str, Any]:
    """The facts that were assumed or known, and that a folder of this schedule would make look read."""
    facts = {n: f for n, f in getattr(backbone, "facts", {}).items() if f.origin.startswith(("assumed", "known"))}
    notes = {name: [schedule if name == "schedule" else fact.value, fact.origin] for name, fact in facts.items()}
    return {NOTES: notes} if notes else {}


def _betas_read(read: dict[str, Any], schedule: NoiseSchedule) -> dict[str, Any]:
    """The fields of the scheduler that was read, where they still make the schedule; else nothing."""
    fields = DEFAULTS | UNDERSTOOD.get(read.get("_class_name", ""), {}) | read
    if not read or (fields["beta_schedule"] == "exp" and fields["trained_betas"] is None):  # DDPMScheduler has no exp
        return {}
    again = schedule_of(fields).alphas_cumprod
    return {name: fields[name] for name in BETAS} if torch.equal(again, schedule.alphas_cumprod) else {}


def _betas(schedule: NoiseSchedule) -> dict[str, Any]:
    """The schedule as diffusers' schedulers name it, or its betas one by one."""
    a, n = schedule.alphas_cumprod, len(schedule)
    if n > 20 and torch.equal(a, NoiseSchedule.linear(n).alphas_cumprod):  # of fewer OpenAI's rule makes betas above 1
        return {"beta_schedule": "linear", "beta_start": 1e-4 * (1000 / n), "beta_end": 0.02 * (1000 / n)}
    if torch.equal(a, NoiseSchedule.cosine(n).alphas_cumprod):
        return {"beta_schedule": "squaredcos_cap_v2"}
    return {"trained_betas": (1 - a / torch.cat([torch.ones(1, dtype=a.dtype), a[:-1]])).tolist()}


def _write_hsx(backbone: UNet2DBackbone, folder: Path) -> None:
    fields: dict[str, Any] = {
        "unet": {k: v for k, v in backbone.unet.config.items() if not k.startswith("_")},
        "num_heads": _fixed_heads(backbone.unet),
        "alphas_cumprod": backbone.schedule.alphas_cumprod.tolist(),
        "timestep_scale": backbone.timestep_scale,
        "class_label": backbone.class_label,
        "prediction_type": backbone.prediction_type,
        **_notes(backbone, "alphas_cumprod"),
    }
    save_file(backbone.unet.state_dict(), folder / HSX_WEIGHTS)
    (folder / HSX_FILE).write_text(json.dumps(fields, indent=1))


def _fixed_heads(unet: UNet2DModel) -> int | None:
    """The number of heads, where all attention layers have one and the same."""
    heads = {m.heads for m in unet.modules() if isinstance(m, Attention)}
    return heads.pop() if len(heads) == 1 else None
