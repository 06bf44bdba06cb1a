"""What was found, to be seen: as plain data, as tables, as a sheet."""

from __future__ import annotations

from typing import Any

from PIL import Image
from rich.table import Table
from torch import Tensor

from hsx.io.images import to_picture
from hsx.probing.finals import STEPS
from hsx.probing.measures import Score
from hsx.probing.probing import Probed
from hsx.probing.screening import DONORS, Combination, named
from hsx.report.labelled import Cell, labelled_sheet

FIRST = ("content", "style", "style\ngiven back", "best run\nof the pair")  # columns of the sheet, before the sites


def as_data(probed: Probed) -> dict[str, Any]:
    """All numbers, as plain data."""
    best = probed.best
    return {
        "verdict": probed.verdict,
        "carries": probed.carries,
        "best": _named(best) if best else None,
        "evaluations": max(probed.evaluations),
        "single_steps": [{**_named(one), "t": one.span.look, **_numbers(s)} for one, s in probed.looked.items()],
        "runs": [{**_named(one), **_numbers(score)} for one, score in probed.ran.items()],
        "given_back": [
            {"t_start": t_start, "psnr": round(ceiling.decibels, 2), **_numbers(ceiling.score)}
            for t_start, ceiling in probed.ceilings.items()
        ],
    }


def tables(probed: Probed) -> list[Table]:
    """Single steps by site, donor and span; then the complete runs, if there were any."""
    counts = {score.n for score in probed.looked.values()}
    pairs = f"{min(counts)} to {max(counts)} pairs each" if len(counts) > 1 else f"{max(counts)} pairs each"
    title = f"One step with the content's feature at these sites: its structure / style kept ({pairs})"
    table = Table(title=title, title_justify="left")
    table.add_column("site", overflow="fold")
    columns = [(donor, span) for donor in DONORS for span in probed.spans]
    for donor, span in columns:
        table.add_column(f"{donor.__name__}\nt = {span.look}", justify="right")
    for some in dict.fromkeys(one.sites for one in sorted(probed.looked, key=lambda one: len(one.sites))):
        scores = [probed.looked.get(Combination(some, donor, span)) for donor, span in columns]
        table.add_row(named(some), *(f"{score.structure:.2f} / {score.kept:.2f}" if score else "" for score in scores))
    return [table, _runs(probed)] if probed.ran else [table]


def _runs(probed: Probed) -> Table:
    title = f"Complete runs of {STEPS} steps from the first t, best last"
    table = Table(title=title, title_justify="left")
    table.add_column("sites", overflow="fold")
    for name in (
        "donor",
        "injected at",
        "structure\ncontent's",
        "\nstyle's",
        "\npalette",
        "\ntexture",
        "\ntotal",
        "\nn",
    ):
        table.add_column(name, justify="left" if name in ("donor", "injected at") else "right")

    def numbers(score: Score) -> list[str]:
        measures = (score.content, score.leak, score.palette, score.texture, score.total)
        return [*(f"{value:.2f}" for value in measures), str(score.n)]

    for t_start, ceiling in probed.ceilings.items():
        nothing = f"nothing, from t {t_start}: {ceiling.decibels:.1f} dB"
        table.add_row(nothing, "", "", *numbers(ceiling.score))
    table.add_section()
    for one, score in sorted(probed.ran.items(), key=lambda item: (item[0] == probed.best, item[1].total)):
        table.add_row(one.where, one.donor.__name__, str(one.span), *numbers(score))
    return table


def sheet(probed: Probed, contents: Tensor, styles: Tensor) -> Image.Image:
    """A row a pair; in the column of a site the best single step that the pair saw, with its donor and t.

    Args:
        contents, styles: (N, 3, R, R) in [-1, 1], pair by pair.
    """
    rows = []
    for (looked, ran), content, style in zip(probed.pairs, contents, styles, strict=True):
        row: dict[int, Cell] = {0: (to_picture(content), ""), 1: (to_picture(style), "")}
        if ran:
            row[2] = (to_picture(ran.given_back[1]), f"from t {ran.t_start}")
        if ran and ran.results:
            one, (_, image) = max(ran.results.items(), key=lambda item: Score.of([item[1][0]]).total)
            row[3] = (to_picture(image), f"{one.span}: {one.where}, {one.donor.__name__}")
        for column, site in enumerate(probed.sites, len(FIRST)):
            seen = [(one, result) for one, result in looked.results.items() if one.sites == (site,)]
            if seen:
                one, (_, image) = max(seen, key=lambda item: Score.of([item[1][0]]).total)
                row[column] = (to_picture(image), f"{one.donor.__name__}, t = {one.span.look}")
        rows.append(row)
    names = [site.replace("blocks.", "blocks.\n", 1) for site in probed.sites]
    return labelled_sheet([*FIRST, *names], rows, contents.shape[-1])


def _named(one: Combination) -> dict[str, Any]:
    return {"sites": [*one.sites], "donor": one.donor.__name__, "t_hi": one.span.t_hi, "t_lo": one.span.t_lo}


def _numbers(score: Score) -> dict[str, float]:
    names = ("content", "leak", "palette", "texture", "structure", "kept", "total")
    return {**{name: round(getattr(score, name), 4) for name in names}, "n": score.n}
