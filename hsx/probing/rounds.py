"""The two rounds of complete runs: when to inject, then where and from which donor."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from hsx.backbones.base import BOTTLENECK
from hsx.probing.finals import Ran
from hsx.probing.measures import Measured, Score
from hsx.probing.screening import DONORS, Combination
from hsx.probing.spans import Span

NEAR = 0.95  # of the best: what comes so near is as good
HALF = 0.5  # of the best single step's total, from which another span is worth a run
INVERTED = 0.8  # what an inverted donor's total is worth: its injections add up, so that more steps do it harm
Results = Mapping[Combination, tuple[Measured, object]]


def rounds(
    pairs: int,
    looked: Mapping[Combination, Score],
    sites: Sequence[str],
    spans: Sequence[Span],
    run: Callable[[int, list[Combination]], Ran],
) -> tuple[Combination, dict[int, Ran]]:
    """The best combination, and what each of the pairs showed: the first half in one round, the others in the next.

    Args:
        looked: the scores of the screening.
        sites: of the network, h first, then the skips in the order of the down path.
        run: runs combinations with a pair, given by its number, as many as it may.
    """
    best = max(looked, key=lambda one: worth(one, looked[one]))
    tried, ran = when(best, looked, spans), dict[int, Ran]()
    half = -(-pairs // 2)
    for numbers in (range(half), range(half, pairs)):
        if numbers.start:
            tried += where(best, looked, sites)
        new = dict.fromkeys((one for one in tried if not any(one in each.results for each in ran.values())), 0)
        groups = [list(group) for _, group in groupby(new, lambda one: one.span.t_hi)]  # which share their start
        for place, number in enumerate(numbers):
            ran[number] = run(number, sorted(groups[place % len(groups)], key=lambda one: new[one]))
            for one in ran[number].results:
                new[one] += 1
        best = winner(tried, scores([each.results for each in ran.values()]))
    return best, ran


def when(best: Combination, looked: Mapping[Combination, Score], spans: Sequence[Span]) -> list[Combination]:
    """The site in the least noise that it may do with, in those spans below too, and from more noise down to none."""
    single = {span: looked.get(replace(best, span=span)) for span in spans}
    enough = [span for span, score in single.items() if score and score.total >= HALF * looked[best].total]
    place = spans.index(enough[0])
    below = [enough[0].down_to(span.t_lo) for span in reversed(spans[: place + 1])]
    tried = [*below, *(span.down_to(0) for span in spans[place + 1 :])]
    return [replace(best, span=span) for span in tried]


def where(best: Combination, looked: Mapping[Combination, Score], sites: Sequence[str]) -> list[Combination]:
    """In the span that won: the site with the next deeper one, and with h; another site; and the other donor."""
    site = best.sites[0]
    order = [*sites[1:], BOTTLENECK]  # the deeper the later
    place = order.index(site)
    beside = [order[-2:], order[-3:]] if site == BOTTLENECK else [order[place : place + 2], [site, BOTTLENECK]]
    others = [one for one in looked if one.sites != best.sites]
    runner_up = max(others, key=lambda one: worth(one, looked[one]), default=best)
    (other,) = (donor for donor in DONORS if donor is not best.donor)
    sets = [*(tuple(reversed(some)) for some in beside), runner_up.sites]
    tried = [replace(best, donor=other), *(replace(best, sites=some) for some in sets)]
    return [one for one in dict.fromkeys(tried) if one != best]


def winner(tried: Sequence[Combination], ran: Mapping[Combination, Score]) -> Combination:
    """The first that comes near the best: of equals the simplest, as they are tried in that order."""
    values = {one: worth(one, ran[one]) for one in tried if one in ran}
    return next(one for one, value in values.items() if value >= NEAR * max(values.values()))


def worth(one: Combination, score: Score) -> float:
    """By which combinations are compared, 0 to 1."""
    return score.total * (INVERTED if one.donor.inverts else 1)


def scores(results: Sequence[Results]) -> dict[Combination, Score]:
    """The score of each combination over the pairs that saw it."""
    found: dict[Combination, list[Measured]] = {}
    for pair in results:
        for one, (measured, _) in pair.items():
            found.setdefault(one, []).append(measured)
    return {one: Score.of(of_one) for one, of_one in found.items()}
