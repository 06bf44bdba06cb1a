"""``hsx sweep``: the same pictures at many settings, measured, and the settings that are recommended."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning import Trainer, seed_everything
from rich.console import Console

from hsx.commands import predict as predicting
from hsx.commands import trust, watch
from hsx.commands.messages import as_one_line
from hsx.commands.parser import Parser
from hsx.commands.quick import quick
from hsx.errors import BackboneError, HsxError
from hsx.plugins import registry as plugins
from hsx.report.page import write_page
from hsx.report.rendering import check_page
from hsx.runner.data import Pairs
from hsx.runner.evaluation import choice
from hsx.runner.judging import chosen, judge, rows_of
from hsx.runner.lock import held
from hsx.runner.model import TransferModel
from hsx.runner.output import check_writable
from hsx.runner.sweeping import Course, Planned, run_all, said
from hsx.runner.trainer import quiet
from hsx.store.trajectories import Store
from hsx.sweeping import over
from hsx.sweeping.front import weight
from hsx.sweeping.outcome import Outcome
from hsx.sweeping.over import Setting
from hsx.sweeping.written import check_ours, write

PROGRAM = "hsx sweep"
ABOUT = """Transfer the same pictures at many settings, measure them, and recommend one setting as a config.
Takes all options of hsx predict, which hold for all settings, and these:"""
SETTINGS = "settings"  # the folder of all settings, in that of the sweep


def sweep(argv: Sequence[str]) -> int:
    """The same pictures at many settings; the exit code, 3 if a setting or some of its pairs failed.

    Raises HsxError for a mistake in the options of any setting, before anything is run.
    """
    plugins.load()
    quiet()
    trusted, argv = trust.taken_out(argv)
    parser = own_parser()
    own_words, words = taken_out(argv, parser)
    with as_one_line(PROGRAM), trust.only_known_classes(trusted):
        own = parser.parse(own_words)
        preferred = weight(own.prefer)
        settings = _settings(own)
        measures, left_out = chosen(own.metrics, own.networks)
        base, config = predicting.options(words)
        seed_everything(config.seed_everything, workers=True, verbose=False)
        folder, store = predicting.places(config)
        instances = base.instantiate(config)
        data = yaml.safe_load(predicting.written(base, config))["data"]
        (pairs, trainer), network = predicting.work(instances), None
        if own.quick:
            network = TransferModel(instances.model.backbone, inversion_steps=2, generation_steps=2, t_edit=0)
            with _alone(folder, trainer):
                found = quick(network, pairs, config.seed_everything, folder, trainer.is_global_zero)
            words, settings = [*words, *found.all_words], found.settings
            pairs = Pairs(**{**instances.data, **found.data})
            if trainer.is_global_zero:
                print(found.said, flush=True)
        planned = plan(words, settings, folder, store, network)
        for place in (folder, *(one.folder for one in planned)) if config.report else ():
            check_page(place, remedy="move it away, or leave the page out with --report false")
    for one in planned:
        predicting.run_as(one.model, instances)
    with watch.waiting_announced(trainer.world_size, trainer.global_rank), _alone(folder, trainer):
        course = run_all(planned, pairs, trainer, store, config.overwrite, config.sheets)
        done = [one for one in planned if one.setting.name in course.ended]
        first = done[0] if done else planned[0]
        look, rows = (first.model.backbone.sample_size, pairs.fit), [*rows_of(pairs.pairs)]
        places = {one.setting.name: one.folder for one in done}
        judged = judge(rows, places, measures, predicting.measuring(config), folder, *look)
        if trainer.is_global_zero:
            print(said(course, planned, pairs), flush=True)
            outcome = Outcome.of(judged.settings, judged.contents, judged.styles, preferred)
            best = next(one for one in planned if one.setting.name == outcome.recommended)
            written = write(outcome, settings, folder, SETTINGS, rows, look, best.config, data)
            if config.report:
                pages = [write_page(place) for place in (*places.values(), folder)]
                written.append(pages[-1])
            _say(outcome, written, course, {**(left_out if own.metrics else {}), **judged.skipped})
    return 3 if course.wrong else 0


def _say(outcome: Outcome, written: Sequence[Path], course: Course, skipped: Mapping[str, str]) -> None:
    """The table and the choice; on stderr what is left out, and what failed."""
    out = Console(markup=False, emoji=False, highlight=False, width=shutil.get_terminal_size((120, 40)).columns)
    out.print(outcome.table())
    print(f"recommended: {outcome.recommended}, {outcome.why}\nwritten: {', '.join(map(str, written))}")
    for line in choice.said(skipped):
        print(line, file=sys.stderr)
    for name, reason in course.wrong.items():
        print(f"{name}: {reason}", file=sys.stderr)


@contextmanager
def _alone(folder: Path, trainer: Trainer) -> Iterator[None]:
    """Within it no other sweep begins in the folder, whose files are this sweep's."""
    check_writable(folder, "output_dir")
    check_ours(folder)
    with held(folder) if trainer.is_global_zero else nullcontext():
        yield


def _settings(own: Namespace) -> list[Setting]:
    """Those that ``--over`` says; none with ``--quick``.  Raises HsxError where both are given, or neither is."""
    if own.quick and (own.over or own.random):
        raise HsxError("--quick: expected no --over and no --random with it, which it chooses; drop one or the other")
    return [] if own.quick else over.settings(over.axes(own.over or []), own.random, own.random_seed)


def own_parser() -> Parser:
    """The parser of what hsx predict has no option for."""
    parser = Parser(prog=PROGRAM, description=ABOUT, exit_on_error=False, allow_abbrev=False)
    add = parser.add_argument
    add("--over", action="append", type=str, help="an option and its values, as model.t_edit=200,400 or 0:1:6 for six")
    add("--random", type=PositiveInt | None, default=None, help="draw this many of all combinations, not all of them")
    add("--random_seed", type=NonNegativeInt, default=0, help="the seed of that draw")
    add("--prefer", type=str | float, default="knee", help="content, style, or the content's weight, 0 to 1; knee: 0.5")
    add("--quick", type=bool, default=False, help="probe a model that is not known, and choose what to try")
    add("--metrics", type=str, default="", help="measures, as of hsx evaluate; by default those without weights")
    add("--networks", type=str, default="", help="what measures look through, as of hsx evaluate")
    return parser


def taken_out(argv: Sequence[str], parser: Parser) -> tuple[list[str], list[str]]:
    """The words of a command line that are for ``parser``, and all others."""
    own, others, is_value = list[str](), list[str](), False
    for word in argv:
        if is_value and not word.startswith("--"):
            own.append(word)
            is_value = False
        else:
            into = own if word.partition("=")[0] in parser._option_string_actions else others
            into.append(word)
            is_value = into is own and "=" not in word
    return own, others


def plan(
    words: Sequence[str], settings: Sequence[Setting], folder: Path, store: Store, network: TransferModel | None
) -> list[Planned]:
    """Each setting with its model, all of one network, which is loaded unless it is given.

    Raises HsxError, which names the setting, for whatever is wrong with one.
    """
    places = [folder / SETTINGS / one.name for one in settings]
    found = [asked(words, one, place, store) for one, place in zip(settings, places, strict=True)]
    planned, model = [], network
    for one, place, (config, instances) in zip(settings, places, found, strict=True):
        options = predicting.settings(instances)
        with named(one):
            model = TransferModel(**options) if model is None else model.with_settings(**_without_network(options))
        planned.append(Planned(one, model, place, config))
    return planned


def _without_network(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "backbone"}


def asked(words: Sequence[str], setting: Setting, folder: Path, store: Store) -> tuple[str, Namespace]:
    """The resolved config of a setting, and its options with their classes made.

    Raises HsxError, which names the setting, for whatever is wrong with them.
    """
    with named(setting):
        parser, config = predicting.options([*words, *setting.words])
        instances = parser.instantiate(config)
        config.output_dir, config.store.path = str(folder), str(store.path)
        return predicting.written(parser, config), instances


@contextmanager
def named(setting: Setting) -> Iterator[None]:
    """Within it an error names the setting, unless it is the network's."""
    try:
        with as_one_line(PROGRAM):
            yield
    except BackboneError:
        raise
    except HsxError as error:
        raise HsxError(f"setting {setting.name}: {error}") from None
