"""What is this?  A file, a folder, a Hub id or a URL becomes a Backbone."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hsx.assets import resolve
from hsx.backbones.base import Backbone, Fact
from hsx.backbones.family import Family, State
from hsx.checkpoints.cards import card_of_name
from hsx.checkpoints.families.base import UNet2DFamily
from hsx.checkpoints.fetch import check_hash, from_hub, from_url, is_hub_id
from hsx.checkpoints.files.beside import check_hints
from hsx.checkpoints.files.choose import ALL
from hsx.checkpoints.files.kind import FILES
from hsx.checkpoints.files.refused import refuse
from hsx.checkpoints.files.tensors import read_tensors
from hsx.checkpoints.folders.read import folder_of, read_folder
from hsx.checkpoints.options import DTYPES, Options, make_schedule
from hsx.checks import got
from hsx.errors import BackboneError, HsxError, first_line
from hsx.io.urls import is_url, public_url
from hsx.plugins import registry as plugins
from hsx.schedule import NoiseSchedule

__all__ = ["FILES", "load_backbone"]

log = logging.getLogger("hsx")


def load_backbone(source: str | Path, **options: Any) -> Backbone:
    """A frozen Backbone from a DDPM, iDDPM, ADM or P2 checkpoint, or a diffusers model.

    Args:
        source: a file of safetensors or ``torch.save``, whatever its suffix; a folder with a diffusers
            ``UNet2DModel`` (or a pipeline of one); a Hub id such as ``google/ddpm-celebahq-256``; an http(s) URL of a
            file, fetched once; or ``hsx://demo_faces`` or ``hsx://plain_faces``, which ship with hsx.
        options: what overrides or completes what the source says, see ``hsx.checkpoints.options.Options``.
            Published models need none.  What is assumed is in the log ``hsx`` and in ``Backbone.facts``.

    Raises:
        BackboneError: for anything that is not such a model, with what was expected and what to do.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise BackboneError(f"source: expected a file, a folder, a Hub id or a URL, got {got(source)}; name one")
    chosen = Options.checked(options)
    backbone = _load(str(source), chosen)
    backbone.to(DTYPES[chosen.dtype or "float32"])
    try:
        return backbone.to(chosen.device or "cpu")
    except (RuntimeError, AssertionError) as error:
        found = f"{chosen.device} ({first_line(error)})"
        raise BackboneError(f"device: expected one that this machine has, got {found}; name another") from None


def _load(source: str, options: Options) -> Backbone:
    path = resolve(source)
    if not source.strip():
        raise BackboneError("source: expected a file, a folder, a Hub id or a URL, got an empty name; name one")
    if is_url(source):
        path, source = from_url(source, options.sha256), public_url(source)
    elif options.sha256 and os.path.isfile(path):
        check_hash(source, path, options.sha256, "name another file")
    elif options.sha256 and (os.path.exists(path) or is_hub_id(source)):
        raise BackboneError(f"sha256: expected a source that is a single file, got {source}; leave the option out")
    elif not os.path.exists(path) and is_hub_id(source):
        path = from_hub(source)
    if os.path.isdir(path):
        return read_folder(path, options)
    if not os.path.exists(path):
        card = card_of_name(path.name)
        address = f" ({card.url}{path.name})" if card and card.url and path.name in card.files else ""
        remedy = f"get {path.name} from {card.source}{address} and put it there" if card else "check the path"
        wanted = "expected a checkpoint file or a diffusers folder"
        raise BackboneError(f"{source}: {wanted}, found nothing there; {remedy}")
    if not options.family and (folder := folder_of(path)):
        return read_folder(folder, options, path)
    return _from_file(path, options)


def _from_file(path: Path, options: Options) -> Backbone:
    families = {name: family() for name, family in plugins.load().of("backbone").items()}
    if options.family is not None:
        if options.family not in families:
            raise BackboneError(f"family: expected one of {', '.join(families)}, got {options.family}; take one")
        families = {options.family: families[options.family]}
    weights = read_tensors(path, lambda state: _family(families, state) is not None)
    family = _family(families, weights.state) or families.get(options.family or "")
    try:
        if family is None or isinstance(family, UNet2DFamily):
            refuse(weights.state, weights.path, weights.beside, family is not None)
        options, read = _with_schedule(options, weights.betas)
    except BackboneError as error:
        raise BackboneError(f"{path}: {error}") from None
    assert family is not None  # or it was refused
    if weights.taken.value != ALL:
        log.info("%s: weights taken: %s", path, weights.taken.value)
    backbone = family.build(weights.state, options, path)
    backbone.facts = {"weights": weights.taken, **backbone.facts, **read}
    check_hints(path, weights.hints, backbone.facts)
    return backbone


def _family(families: dict[str, Family], state: State) -> Family | None:
    """The family that recognises these tensors; one whose code fails at that is left out from then on."""
    for name, family in list(families.items()):
        try:
            if family.recognises(state):
                return family
        except Exception as error:  # a plugin's
            log.warning("the backbone family %s is left out (%s: %s)", name, type(error).__name__, first_line(error))
            del families[name]
    return None


def _with_schedule(options: Options, betas: torch.Tensor | None) -> tuple[Options, dict[str, Fact]]:
    """The options with the schedule that the file itself holds, and that as facts; an option must not contradict it."""
    if betas is None:
        return options, {}
    file, count = NoiseSchedule.from_betas(betas).alphas_cumprod, len(betas)
    name = next((name for name in ("linear", "cosine") if _same(name, file)), None)
    contradicts = options.schedule is not None and not _same(options.schedule, file)
    if contradicts or options.num_train_timesteps not in (None, count):
        own = f"{count} betas{f' ({name})' if name else ''}"
        raise BackboneError(f"expected the schedule of the file, {own}, got options that contradict it; leave them out")
    schedule: Any = name or betas.tolist()
    read = {"schedule": Fact(name or f"{count} betas", "read"), "num_train_timesteps": Fact(count, "read")}
    return replace(options, schedule=schedule, num_train_timesteps=count), read


def _same(schedule: str | list[float], alphas_cumprod: torch.Tensor) -> bool:
    """Whether a schedule is this one, to the precision of the float32 in which files keep it."""
    n = len(schedule) if isinstance(schedule, list) else len(alphas_cumprod)
    try:
        other = make_schedule(schedule, n).alphas_cumprod
    except HsxError:  # linear for very few timesteps, for instance
        return False
    return len(other) == len(alphas_cumprod) and torch.allclose(other, alphas_cumprod, rtol=1e-4, atol=1e-6)
