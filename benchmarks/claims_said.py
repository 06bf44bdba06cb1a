"""What the paper says, as comparisons of what ``claims.py`` measured."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from agreement import BETTER, interval
from claims_settings import CALIBRATORS, GAMMAS, Around, Setting
from torch import Tensor

JUDGED = "style", "Palette", "KID", "denoising"  # of normalisers
LEAST = 0.01  # that a difference must be
Found = dict[Setting, dict[str, Tensor]]  # measures by setting, see agreement.Measures


@dataclass(frozen=True)
class Claim:
    """What is said, which settings and measures show it, and what is compared, above 0 where it speaks for the claim.

    Attributes:
        at: what more there is to say of where it was measured.
        better: differences, all of which are above 0 where the claim holds.
        steps: those none of which must be below 0.
    """

    says: str
    rows: list[Setting]
    columns: tuple[str, ...]
    better: dict[str, Tensor]
    steps: dict[str, Tensor] = field(default_factory=dict)
    at: str = ""

    @property
    def verdict(self) -> str:
        """From what is better and what is worse."""
        better = [side(values) == "better" for values in self.better.values()]
        falls = any(side(values) == "worse" for values in self.steps.values())
        return "holds" if all(better) and not falls else "holds in part" if any(better) else "does not hold"


def side(values: Tensor) -> str:
    """Better or worse by the interval of 95 %, or no difference; one of less than ``LEAST`` is none."""
    value, low, high = interval(values)
    if abs(value) < LEAST:
        return "no difference"
    return "better" if low > 0 else "worse" if high < 0 else "no difference"


def claims(around: Around, found: Found) -> list[Claim]:
    """What the paper says, of what was found around these settings."""
    usual = around.usual
    curve = [replace(usual, gamma=gamma) for gamma in GAMMAS]

    def gain(measure: str, one: Setting, other: Setting) -> Tensor:
        """By how much ``one`` is better."""
        return BETTER.get(measure, 1) * (found[one][measure] - found[other][measure])

    few, most = replace(usual, gamma=0.3), curve[-1]
    said = [
        Claim(
            "1. Content agreement rises with γ",
            curve,
            ("content", "Layout", "SSIM", "style", "Look", "PSNR"),
            {
                f"{measure}, γ {b.gamma:g} against {a.gamma:g}": gain(measure, b, a)
                for measure, b, a in (("content", few, curve[0]), ("content", most, few), ("Layout", most, curve[0]))
            },
            {f"content, γ {b.gamma:g} against {a.gamma:g}": gain("content", b, a) for a, b in pairwise(curve)},
        )
    ]
    for gamma in around.normalized:
        off, frobenius, adain = (
            replace(usual, gamma=gamma, normalizer=name) for name in ("Identity", "Frobenius", "AdaIN")
        )
        for number, name, on, rows in (
            ("2a", "Frobenius", frobenius, [off, frobenius, adain]),
            ("2b", "AdaIN", adain, []),
        ):
            said.append(
                Claim(
                    f"{number}. {name} gives more style and realism than no normaliser",
                    rows,
                    ("content", "style", "Look", "Palette", "KID", "denoising", "PSNR") if rows else (),
                    {measure: gain(measure, on, off) for measure in JUDGED},
                    at=f", γ {gamma:g}",
                )
            )
    plain = replace(usual, gamma=around.calibrated)
    calibrated = [replace(plain, calibrator=name) for name in CALIBRATORS]
    said.append(
        Claim(
            "3. Calibration gives more style at the same content",
            [plain, *calibrated],
            ("content", "Layout", "style", "Look", "KID", "PSNR"),
            {s.calibrator: beyond([found[c] for c in curve], found[s]) for s in calibrated},
            at=f", γ {plain.gamma:g}",
        )
    )
    if len(around.sites) > 1:
        h, skips, both = (replace(most, sites=name) for name in around.sites)
        said.append(
            Claim(
                "4. h brings the content, the skips bring the style",
                [h, skips, both],
                ("content", "Layout", "style", "Look", "KID", "denoising"),
                {
                    "h: content above one half": found[h]["content"] - 0.5,
                    "h: style above one half": found[h]["style"] - 0.5,
                    "skips: content below one half": 0.5 - found[skips]["content"],
                    "skips: style below one half": 0.5 - found[skips]["style"],
                },
            )
        )
    return said


def beyond(curve: list[dict[str, Tensor]], point: dict[str, Tensor]) -> Tensor:
    """By how much a point has more style than the most that the curve has at as much content or more, draw by draw.

    The curve is joined by lines; where it has nowhere as much content, its point of the most is taken.
    """
    weights = torch.linspace(0, 1, 51, dtype=torch.float64)[:, None]
    lines = {
        name: torch.cat([torch.lerp(a[name], b[name], weights) for a, b in pairwise(curve)])
        for name in ("content", "style")
    }
    enough = lines["content"] >= point["content"].minimum(lines["content"].max(0).values)
    return point["style"] - torch.where(enough, lines["style"], -torch.inf).max(0).values
