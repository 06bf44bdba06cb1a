"""What is this?  A file, a folder, a Hub id or a URL becomes a Backbone."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from hsx import plugins
from hsx.assets import resolve
from hsx.backbones.base import Backbone
from hsx.backbones.family import Family
from hsx.backbones.fetch import from_hub, from_url, is_hub_id
from hsx.backbones.folder import read_folder
from hsx.backbones.options import DTYPES, Options
from hsx.backbones.published import home
from hsx.backbones.tensors import read_tensors
from hsx.errors import BackboneError, first_line
from hsx.urls import is_url, public_url

FILES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")

log = logging.getLogger("hsx")


def load_backbone(source: str | Path, **options: Any) -> Backbone:
    """A frozen Backbone from a DDPM, iDDPM, ADM or P2 checkpoint, or a diffusers model.

    Args:
        source: a ``.pt``, ``.pth``, ``.ckpt``, ``.bin`` or ``.safetensors`` file; a folder with a diffusers
            ``UNet2DModel`` (or a pipeline of one); a Hub id such as ``google/ddpm-celebahq-256``; an http(s) URL of a
            file, fetched once; or ``hsx://demo_faces``, the demo model that ships with hsx.
        options: what overrides or completes what the source tells of itself, see ``hsx.backbones.options.Options``.
            Published models need none.  What is assumed is stated in the log ``hsx`` and in ``Backbone.facts``.

    Raises:
        BackboneError: for anything that is not such a model, with what was expected and what to do.
    """
    chosen = Options.checked(options)
    backbone = _load(str(source), chosen)
    backbone.to(DTYPES[chosen.dtype or "float32"])
    try:
        return backbone.to(chosen.device or "cpu")
    except (RuntimeError, AssertionError) as error:
        raise BackboneError(f"device: expected one that this machine has, got {chosen.device} ({first_line(error)}); "
                            "name another") from None


def _load(source: str, options: Options) -> Backbone:
    path = resolve(source)
    if not source.strip():
        raise BackboneError("source: expected a checkpoint file, a folder, a Hub id or a URL, got an empty name; name "
                            "one")
    if is_url(source):
        path, source = from_url(source, options.sha256), public_url(source)
    elif not path.exists() and is_hub_id(source):
        path = from_hub(source)
    if path.is_dir():
        return read_folder(path, options)
    if not path.exists():
        published = home(path.name)
        what = f"; get {path.name} from {published} and put it there" if published else "; check the path"
        raise BackboneError(f"{source}: expected a checkpoint file or a diffusers folder, found nothing there{what}")
    if path.suffix not in FILES:
        raise BackboneError(f"{source}: expected a file ending in {', '.join(FILES)}, got '{path.suffix}'; "
                            "give the checkpoint itself")
    state = read_tensors(path)
    return _family(path, state, options).build(state, options, path)


def _family(path: Path, state: dict[str, torch.Tensor], options: Options) -> Family:
    """The family that the option names, or that recognises these names."""
    families = {name: family() for name, family in plugins.load().of("backbone").items()}
    if options.family is not None:
        if options.family not in families:
            raise BackboneError(f"family: expected one of {', '.join(families)}, got {options.family}; take one")
        return families[options.family]
    for name, family in families.items():
        try:
            if family.recognises(state):
                return family
        except Exception as error:  # a plugin's
            log.warning("the backbone family %s is left out (%s: %s)", name, type(error).__name__, first_line(error))
    some = ", ".join(list(state)[:3])
    raise BackboneError(f"{path}: expected the weights of a DDPM, iDDPM, ADM or diffusers UNet2DModel network, got "
                        f"tensors such as {some}; give an unconditional pixel-space diffusion model")
