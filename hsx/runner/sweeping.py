"""The runs of a sweep: one network and one store, each setting an ordinary run in a folder of its own."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lightning

from hsx.errors import HsxError
from hsx.report.results import Counts
from hsx.runner.data import Pairs
from hsx.runner.model import TransferModel
from hsx.runner.run import run
from hsx.store.trajectories import Store
from hsx.sweeping.over import Setting


@dataclass(frozen=True)
class Planned:
    """A setting that is to be run.

    Attributes:
        setting: its name and its values of the swept options.
        model: the network, which all share, with its settings.
        folder: where its results go.
        config: its resolved config.
    """

    setting: Setting
    model: TransferModel
    folder: Path
    config: str


@dataclass
class Course:
    """What came of the runs.

    Attributes:
        inverted, evaluations: over all of them.
        wrong: by setting, why it failed or what failed in it.
        ended: the settings whose folders now hold results of these settings.
    """

    inverted: int = 0
    evaluations: float = 0.0
    wrong: dict[str, str] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


def run_all(
    planned: Sequence[Planned],
    pairs: Pairs,
    trainer: lightning.Trainer,
    store: Store,
    overwrite: bool,
    sheets: bool = True,
) -> Course:
    """Run one setting after the other, with a line for each; one that fails does not stop the others.

    Every picture is inverted once for each way of inverting, with the features that any setting needs.  All processes
    go through the same settings; where there are several, an error ends all of them, since they wait for each other.

    Their pages are left to when they have been measured.

    Raises:
        HsxError: with several processes, whatever a run raises.
    """
    course, first = Course(), trainer.is_global_zero
    _record_for_all(planned)
    if first and (ways := said_ways(planned)):
        print(ways, file=sys.stderr)
    for number, one in enumerate(planned, 1):
        name = one.setting.name

        def tell(counts: Counts, failed: Counter[str], name: str = name, number: int = number) -> None:
            course.inverted += counts.inverted
            course.evaluations += counts.evaluations
            if failed:
                course.wrong[name] = f"{failed.total()} of the pairs failed, such as: {next(iter(failed))}"
            there = f", {counts.existing} were there" if counts.existing else ""
            bad = f", {failed.total()} failed" if failed else ""
            made = f"{counts.created} made in {counts.seconds:.0f} s{there}{bad}"
            spent = f"{counts.inverted} inverted, {counts.evaluations:.0f} evaluations"
            print(f"{number} of {len(planned)}  {name}: {made}; {spent}", flush=True)

        try:
            run(one.model, pairs, trainer, store, one.folder, overwrite, one.config, tell, False, sheets)
            course.ended.add(name)
        except HsxError as error:
            if trainer.world_size > 1:
                raise HsxError(f"setting {name}: {error}") from None
            course.wrong[name] = str(error)
            print(f"{number} of {len(planned)}  {name}: failed: {error}", file=sys.stderr)
    return course


def ways(planned: Sequence[Planned]) -> tuple[int, int]:
    """In how many ways the settings invert contents, and styles."""
    configs = [one.model.transfer.config for one in planned]
    contents = {_key(config.content_inversion) for config in configs if config.donor.inverts}
    return len(contents), len({_key(config.inversion) for config in configs})


def said_ways(planned: Sequence[Planned]) -> str:
    """A line where pictures are inverted in more than one way; empty where one will do."""
    contents, styles = ways(planned)
    if max(contents, styles) <= 1:
        return ""
    starts = sorted({one.model.transfer.t_start for one in planned})
    said = f"the settings invert contents in {contents} ways and styles in {styles}: so often each picture is inverted"
    if len(starts) == 1:
        return said
    shown = ", ".join(map(str, starts[:6])) + ", …" * (len(starts) > 6)
    return f"{said}; they start at timesteps {shown}, one --model.t_start for all saves that"


def said(course: Course, planned: Sequence[Planned], pairs: Pairs) -> str:
    """A line on what all runs took."""
    contents, styles = ways(planned)
    once = "once" if (contents or 1) == styles == 1 else f"contents in {contents} ways, styles in {styles}"
    n, m = len(pairs.pairs.contents), len(pairs.pairs.styles)
    return (
        f"{course.inverted} pictures inverted of {n} contents and {m} styles ({once}), "
        f"{course.evaluations:.0f} evaluations of the network over {len(planned)} settings"
    )


def _record_for_all(planned: Sequence[Planned]) -> None:
    """Let the first run that inverts a content record the features that any other setting needs of it."""
    sites: dict[str, dict[str, None]] = defaultdict(dict)
    for one in planned:
        if one.model.transfer.donor.inverts:
            sites[_key(one.model.transfer.config.content_inversion)].update(dict.fromkeys(one.model.transfer.sites))
    for one in planned:
        if one.model.transfer.donor.inverts:
            one.model.also = tuple(sites[_key(one.model.transfer.config.content_inversion)])


def _key(inversion: dict[str, object]) -> str:
    return json.dumps(inversion, sort_keys=True)
