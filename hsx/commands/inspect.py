"""``hsx inspect``: what a checkpoint is."""

from __future__ import annotations

import logging
from json import dumps
from math import prod
from typing import Any

from diffusers.models.attention_processor import Attention
from rich.console import Console
from rich.table import Column, Table

from hsx.backbones.base import BOTTLENECK, Backbone
from hsx.checkpoints.load import load_backbone
from hsx.checkpoints.options import MissingOptions, Options
from hsx.io.urls import public_url
from hsx.method.config import TransferConfig


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
        facts = {name: fact._asdict() for name, fact in error.facts.items()}
        found, unsaid = {"family": error.family, "facts": facts, "missing": error.missing}, error
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
    columns = (Column(no_wrap=True), Column(overflow="fold"), Column())  # names of files are shown whole
    table = Table(*columns, title=public_url(source), title_justify="left", show_header=False)
    table.add_row("family", found["family"], "read")
    for name, fact in found["facts"].items():
        value, many = fact["value"], isinstance(fact["value"], list) and len(fact["value"]) > 9  # such as betas
        table.add_row(name, f"{len(value)} numbers" if many else str(value), fact["origin"])
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
    table.add_row("sites", "", f"MB of a content in the store ({TransferConfig.inversion_steps} steps, float16)")
    for name, site in found["sites"].items():
        side = site["shape"][-1]
        what = found["bottleneck"] if name == BOTTLENECK else f"skips@R/{found['image_size'] // side}"
        table.add_row(name, " x ".join(map(str, site["shape"])), f"{what}: {site['bytes'] / 1e6:.3g} MB")
    own = f"{found['x_T']['bytes'] / 1e6:.3g} MB a picture; with the donor Renoised of styles alone"
    table.add_row("x_T", " x ".join(map(str, found["x_T"]["shape"])), own)
    return table


def describe(backbone: Backbone) -> dict[str, Any]:
    """All that ``hsx inspect`` shows, as plain data."""
    layout, size = backbone.layout, backbone.sample_size
    recorded = TransferConfig.inversion_steps - 1
    sites = {name: {"shape": list(shape), "bytes": 2 * recorded * prod(shape)} for name, shape in layout.sites.items()}
    return {
        "family": backbone.family,
        "facts": {name: fact._asdict() for name, fact in backbone.facts.items()},
        "parameters": sum(p.numel() for p in backbone.parameters()),
        "heads": sorted({m.heads for m in backbone.modules() if isinstance(m, Attention)}),
        "image_size": size,
        "timesteps": len(backbone.schedule),
        "prediction_type": getattr(backbone, "prediction_type", "epsilon"),
        **{name: getattr(layout, name) for name in ("encode_macs", "decode_macs", "bottleneck")},
        "h": list(layout.h),
        "skips": [{"module": name, "shape": list(shape)} for name, shape in layout.skips],
        "sites": sites,  # bytes: of a content in the store, at the default steps in float16
        "x_T": {"shape": [3, size, size], "bytes": 4 * 3 * size**2},  # in float32, of every picture that is inverted
    }
