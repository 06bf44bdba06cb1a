"""``hsx inspect`` and ``hsx convert``: what a checkpoint is, and how it becomes a folder."""

from __future__ import annotations

import json
import logging
from typing import Any

from diffusers.models.attention_processor import Attention
from jsonargparse import ArgumentError, ArgumentParser
from rich.console import Console
from rich.table import Table

from hsx.backbones.base import Backbone, Fact
from hsx.checkpoints.export import export
from hsx.checkpoints.load import load_backbone
from hsx.checkpoints.options import MissingOptions, Options
from hsx.cli import one_line
from hsx.errors import HsxError, expanded
from hsx.io.urls import public_url


def inspect(argv: list[str]) -> int:
    """``hsx inspect SOURCE``: what was read, known or assumed of a checkpoint, and where it is cut.

    Of one that does not say all of its use it shows what was read and every option that must be given, before the
    HsxError that says the same in a line.
    """
    parser = _parser("inspect", "What a checkpoint is: read from it, known of published models, or assumed.")
    parser.add_argument("--json", action="store_true", help="for programs")
    given = _parse(parser, argv)
    log = logging.getLogger("hsx")
    log.disabled = given.json  # its answer holds what is assumed
    try:
        found, unsaid = describe(_load(given)), None
    except MissingOptions as error:
        found, unsaid = {"family": error.family, "facts": _plain(error.facts), "missing": error.missing}, error
    finally:
        log.disabled = False
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        Console(markup=False, emoji=False).print(_table(given.source, found))
    if unsaid:
        raise unsaid
    return 0


def _table(source: str, found: dict[str, Any]) -> Table:
    table = Table("", "", "", title=public_url(source), title_justify="left", show_header=False)
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"  # names of files are told whole
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


def convert(argv: list[str]) -> int:
    """``hsx convert SOURCE FOLDER``: a checkpoint as a diffusers pipeline folder."""
    parser = _parser("convert", "Write a checkpoint as a folder that diffusers.DDPMPipeline and hsx open.")
    parser.add_argument("folder", type=str, help="where to: a new or empty folder")
    parser.add_argument(
        "--hsx-only",
        action="store_true",
        help="write what hsx alone reads, for a network that diffusers' configs cannot describe",
    )
    given = _parse(parser, argv)
    if "://" in given.folder or not given.folder.strip():
        raise HsxError(f"folder: expected a folder, got {json.dumps(public_url(given.folder))}; name one")
    export(_load(given), expanded(given.folder, "folder"), given.hsx_only)
    opens = "hsx" if given.hsx_only else "hsx and diffusers.DDPMPipeline.from_pretrained"
    print(f"written: {given.folder}, which {opens} can open")
    return 0


def _parser(name: str, what: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"hsx {name}", description=what, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("source", type=str, help="a checkpoint file, a folder, a Hub id or a URL")
    parser.add_class_arguments(Options, as_group=True)
    return parser


def _parse(parser: ArgumentParser, argv: list[str]) -> Any:
    try:
        return parser.parse_args(argv)
    except ArgumentError as error:
        raise HsxError(one_line(error, parser.prog, parser.get_defaults().keys())) from None


def _load(given: Any) -> Backbone:
    options = Options(**{name: given[name] for name in Options.__dataclass_fields__})
    return load_backbone(given.source, **options.given())


def _times(shape: list[int]) -> str:
    return " x ".join(map(str, shape))
