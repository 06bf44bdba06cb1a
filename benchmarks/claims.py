"""The paper's claims as numbers, on a model that was taught to keep content in h and on an ordinary one.

    python benchmarks/claims.py --pairs 24 --page docs/claims.md --picture docs/images/claims.png

asks, of pairs of held-out faces: does content agreement rise with gamma; does the normaliser help style and realism;
does calibration give more style at the same content; and do h and skips, swapped, bring content and style?  Each on
hsx://demo_faces and hsx://plain_faces, at the paper's settings (gamma 0.3 at t >= 400, at the strength of 50
injections) and around the model's own config.  Prints the tables of docs/claims.md, and of each claim whether it holds:
if all that is compared is better, by the intervals of 95 % of differences pair by pair and by 0.01 at least; in part,
if some is.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from agreement import POOL, Measures, draw, interval
from claims_drawn import Point, Span, panels
from claims_said import Claim, Found, claims, side
from claims_settings import Around, Setting, arounds, made, scaled
from safetensors.torch import load_file, save_file
from torch import Tensor
from turns import where

import hsx
from hsx.errors import HsxError, reported

MODELS = {"demo_faces": "taught", "plain_faces": "ordinary"}
AROUND = "paper", "config"
BEGIN, END = "<!-- made by benchmarks/claims.py -->", "<!-- to here -->"
BATCH = 4
HELD_OUT = 20262  # of the demo's evaluation; the settings of this script were chosen on seed 20261


def measured(model: str, around: Around, backbone: hsx.Backbone, args: argparse.Namespace) -> Found:
    """All measures of each setting, of results that are made now or were kept."""
    drawn = draw(args.pairs, backbone.sample_size, args.seed)
    noise = torch.randn(drawn.content.shape, generator=torch.Generator().manual_seed(0))
    parts: dict[Setting, list[tuple[Tensor, Tensor]]] = {setting: [] for setting in around.settings}
    for start in range(0, args.pairs, BATCH):
        rows = slice(start, min(start + BATCH, args.pairs))
        name = f"{model}-{around.name}-{around.steps}-{args.seed}-{rows.start}-{rows.stop}.safetensors"
        file = args.keep / name if args.keep else None
        if file and file.exists():
            kept = load_file(file)
        else:
            begun, kept = time.perf_counter(), {}
            for setting, pixels, errors in made(backbone, around, drawn, noise, rows):
                kept |= {f"{setting}": pixels, f"{setting} errors": errors}
            print(f"{model}, {around.name}: {rows.stop} pairs, {time.perf_counter() - begun:.0f} s", flush=True)
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
                save_file(kept, file)
        for setting, own in parts.items():
            own.append((kept[f"{setting}"], kept[f"{setting} errors"]))
    measures, found = Measures(drawn, backbone.sample_size), {}
    for setting, own in parts.items():
        pixels, errors = (torch.cat(each) for each in zip(*own, strict=True))
        found[setting] = measures(scaled(pixels), errors)
    return found


@dataclass(frozen=True)
class Place:
    """A model and what it was measured around."""

    model: str
    around: Around
    found: Found

    def __str__(self) -> str:
        around = {"paper": "the paper's settings", "config": f"configs/{self.model.partition('_')[0]}.yaml"}
        return f"{MODELS[self.model]}, {around[self.around.name]}"

    @cached_property
    def claims(self) -> list[Claim]:
        """What is said of it."""
        return claims(self.around, self.found)

    def label(self, setting: Setting) -> tuple[str, str]:
        """What a setting is called in the plot, and its kind."""
        if setting.normalizer != self.around.usual.normalizer:
            return f"{setting.normalizer}, {setting.gamma:g}", "normaliser"
        if setting.calibrator != "none":
            return setting.calibrator, "calibrator"
        if setting.sites not in ("h", "config"):
            return setting.sites, "sites"
        return f"{setting.gamma:g}", "curve"


def report(places: list[Place], made_by: str) -> str:
    """The verdicts; then a claim's table, and below it what holds where, with all that was compared."""
    claims = sorted({(claim.says, claim.at) for place in places for claim in place.claims})
    lines = [made_by, "", f"| claim | {' | '.join(map(str, places))} |", "|---" * (len(places) + 1) + "|"]
    for says, at in claims:
        verdicts = {str(p): claim.verdict for p in places for claim in p.claims if (claim.says, claim.at) == (says, at)}
        lines.append(f"| {says}{at} | {' | '.join(verdicts.get(str(place), '') for place in places)} |")
    for says in dict.fromkeys(says for says, _ in claims):
        said = [(place, claim) for place in places for claim in place.claims if claim.says == says]
        columns = said[0][1].columns
        lines += ["", f"## {says}", ""]
        if columns:
            lines += [f"| model, around | setting | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
        for place, claim in said:
            for setting in claim.rows:
                cells = [spelled(interval(place.found[setting][column])) for column in columns]
                lines.append(f"| {place} | {setting.words} | {' | '.join(cells)} |")
        lines += [""] * bool(columns)
        lines += [f"- *{place}{claim.at}*: **{claim.verdict}**; {compared(claim)}" for place, claim in said]
    return "\n".join(lines)


def compared(claim: Claim) -> str:
    """What is better by its interval, what is worse, and what is neither; of steps only those that are worse."""
    sides: dict[str, list[str]] = {"better": [], "worse": [], "no difference": []}
    for name, values in {**claim.better, **claim.steps}.items():
        found = side(values)
        if name in claim.better or found == "worse":
            sides[found].append(f"{name} {spelled(interval(values), '+')}")
    return "; ".join(f"{name}: {', '.join(said)}" for name, said in sides.items() if said)


def spelled(span: Span, sign: str = "") -> str:
    """A value with its interval."""
    value, low, high = (f"{number:{sign}.2f}" for number in span)
    return f"{value} ({low} to {high})"


def written(places: list[Place]) -> dict[str, Any]:
    """All numbers, as plain data: a value and the ends of its interval each, null where a draw has nothing of it."""
    told: dict[str, Any] = {"settings": [], "claims": []}
    for place in places:
        where = {"model": place.model, "around": place.around.name, "steps": place.around.steps}
        for setting, own in place.found.items():
            told["settings"].append({**where, **vars(setting), "measures": plain(own)})
        for claim in place.claims:
            row = {**where, "claim": claim.says, "at": claim.at, "verdict": claim.verdict}
            told["claims"].append(row | {"compared": plain({**claim.better, **claim.steps})})
    return told


def plain(measures: dict[str, Tensor]) -> dict[str, list[float | None]]:
    """Their intervals."""
    return {name: [None if math.isnan(v) else v for v in interval(values)] for name, values in measures.items()}


def main() -> None:
    """Make, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--around", nargs="+", choices=AROUND, default=list(AROUND))
    parser.add_argument("--pairs", type=int, default=24, help=f"at most {POOL}")
    parser.add_argument("--steps", type=int, help="of the paper's procedure: by default 20, on the ordinary model 50")
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs")
    parser.add_argument("--keep", type=Path, help="a folder for results; those that are there are not made again")
    parser.add_argument("--page", type=Path, help="docs/claims.md: its tables are written anew")
    parser.add_argument("--json", type=Path, help="a file for all numbers")
    parser.add_argument("--picture", type=Path, help="a file for the plot of content against style")
    args = parser.parse_args()
    if not 2 <= args.pairs <= POOL:
        raise HsxError(f"pairs: expected 2 to {POOL}, got {args.pairs}; give another number")
    places, machine = [], where("cpu")
    for model in args.models:
        backbone = hsx.load_backbone(f"hsx://{model}")
        for around in arounds(model, backbone, args.steps):
            if around.name in args.around:
                places.append(Place(model, around, measured(model, around, backbone, args)))
    what = f"{args.pairs} held-out pairs (seed {args.seed}), commit {machine['commit']}."
    text = report(places, what)
    print(text)
    if args.page:
        page = args.page.read_text("utf-8")
        args.page.write_text(
            re.sub(f"(?<={BEGIN}\n).*?(?={END})", lambda _: f"\n{text}\n\n", page, flags=re.S), "utf-8"
        )
    if args.json:
        made_by = {"made": machine, "pairs": args.pairs, "seed": args.seed}
        args.json.write_text(json.dumps(made_by | written(places), indent=1) + "\n")
    if args.picture:
        plots = {
            str(place): [
                Point(*place.label(setting), interval(own["content"]), interval(own["style"]))
                for setting, own in place.found.items()
            ]
            for place in places
        }
        panels(plots).save(args.picture, optimize=True)


if __name__ == "__main__":
    with reported("claims.py"):
        main()
