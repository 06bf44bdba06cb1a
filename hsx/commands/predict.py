"""``hsx predict``: contents in the styles of others."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, set_parsing_settings
from lightning import Trainer, seed_everything

from hsx.commands import trust, watch
from hsx.commands.messages import as_one_line
from hsx.commands.parser import Parser
from hsx.errors import HsxError, expanded
from hsx.io.urls import public_url
from hsx.method.config import TransferConfig
from hsx.plugins import registry as plugins
from hsx.runner.data import Pairs
from hsx.runner.model import TransferModel
from hsx.runner.run import run
from hsx.runner.trainer import make_trainer, quiet
from hsx.store.trajectories import Store
from hsx.strategies.base import KINDS

PROGRAM = "hsx predict"
ABOUT = "Every content in every style, with a frozen model; --trust MODULE lets configs name your classes."
# the fields that another option sets for the whole run
ELSEWHERE = {each.name: each.metadata["said_by"] for each in fields(TransferConfig) if "said_by" in each.metadata}
HOW = ("compile", "channels_last")  # options of the section trainer that are the network's
SEEDS = 2**32  # numpy's


def predict(argv: Sequence[str]) -> int:
    """Contents in the styles of others; the exit code, 3 if some pairs failed.

    Raises HsxError for a mistake in the options, and whatever else a user can cause.
    """
    plugins.load()  # so that short names in a config are found
    quiet()
    trusted, argv = trust.taken_out(argv)
    printed = [word for word in argv if word.partition("=")[0] == "--print_config"]
    with as_one_line(PROGRAM), trust.only_known_classes(trusted):
        parser, config = options([word for word in argv if word not in printed])
        if printed:
            flags = filter(None, printed[-1].partition("=")[2].split(","))
            print(parser.dump(config, **{"skip_unset": False, **dict.fromkeys(flags, True)}), end="")
            return 0
        seed_everything(config.seed_everything, workers=True, verbose=False)  # for strategies that draw by themselves
        instances = parser.instantiate(config)
        model, (pairs, trainer) = TransferModel(**settings(instances)), work(instances)
        run_as(model, instances)
        resolved = written(parser, config)
    folder, store = places(config)
    with watch.waiting_announced(trainer.world_size, trainer.global_rank):
        shown = {name: config[name] for name in ("report", "sheets")}
        return run(model, pairs, trainer, store, folder, config.overwrite, resolved, **shown)


def settings(instances: Namespace) -> dict[str, Any]:
    """What ``TransferModel`` takes of options whose classes are made."""
    return {**instances.model, **{name: instances[option] for name, option in ELSEWHERE.items()}}


def work(instances: Namespace) -> tuple[Pairs, Trainer]:
    """The pairs, and the trainer, of options whose classes are made."""
    how = {name: value for name, value in {**instances.trainer}.items() if name not in HOW}
    return Pairs(**instances.data), make_trainer(**how)


def measuring(config: Namespace) -> Trainer:
    """A trainer on the same devices that measures: in full precision, without callbacks."""
    names = ("accelerator", "devices", "num_nodes", "strategy")
    return make_trainer(**{name: config.trainer[name] for name in names})


def run_as(model: TransferModel, instances: Namespace) -> None:
    """Let a network run as the options HOW of the trainer say."""
    model.compile(instances.trainer["compile"])
    model.channels_last = instances.trainer["channels_last"]


def written(parser: Parser, config: Namespace) -> str:
    """All options, as they are kept beside the results."""
    chosen = config.model
    at, option = (chosen.backbone, "source") if isinstance(chosen.backbone, dict) else (chosen, "backbone")
    at[option] = public_url(at[option])
    return str(parser.dump(config, skip_unset=False))


def places(config: Namespace) -> tuple[Path, Store]:
    """The output folder, and the store of trajectories.  Raises HsxError for a folder without a name."""
    if not (config.output_dir or "").strip():
        raise HsxError("output_dir: expected a folder, got an empty name; name one with --output_dir")
    folder, kept = expanded(config.output_dir, "output_dir"), config.store
    place = expanded(kept.path, "store.path") if kept.path else folder / "trajectories"
    return folder, Store(place, kept.dtype, kept.max_gb)


def options(argv: Sequence[str]) -> tuple[Parser, Namespace]:
    """The parser and the options, parsed twice: the strategies named become the defaults, so that none has another's.

    Raises HsxError for whatever is wrong with them.
    """
    parser = parser_of({})
    for name in ELSEWHERE:
        parser.add_argument(f"--model.{name}", type=Any, default=None, help=SUPPRESS)
    first = parser.parse(argv)
    for section in ("model", "data", "trainer", "store"):
        if not isinstance(first[section], Namespace):
            raise HsxError(f"{section}: expected a mapping of options, got {first[section]}; see {PROGRAM} --help")
    seed = first.seed_everything
    if isinstance(seed, bool) or not 0 <= seed < SEEDS:
        expected = "whole number" if isinstance(seed, bool) else f"number from 0 to {SEEDS - 1}"
        raise HsxError(f"seed_everything: expected a {expected}, got {seed}; see {PROGRAM} --help")
    for name, option in ELSEWHERE.items():
        if (given := first.get(f"model.{name}")) is not None:
            wanted = f"expected none, as {option} says it for the whole run"
            raise HsxError(f"model.{name}: {wanted}, got {given}; write {option}: {given} instead")
    backbone = first.model.backbone
    if isinstance(backbone, dict) and "source" not in backbone:
        found = f"{', '.join(backbone)} alone, in place of any path given before"
        raise HsxError(f"model.backbone: expected a source, got {found}; add --model.backbone.source SOURCE")
    parser = parser_of({kind: first.model[kind].class_path for kind in KINDS if first.model[kind]})
    return parser, parser.parse(argv)


def parser_of(classes: dict[str, str]) -> Parser:
    """The parser of all options; ``classes`` are the strategies by default, in place of TransferConfig's."""
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True, docstring_parse_attribute_docstrings=True)
    parser = Parser(prog=PROGRAM, description=ABOUT, exit_on_error=False, allow_abbrev=False, parser_mode=trust.MODE)
    add = parser.add_argument
    add("-c", "--config", action="config", help="a YAML file of options; of several the later count")
    add("--output_dir", type=str, default="outputs", help="where all results go")
    add("--overwrite", type=bool, default=False, help="replace results of other settings")
    add("--report", type=bool, default=True, help="write report.html, a page with all results")
    add("--sheets", type=bool, default=True, help="write grid.png, sheets with all results")
    add("--seed_everything", type=int | bool, default=0, help="the seed of the noise")
    about = "the checkpoint, or a mapping of source and what the file cannot tell, such as image_size"
    add("--model.backbone", type=str | dict[str, Any], required=True, help=about)
    parser.add_class_arguments(TransferConfig, "model", skip={*ELSEWHERE}, instantiate=False, sub_configs=True)
    vars(parser._option_string_actions["--model"])["basetype"] = None  # it names a file, and never a class
    parser.add_class_arguments(Pairs, "data", instantiate=False, sub_configs=True)
    add("--store.path", type=str | None, default=None, help="where trajectories are kept, for other runs too")
    parser.add_class_arguments(Store, "store", skip={"path"}, instantiate=False, sub_configs=True)
    about = "compile E and D (torch.compile); what cannot be compiled runs as it is, with a line that says so"
    add("--trainer.compile", type=bool, default=False, help=about)
    about = "keep the channels last in memory, which is faster by a tenth on a CPU; the last bits of a picture change"
    add("--trainer.channels_last", type=bool, default=False, help=about)
    parser.add_function_arguments(make_trainer, "trainer", sub_configs=True)
    usual = {kind: type(strategy).__name__ for kind, strategy in TransferConfig().strategies.items()}
    parser.set_defaults({f"model.{kind}": {"class_path": name} for kind, name in {**usual, **classes}.items()})
    return parser
