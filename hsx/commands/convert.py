"""``hsx convert``: a checkpoint as a folder."""

from __future__ import annotations

from json import dumps
from typing import Any

from hsx.checkpoints.export import export
from hsx.checkpoints.load import load_backbone
from hsx.checkpoints.options import Options
from hsx.errors import HsxError, expanded
from hsx.io.urls import public_url


def convert(source: str, folder: str, *, hsx_only: bool = False, **options: Any) -> int:
    """Write a checkpoint as a folder that diffusers.DDPMPipeline and hsx open.

    Args:
        source: A checkpoint file, a folder, a Hub id or a URL.
        folder: Where to: a new or empty folder.
        hsx_only: Write what hsx alone reads, for a network that diffusers' configs cannot describe.
    """
    if "://" in folder or not folder.strip():
        raise HsxError(f"folder: expected a folder, got {dumps(public_url(folder))}; name one")
    target = expanded(folder, "folder")
    backbone = load_backbone(source, **Options(**options).given())
    try:
        export(backbone, target, hsx_only)
    except HsxError as error:
        raise HsxError(f"{public_url(source)}: {error}") from error
    opens = "hsx" if hsx_only else "hsx and diffusers.DDPMPipeline.from_pretrained"
    print(f"written: {folder}, which {opens} can open")
    return 0
