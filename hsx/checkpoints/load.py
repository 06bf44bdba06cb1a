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
from hsx.checkpoints.family import Family, UNet2DFamily, make_schedule
from hsx.checkpoints.fetch import check_hash, from_hub, from_url, is_hub_id
from hsx.checkpoints.filetype import FILES
from hsx.checkpoints.folder import folder_of, read_folder
from hsx.checkpoints.foreign import refuse
from hsx.checkpoints.options import DTYPES, Options
from hsx.checkpoints.published import home
from hsx.checkpoints.sayings import check_sayings
from hsx.checkpoints.tensors import read_tensors
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
            file, fetched once; or ``hsx://demo_faces``, the demo model that ships with hsx.
        options: what overrides or completes what the source tells of itself, see ``hsx.checkpoints.options.Options``.
            Published models need none.  What is assumed is stated in the log ``hsx`` and in ``Backbone.facts``.

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
        raise BackboneError(
            f"device: expected one that this machine has, got {chosen.device} ({first_line(error)}); name another"
        ) from None


def _load(source: str, options: Options) -> Backbone:
    path = resolve(source)
    if not source.strip():
        raise BackboneError(
            "source: expected a checkpoint file, a folder, a Hub id or a URL, got an empty name; name one"
        )
    if is_url(source):
        path, source = from_url(source, options.sha256), public_url(source)
    elif options.sha256 and os.path.isfile(path):
        check_hash(source, path, options.sha256, "name another file")
    elif options.sha256 and (os.path.exists(path) or is_hub_id(source)):
        raise BackboneError(
            f"sha256: expected a source that is a single file, got {source}; leave the option out, or "
            "name the file of the weights"
        )
    elif not os.path.exists(path) and is_hub_id(source):
        path = from_hub(source)
    if os.path.isdir(path):
        return read_folder(path, options)
    if not os.path.exists(path):
        published = home(path.name)
        what = f"; get {path.name} from {published} and put it there" if published else "; check the path"
        raise BackboneError(f"{source}: expected a checkpoint file or a diffusers folder, found nothing there{what}")
    folder = None if options.family else folder_of(path)
    if folder:
        return read_folder(folder, options, path)
    return _from_file(path, options)


def _from_file(path: Path, options: Options) -> Backbone:
    families = {name: family() for name, family in plugins.load().of("backbone").items()}
    forced = options.family
    if forced is not None:
        if forced not in families:
            raise BackboneError(f"family: expected one of {', '.join(families)}, got {forced}; take one")
        families = {forced: families[forced]}
    weights = read_tensors(path, lambda state: _family(families, state) is not None)
    family = _family(families, weights.state) or families.get(forced or "")
    try:
        if family is None or isinstance(family, UNet2DFamily):
            refuse(weights.state, weights.path, weights.beside, family is not None)
        options, read = _schedule(options, weights.betas)
    except BackboneError as error:
        raise BackboneError(f"{path}: {error}") from None
    assert family is not None  # or it was refused
    if weights.taken.value != "the only ones in the file":
        log.info("%s: weights taken: %s", path, weights.taken.value)
    backbone = family.build(weights.state, options, path)
    backbone.facts = {"weights": weights.taken, **backbone.facts, **read}
    check_sayings(path, weights.said, backbone.facts)
    return backbone


def _family(families: dict[str, Family], state: dict[str, torch.Tensor]) -> Family | None:
    """The family that recognises these names; one that fails at it is left out from then on."""
    for name, family in list(families.items()):
        try:
            if family.recognises(state):
                return family
        except Exception as error:  # a plugin's
            log.warning("the backbone family %s is left out (%s: %s)", name, type(error).__name__, first_line(error))
            del families[name]
    return None


def _schedule(options: Options, betas: torch.Tensor | None) -> tuple[Options, dict[str, Fact]]:
    """The options with the schedule that the file itself holds, and that as facts; an option must not contradict it."""
    if betas is None:
        return options, {}
    file = NoiseSchedule.from_betas(betas).alphas_cumprod
    names = [name for name in ("linear", "cosine") if _same(name, file)]
    if (
        options.schedule is not None
        and not _same(options.schedule, file)
        or (options.num_train_timesteps not in (None, len(file)))
    ):
        raise BackboneError(
            f"expected the schedule of the file, whose diffusion holds {len(file)} betas"
            f"{f' ({names[0]})' if names else ''}, got options that contradict it; leave them out"
        )
    schedule: Any = names[0] if names else betas.tolist()
    read = {
        "schedule": Fact(schedule if names else f"{len(file)} betas", "read"),
        "num_train_timesteps": Fact(len(file), "read"),
    }
    return replace(options, schedule=schedule, num_train_timesteps=len(file)), read


def _same(schedule: str | list[float], alphas_cumprod: torch.Tensor) -> bool:
    """Whether a schedule is this one, to the precision of the float32 in which files keep it."""
    n = len(schedule) if isinstance(schedule, list) else len(alphas_cumprod)
    try:
        other = make_schedule(schedule, n).alphas_cumprod
    except HsxError:  # linear for very few timesteps, for instance
        return False
    return len(other) == len(alphas_cumprod) and torch.allclose(other, alphas_cumprod, rtol=1e-4, atol=1e-6)
