"""The command line: a thin LightningCLI over ``engine/run.py``."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import re
import signal
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

from hsx.errors import HsxError

USAGE = """usage: hsx predict --config configs/demo.yaml [options]

  predict    contents in the styles of others; `hsx predict --help` lists the options
  inspect    what a checkpoint is: hsx inspect SOURCE [--json]
  convert    a checkpoint as a diffusers folder: hsx convert SOURCE FOLDER
  plugins    all strategies, backbone families and metrics: hsx plugins [NAME] [--json]
  show       how a picture was made: hsx show PICTURE
  store      the trajectories that are kept: hsx store ls|prune|verify FOLDER

hsx --version prints the version.  Exit codes: 0 done, 1 a plugin is broken (hsx plugins)
or a trajectory corrupt (hsx store verify), 2 a mistake in what was asked, 3 some pairs failed."""
COMMANDS = {"inspect": "hsx.commands", "convert": "hsx.commands", "plugins": "hsx.catalogue",
            "show": "hsx.show_command", "store": "hsx.store_command"}  # beside predict, and where each is
_asked_to_stop: list[int] = []  # by which signals
DEFAULTS = {"schedule": "Constant", "blend": "Slerp", "normalizer": "Frobenius", "calibrator": "Latent"}

SAID = [  # what jsonargparse says of a value, and the same in this house's words
    (r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] .*Given value: (.*)",
     r"expected \1, got \2"),
    (r"Expected an? (.*?)\. Got value: (.*)", r"expected \1, got \2"),
    (r"Not of type (\w+): (.*?) does not conform to restriction (.*)", r"expected \1 (\3), got \2"),
    (r"<class '([\w.]+)'>", r"\1"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r", NoneType", ""),
]


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(USAGE)
            return 0 if argv else 2
        if argv[0] == "--version":
            from hsx import __version__

            print(f"hsx {__version__}")
            return 0
        if argv[0] == "predict":
            return predict(argv[1:])
        if argv[0] in COMMANDS:
            home = importlib.import_module(COMMANDS[argv[0]])
            return int(getattr(home, argv[0])(argv[1:]))
        raise HsxError(f"expected a command (predict, {', '.join(COMMANDS)}), got '{argv[0]}'; see hsx --help")
    except HsxError as error:
        print(f"hsx: error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not _asked_to_stop:
            return int(stop.code or 0)  # jsonargparse's way to end --help and --print_config
        print("hsx: stopped; what is finished is kept, start again to go on", file=sys.stderr)
        return 130


def _stop(number: int, frame: Any) -> None:
    """Ctrl-C and SIGTERM end a run alike; Lightning makes another exception of it."""
    _asked_to_stop.append(number)
    raise KeyboardInterrupt


def predict(argv: list[str]) -> int:
    """``hsx predict``."""
    from jsonargparse import set_parsing_settings
    from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

    from hsx import plugins
    from hsx.engine.datamodule import Pairs
    from hsx.engine.modules import TransferModule
    from hsx.engine.run import run
    from hsx.engine.trainer import make_trainer
    from hsx.engine.trajectories import Store

    class Predict(LightningCLI):
        """Options of the run itself, and the seed handed to the model."""

        def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
            parser.add_argument("--output_dir", type=str, default="outputs", help="where all results go")
            parser.add_argument("--overwrite", type=bool, default=False, help="replace results of other settings")
            parser.add_argument("--store.path", type=str | None, default=None,
                                help="where trajectories are kept, for other runs too; by default in output_dir")
            parser.add_argument("--store.dtype", type=Literal["float16", "float32"], default="float16",
                                help="what their h is kept in")
            parser.add_argument("--store.max_gb", type=float | None, default=None,
                                help="how many gigabytes of them may stay after the run, those used last")
            parser.link_arguments("seed_everything", "model.seed", compute_fn=int)
            parser.set_defaults({f"model.{kind}": {"class_path": name} for kind, name in DEFAULTS.items()})

        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            """Twice: the classes that are named become the defaults, so that no default of another is taken over."""
            first = parser.parse_args([word for word in args if not word.startswith("--print_config")]).model
            parser.set_defaults({f"model.{kind}": {"class_path": first[kind].class_path} for kind in DEFAULTS})
            super().parse_arguments(parser, args)

    plugins.load()  # so that short names in a config are found
    _quiet()
    _asked_to_stop.clear()
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, _stop)
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    options: dict[str, Any] = {
        "parser_mode": "omegaconf+", "exit_on_error": False, "prog": "hsx predict",
        "description": "Every content in every style, with a frozen diffusion model.",
    }
    try:
        cli = Predict(
            TransferModule, Pairs, None, trainer_class=make_trainer, seed_everything_default=0, parser_kwargs=options,
            args=argv, run=False, auto_configure_optimizers=False)
    except HsxError:
        raise
    except Exception as error:  # whatever jsonargparse, OmegaConf or Lightning say of an option
        raise HsxError(one_line(error)) from error
    if not cli.config.output_dir.strip():
        raise HsxError("output_dir: expected a folder, got an empty name; name one with --output_dir")
    config = cli.parser.dump(cli.config, skip_none=False)
    folder, kept = Path(cli.config.output_dir).expanduser(), cli.config.store
    store = Store(kept.path or folder / "trajectories", kept.dtype, kept.max_gb)
    return run(cli.model, cli.datamodule, cli.trainer, store, folder, cli.config.overwrite, config)


def one_line(error: Exception, program: str = "hsx predict") -> str:
    """What a parser or Lightning says of an option, on one line, with what to do."""
    text = " ".join(str(error).split()) or type(error).__name__
    key = re.search(r'Parser key "([\w.]+)":? ?', text)
    if not key:
        return f"{text.rstrip('.')}; see {program} --help"
    kind, rest = key[1].removeprefix("model."), text[key.end() :].removeprefix("- ").rstrip(".")
    wrong = re.search(r"dot import path string: (\S+)", rest)
    if kind in DEFAULTS and wrong:
        known = closest(wrong[1], known_strategies(kind))
        return f"{key[1]}: expected one of {', '.join(known)}, got {wrong[1]}; see hsx plugins"
    for pattern, told in SAID:
        rest = re.sub(pattern, told, rest)
    return f"{key[1]}: {rest}; see {program} --help"


def known_strategies(kind: str) -> list[str]:
    """The short names of all strategies of a kind, such as ``schedule``."""
    from hsx import plugins

    return list(plugins.load().of(kind))


def closest(name: str, known: list[str]) -> list[str]:
    """The names that exist, those most like ``name`` first."""
    return sorted(known, key=lambda other: -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio())


def _quiet() -> None:
    """Only what the user should read: not Lightning's tips, nor its warnings about loader workers."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(lightning|torch|jsonargparse)\.")
    warnings.filterwarnings("ignore", message=r".*(num_workers|LeafSpec|args parameter).*")


if __name__ == "__main__":
    sys.exit(main())
