"""The two rounds of complete runs: when to inject, with renoised features, which do better there; then where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from hsx.probing.finals import STEPS, Ran
from hsx.probing.measures import KEPT, Measured, Score
from hsx.probing.screening import DONORS, Combination, deepest_first
from hsx.probing.spans import Span
from hsx.schedule import timesteps
from hsx.strategies import Renoised

NEAR = 0.9  # of the best: what comes so near, on so few pairs, is as good
HALF = 0.5  # of the best single step's total, from which another span is worth a run
INVERTED = 0.8  # what an inverted donor's total is worth: its injections add up, so that more steps do it more harm
Results = Mapping[Combination, tuple[Measured, object]]


def rounds(
    pairs: int,
    looked: Mapping[Combination, Score],
    sites: Mapping[str, tuple[int, ...]],
    spans: Sequence[Span],
    run: Callable[[int, list[Combination]], Ran],
) -> tuple[Combination, dict[int, Ran]]:
    """The best combination, and what each of the pairs showed: the first half in one round, the others in the next.

    Args:
        looked: the scores of the screening.
        sites: of the network, h first, then the skips in the order of the down path, with the shapes of their features.
        run: runs combinations with a pair, given by its number, as many as it may.
    """
    most = NEAR * max(worth(one, score) for one, score in looked.items())
    ranked = sorted(looked, key=lambda one: -worth(one, looked[one]))
    ranked.sort(key=lambda one: len(one.sites) if worth(one, looked[one]) >= most else len(sites) + 1)  # fewest first
    best, *others = (replace(one, donor=Renoised) for one in ranked)
    second = next((replace(one, span=one.span.down_to(0)) for one in others if one.sites != best.sites), best)
    tried, ran = list(dict.fromkeys([*when(best, looked, spans), second])), dict[int, Ran]()
    half = -(-pairs // 2)
    for numbers in (range(half), range(half, pairs)):
        if numbers.start:
            tried += where(best, looked, sites)
        new = dict.fromkeys((one for one in tried if not any(one in each.results for each in ran.values())), 0)
        groups = [list(group) for _, group in groupby(sorted(new, key=start), start)]  # which share their start
        for place, number in enumerate(numbers):
            ran[number] = run(number, sorted(groups[place % len(groups)], key=lambda one: new[one]))
            for one in ran[number].results:
                new[one] += 1
        best = winner(tried, scores([each.results for each in ran.values()]))
    return best, ran


def start(one: Combination) -> int:
    """The timestep at which its runs start."""
    return one.span.t_hi


def when(best: Combination, looked: Mapping[Combination, Score], spans: Sequence[Span]) -> list[Combination]:
    """From the least noise that may do down to none, or not so far down; then from more noise down to none.

    Spans so narrow that a run injects less than twice in them are left out.
    """
    single = {span: looked.get(replace(best, span=span)) for span in spans}
    most = max(score.total for score in single.values() if score) if any(single.values()) else 0.0
    enough = [span for span, score in single.items() if score and score.total >= HALF * most]
    place = spans.index(enough[0] if enough else best.span)
    below = [enough[0].down_to(span.t_lo) for span in spans[: place + 1]]
    tried = [*below, *(span.down_to(0) for span in spans[place + 1 :])]
    return [replace(best, span=span) for span in tried if sum(t >= span.t_lo for t in _times(span)) > 1]


def _times(span: Span) -> list[int]:
    return timesteps(min(STEPS, span.t_hi + 1), span.t_hi)


def where(
    best: Combination, looked: Mapping[Combination, Score], sites: Mapping[str, tuple[int, ...]]
) -> list[Combination]:
    """In the span that won: the other donor; h with all skips up to about as shallow a one; those of its size."""
    order = deepest_first(sites)
    shallow = max(order.index(site) for site in best.sites)
    size = sites[order[shallow]][-1]
    up_to = [order[:n] for n in (shallow, shallow + 1, shallow + 2) if n]
    its_size = tuple(site for site in order[1:] if sites[site][-1] == size)
    known = {best.sites, *up_to, its_size, (order[shallow],)}
    others = [one for one in looked if one.sites not in known]
    runner_up = max(others, key=lambda one: worth(one, looked[one]), default=best)
    tried = [*(replace(best, donor=donor) for donor in DONORS)]
    tried += [replace(best, sites=some) for some in (*up_to, its_size, (order[shallow],), runner_up.sites) if some]
    return [one for one in dict.fromkeys(tried) if one != best]


def winner(tried: Sequence[Combination], ran: Mapping[Combination, Score]) -> Combination:
    """The first that comes near the best: of equals the simplest, as they are tried in that order.

    Where some keep the style, only these count.
    """
    kept = [one for one in tried if one in ran and ran[one].kept >= KEPT]
    values = {one: worth(one, ran[one]) for one in kept or tried if one in ran}
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
