"""``hsx inspect``: what a checkpoint is."""

from __future__ import annotations

import logging
from json import dumps
from typing import Any

from diffusers.models.attention_processor import Attention
from rich.console import Console
from rich.table import Table

from hsx.backbones.base import Backbone, Fact
from hsx.checkpoints.load import load_backbone
from hsx.checkpoints.options import MissingOptions, Options
from hsx.io.urls import public_url


def inspect(source: str, *, json: bool = False, **options: Any) -> int:
    """What a checkpoint is: read from it, known of published models, or assumed.

    Of one that does not say all of its use it shows what was read and every option that must be given, before the
    HsxError that says the same in a line.

    Args:
        source: A checkpoint file, a folder, a Hub id or a URL.
        json: For programs.
    """
    log = logging.getLogger("hsx")
    log.disabled = json  # its answer holds what is assumed
    try:
        found, unsaid = describe(load_backbone(source, **Options(**options).given())), None
    except MissingOptions as error:
        found, unsaid = {"family": error.family, "facts": _plain(error.facts), "missing": error.missing}, error
    finally:
        log.disabled = False
    if json:
        print(dumps(found, indent=1))
    else:
        Console(markup=False, emoji=False).print(_table(source, found))
    if unsaid:
        raise unsaid
    return 0


def _table(source: str, found: dict[str, Any]) -> Table:
    table = Table("", "", "", title=public_url(source), title_justify="left", show_header=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"  # names of files are shown whole
    table.add_row("family", found["family"], "read")
    for name, fact in found["facts"].items():
        table.add_row(name, _short(fact["value"]), fact["origin"])
    table.add_section()
    for name, what in found.get("missing", {}).items():
        table.add_row(name, "?", f"to be given{', or the other' if name.startswith('num_head') else ''}: {what}")
    if "missing" in found:
        return table
    table.add_row("parameters", f"{found['parameters']:,}", "")
    table.add_row("attention heads", ", ".join(map(str, found["heads"])), "")
    table.add_row("multiply-adds of E", f"{found['encode_macs']:,}", "one picture")
    table.add_row("multiply-adds of D", f"{found['decode_macs']:,}", "one picture")
    table.add_section()
    table.add_row(found["bottleneck"], _times(found["h"]), "h, the bottleneck")
    for skip in found["skips"]:
        table.add_row(skip["module"], _times(skip["shape"]), "skip")
    return table


def _short(value: Any) -> str:
    """A fact's value; of a long list, such as betas, how many they are."""
    return str(value) if not isinstance(value, list) or len(value) < 10 else f"{len(value)} numbers"


def describe(backbone: Backbone) -> dict[str, Any]:
    """All that ``hsx inspect`` shows, as plain data."""
    layout = backbone.layout
    return {
        "family": backbone.family,
        "facts": _plain(backbone.facts),
        "parameters": sum(p.numel() for p in backbone.parameters()),
        "heads": sorted({m.heads for m in backbone.modules() if isinstance(m, Attention)}),
        "image_size": backbone.sample_size,
        "timesteps": len(backbone.schedule),
        "prediction_type": getattr(backbone, "prediction_type", "epsilon"),
        "encode_macs": layout.encode_macs,
        "decode_macs": layout.decode_macs,
        "bottleneck": layout.bottleneck,
        "h": list(layout.h),
        "skips": [{"module": name, "shape": list(shape)} for name, shape in layout.skips],
    }


def _plain(facts: dict[str, Fact]) -> dict[str, dict[str, Any]]:
    return {name: {"value": fact.value, "origin": fact.origin} for name, fact in facts.items()}


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
