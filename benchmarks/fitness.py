"""Which measures deserve trust?  Those that rank the true answer first, where it is known.

    python benchmarks/fitness.py

draws pairs of poster faces (examples/demo_faces), whose true transfers are known, and gives each measure the truth and
six other answers to rank: hsx at configs/demo.yaml, copies of the content and of the style, recolouring, histogram
matching and the pixel average.  It writes hsx/metrics/fitness.json and the table of docs/measures.md.

A measure is *fit* if no other answer is better than the truth, and the truth is better than every answer that lacks
what the measure is about (``LACKING``).  Better means by the mean over pairs, in 97.5 % of bootstrap draws of the pairs
(the lower end of a paired interval of 95 %).  So an answer may tie with the truth, and a measure that tells nothing is
not fit.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import hsx
from hsx.errors import HsxError, reported
from hsx.io.files import atomic
from hsx.metrics import MeanMetric
from hsx.metrics.fitness import FILE
from hsx.metrics.known import decibels
from hsx.plugins import registry

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples" / "demo_faces"))
from baselines import match_histograms, recolour  # noqa: E402
from evaluate import BATCH, held_out  # noqa: E402
from measure import Pairs  # noqa: E402
from shipped import shipped  # noqa: E402

PAGE = ROOT / "docs" / "measures.md"
MARKS = "<!-- made by benchmarks/fitness.py -->", "<!-- to here -->"
HELD_OUT = 20264  # the measures' constants were chosen on 20261, and looked at on 20262
DRAWS = 2000  # of the bootstrap
TRUTH, HSX = "truth", "hsx"
LACKING = {  # answers that are wrong, by what a measure is about
    "content": ("style", "average"),
    "style": ("content", "average"),
    "both": ("content", "style", "recolouring", "histograms", "average"),
    "truth": (HSX, "content", "style", "recolouring", "histograms", "average"),
}


def answers(pairs: Pairs) -> dict[str, Tensor]:
    """The answers to rank, each (N, 3, R, R), by name."""
    transfer = shipped(hsx.load_backbone("hsx://demo_faces"))
    content, style = pairs.content, pairs.style
    batches = zip(content.split(BATCH), style.split(BATCH), strict=True)
    made = [transfer.inject(transfer.invert(one), transfer.invert(two)).clamp(-1, 1) for one, two in batches]
    return {
        TRUTH: pairs.truth,
        HSX: torch.cat(made),
        "content": content,
        "style": style,
        "recolouring": recolour(content, style),
        "histograms": match_histograms(content, style),
        "average": (content + style) / 2,
    }


@torch.inference_mode()
def numbers(metric: MeanMetric, result: Tensor, pairs: Pairs) -> Tensor:
    """Of each pair, the larger the better: (N,)."""
    given = {"result": result, "content": pairs.content, "style": pairs.style, "truth": pairs.truth}
    batches = zip(*(given[name].split(BATCH) for name in metric.takes), strict=True)
    found = torch.cat([metric.each(*batch) for batch in batches]).double()
    return found if metric.higher_is_better else -found


def ranked(about: str, values: dict[str, Tensor], draws: Tensor, distance: dict[str, Tensor]) -> dict[str, Any]:
    """What a measure makes of the answers.

    Args:
        values: of each answer, pair by pair, the larger the better.
        draws: rows of the bootstrap, (DRAWS, N).
        distance: of each answer its PSNR to the truth, pair by pair.
    """
    means = {name: float(each.mean()) for name, each in values.items()}

    def better(one: str, other: str) -> bool:
        apart = (values[one] - values[other])[draws].mean(1)
        return bool(apart.quantile(0.025) > 0)

    above = [name for name in values if name != TRUTH and better(name, TRUTH)]
    lacking = [name for name in LACKING[about] if not better(TRUTH, name)]
    others = [name for name in values if name != TRUTH]  # the truth is at no distance
    pooled = (torch.cat([by[name] for name in others]) for by in (values, distance))
    return {
        "about": about,
        "fit": not above and not lacking,
        "order": sorted(values, key=lambda name: (-means[name], name != TRUTH)),
        "means": {name: round(abs(mean), 4) for name, mean in means.items()},
        "above": above,
        "ties": [name for name in others if name not in above and not better(TRUTH, name)],
        "spearman": round(spearman(*pooled), 3),
        "spearman_hsx": round(spearman(values[HSX], distance[HSX]), 3),
    }


def spearman(one: Tensor, other: Tensor) -> float:
    """The correlation of ranks; of equal values the mean rank."""
    ranks = []
    for values in (one, other):
        _, place, count = values.unique(return_inverse=True, return_counts=True)
        ranks.append((count.cumsum(0) - (count - 1) / 2)[place])
    found = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    return found if found == found else 0.0  # of a constant


def measures() -> tuple[dict[str, MeanMetric], dict[str, str]]:
    """hsx's measures of rows that can be made here; and of the others why not."""
    made, skipped = {}, {}
    for name, cls in registry.load().of("metric").items():
        if not cls.__module__.startswith("hsx.") or cls.about not in LACKING:
            continue
        try:
            made[name] = cls()
        except HsxError as error:
            skipped[name] = str(error)
    return made, skipped


def table(found: dict[str, dict[str, Any]]) -> str:
    """The measures as a table of Markdown: fit ones first, then by agreement."""
    lines = [
        "| measure | about | fit | answers, best first | agreement | within hsx |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in sorted(found.items(), key=lambda item: (not item[1]["fit"], -item[1]["spearman"])):
        order = [f"**{each}**" if each == TRUTH else each for each in row["order"]]
        signs = [" = " if {one, two} <= {TRUTH, *row["ties"]} else ", " for one, two in pairwise(row["order"])]
        shown = order[0] + "".join(sign + each for sign, each in zip(signs, order[1:], strict=True))
        fit = "yes" if row["fit"] else "no"
        lines.append(
            f"| {name} | {row['about']} | {fit} | {shown} | {row['spearman']:.2f} | {row['spearman_hsx']:.2f} |"
        )
    return "\n".join(lines)


def pairwise(names: list[str]) -> list[tuple[str, str]]:
    """Neighbours."""
    return list(zip(names, names[1:], strict=False))


def page(text: str, new: str) -> str:
    """The page with a new table between its marks."""
    return re.sub(f"(?<={MARKS[0]}\n).*?(?={MARKS[1]})", lambda _: f"\n{new}\n\n", text, flags=re.S)


def main() -> None:
    """Rank, print, and write both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=HELD_OUT, help="of the pairs; 20261 to choose by")
    parser.add_argument("--dry", action="store_true", help="print only")
    args = parser.parse_args()
    pairs = held_out(args.pairs, 64, args.seed)
    given = answers(pairs)
    distance = {name: decibels(result, pairs.truth) for name, result in given.items()}
    draws = torch.randint(args.pairs, (DRAWS, args.pairs), generator=torch.Generator().manual_seed(0))
    made, skipped = measures()
    found = {}
    for name, metric in made.items():
        values = {answer: numbers(metric, result, pairs) for answer, result in given.items()}
        found[name] = ranked(metric.about, values, draws, distance)
    print(table(found), *(f"not measured: {name}: {why}" for name, why in skipped.items()), sep="\n")
    if args.dry:
        return
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    how = {"commit": commit.strip(), "pairs": args.pairs, "seed": args.seed, "draws": DRAWS}
    with atomic(FILE) as part:
        part.write_text(json.dumps({"made": how, "measures": found}, indent=1) + "\n", "utf-8")
    with atomic(PAGE) as part:
        part.write_text(page(PAGE.read_text("utf-8"), table(found)), "utf-8")


if __name__ == "__main__":
    with reported("fitness.py"):
        main()
