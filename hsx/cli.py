"""The command line: a thin LightningCLI over ``engine/run.py``."""

from __future__ import annotations

import difflib
import errno
import importlib
import inspect
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterable
from typing import Any, Literal

from hsx.commands import streams, watch
from hsx.errors import HsxError, expanded
from hsx.io.urls import public_url, without_secrets

USAGE = """usage: hsx predict --config configs/demo.yaml [options]

  predict    contents in the styles of others; `hsx predict --help` lists the options
  inspect    what a checkpoint is: hsx inspect SOURCE [--json]
  convert    a checkpoint as a diffusers folder: hsx convert SOURCE FOLDER
  plugins    all strategies, backbone families and metrics: hsx plugins [NAME] [--json]
  show       how a picture was made: hsx show PICTURE
  remake     the same pictures again, from their records: hsx remake PICTURE …
  store      the trajectories that are kept: hsx store ls|prune|verify FOLDER

hsx --version prints the version.  Exit codes: 0 done, 1 a plugin is broken or raised an error, a
trajectory is corrupt (hsx store verify) or a picture made again differs (hsx remake), 2 a mistake in what
was asked, or a full disk, 3 some pairs failed, 130 stopped by Ctrl-C or SIGTERM."""
COMMANDS = {  # beside predict
    "inspect": "hsx.commands.inspect",
    "convert": "hsx.commands.inspect",
    "plugins": "hsx.commands.plugins",
    "show": "hsx.commands.show",
    "remake": "hsx.commands.remake",
    "store": "hsx.commands.store",
}
LINKED = {"model.seed": "seed_everything", "model.fit": "data.fit"}  # what the model is told, and by which option
DEFAULTS = {"schedule": "Constant", "blend": "Slerp", "normalizer": "Frobenius", "calibrator": "Latent"}

NO_CLASS = r"(?:dot import path string:|Import path|Importing) '?([^\s']+)"
OWN = "a class of your own: install it as a plugin, or name its module with --trust"
SAID = [  # what jsonargparse and Lightning say of a value, and the same in this house's words
    (r"^Unexpected config:$", "config: expected a YAML file of options, got an empty one"),
    (r"^Unexpected config: (.{1,60}).*", r"config: expected a YAML file of options, got the text '\1'"),
    (r"^'utf-8' codec can't decode .*", "config: expected a YAML file of options, got no UTF-8 text"),
    (r"^(-?\d+) is not in bounds, numpy accepts (from \d+ to \d+)", r"seed_everything: expected a number \2, got \1"),
    (
        r"Unsupported interpolation type ([\w.]+).*",
        r"expected values or other options such as ${model.t_edit}, got ${\1:…}, which reads what is no config",
    ),
    (r"Importing '(\S+)' is not allowed.*", rf"expected a class that is registered, got \1; {OWN}"),
    (r"^Expected a path but .* either not accessible or invalid - ", ""),
    (
        r"Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] .*Given value: (.*)",
        r"expected \1, got \2",
    ),
    (r"Expected an? (.*?)\. Got value: (.*)", r"expected \1, got \2"),
    (r"Not of type (\w+): (.*?) does not conform to restriction (.*)", r"expected \1 (\3), got \2"),
    (r"<class '([\w.]+)'>", r"\1"),
    (r"typing\.Literal\[(.*?)\]", r"one of \1"),
    (r", NoneType", ""),
]


def main(argv: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    streams.opened()
    with watch.ended_in_time():
        code = _command(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = streams.unwritten(error) or code
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        os._exit(code)  # threads that talk to the other processes may be running when Python ends, which aborts
    return code


def _command(argv: list[str]) -> int:
    try:
        if not argv or argv[0] in ("-h", "--help"):
            print(USAGE)
            return 0 if argv else 2
        if argv[0] == "--version":
            from hsx import __version__

            print(f"hsx {__version__}")
            return 0
        try:
            os.getcwd()
        except FileNotFoundError:  # without one torch's libraries end the process in their own way
            raise HsxError("expected a current folder, found that it was taken away; cd to another") from None
        if argv[0] == "predict":
            return predict(argv[1:])
        if argv[0] in COMMANDS:
            watch.on_stop(watch.leave)
            home = importlib.import_module(COMMANDS[argv[0]])
            watch.on_stop(watch.stop)
            return int(getattr(home, argv[0])(argv[1:]))
        raise HsxError(f"expected a command (predict, {', '.join(COMMANDS)}), got '{argv[0]}'; see hsx --help")
    except HsxError as error:
        if watch.asked:
            return watch.stopped()
        return streams.refused(without_secrets(str(error)))
    except BrokenPipeError as error:
        return streams.unwritten(error)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and not watch.asked:
            return int(stop.code or 0)  # jsonargparse's way to end --help and --print_config
        return watch.stopped()
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return streams.unwritten(error)
        if watch.asked:  # what was doing broke off in its own way
            return watch.stopped()
        from hsx.plugins.registry import raised_by

        plugin = raised_by(error)
        if plugin is None:
            raise
        traceback.print_exc()
        print(
            f"hsx: error: {plugin.name} of {plugin.package} {plugin.version} raised this {type(error).__name__}; "
            "tell its author, or name another class",
            file=sys.stderr,
        )
        return 1


def predict(argv: list[str]) -> int:
    """``hsx predict``."""
    watch.on_stop(watch.leave)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # not how often a process looked for the others
    import lightning
    from jsonargparse import Namespace, set_parsing_settings
    from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

    from hsx.commands import trust
    from hsx.plugins import registry as plugins
    from hsx.runner.data import Pairs
    from hsx.runner.model import TransferModel
    from hsx.runner.run import run
    from hsx.runner.trainer import make_trainer
    from hsx.store.trajectories import Store

    class Predict(LightningCLI):
        """Options of the run itself, and the seed handed to the model."""

        def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
            parser.add_argument("--output_dir", type=str, default="outputs", help="where all results go")
            parser.add_argument("--overwrite", type=bool, default=False, help="replace results of other settings")
            parser.add_argument(
                "--store.path",
                type=str | None,
                default=None,
                help="where trajectories are kept, for other runs too; by default in output_dir",
            )
            parser.add_argument(
                "--store.dtype", type=Literal["float16", "float32"], default="float16", help="what their h is kept in"
            )
            parser.add_argument(
                "--store.max_gb",
                type=float | None,
                default=None,
                help="how many gigabytes of them may stay after the run, those used last",
            )
            parser.set_defaults({f"model.{kind}": {"class_path": name} for kind, name in DEFAULTS.items()})

        def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
            """Twice: the classes that are named become the defaults, so that no default of another is taken over."""
            known.extend({action.dest for action in parser._actions} - set(LINKED))
            if not {"-h", "--help"} & set(args):
                self.look(parser, [word for word in args if not word.startswith("--print_config")])
            for told, option in LINKED.items():
                parser.link_arguments(option, told, compute_fn=int if option == "seed_everything" else None)
            super().parse_arguments(parser, args)

        def look(self, parser: LightningArgumentParser, args: list[str]) -> None:
            """The first time, before options are linked: what a link would replace without a word is refused."""
            parser.set_defaults(dict.fromkeys(LINKED))
            first = parser.parse_args(args)
            for section in ("model", "data", "trainer", "store"):
                if not isinstance(first[section], Namespace):
                    raise HsxError(
                        f"{section}: expected a mapping of options, got {first[section]}; see hsx predict --help"
                    )
            if isinstance(first.seed_everything, bool):
                raise HsxError(
                    f"seed_everything: expected a whole number, got {first.seed_everything}; write one, so "
                    "that pictures can be made again"
                )
            for told, option in LINKED.items():
                if first[told] is not None:
                    raise HsxError(
                        f"{told}: expected none, as {option} says it for the whole run, got {first[told]}; "
                        f"write {option}: {first[told]} instead"
                    )
            parser.set_defaults({f"model.{kind}": {"class_path": first.model[kind].class_path} for kind in DEFAULTS})

    class Model(lightning.LightningModule):
        def __init__(self, backbone: str | dict[str, int | float | bool | list[float] | str | None], **options: Any):
            super().__init__()
            self.it = TransferModel(backbone, **options)

    class Data(lightning.LightningDataModule):
        def __init__(self, **options: Any):
            super().__init__()
            self.it = Pairs(**options)

    plugins.load()  # so that short names in a config are found
    _quiet()
    watch.on_stop(watch.stop)
    known: list[str] = []  # options
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    options: dict[str, Any] = {
        "parser_mode": "omegaconf+",
        "exit_on_error": False,
        "allow_abbrev": False,
        "prog": "hsx predict",
        "description": "Every content in every style, with a frozen diffusion model.  A config may name the classes "
        "that `hsx plugins` lists, and Lightning's callbacks; --trust MODULE, which is for the command "
        "line only, adds those of a module of yours.",
    }
    trusted, argv = trust.taken_out(argv)
    try:
        with trust.only_known_classes(trusted):
            cli = Predict(
                Model,
                Data,
                None,
                trainer_class=make_trainer,
                seed_everything_default=0,
                parser_kwargs=options,
                args=argv,
                run=False,
                auto_configure_optimizers=False,
            )
            config = _shown(cli)
    except HsxError:
        raise
    except Exception as error:  # whatever jsonargparse, OmegaConf or Lightning say of an option
        raise HsxError(one_line(error, known=known)) from error
    if not (cli.config.output_dir or "").strip():
        raise HsxError("output_dir: expected a folder, got an empty name; name one with --output_dir")
    folder, kept = expanded(cli.config.output_dir, "output_dir"), cli.config.store
    place = expanded(kept.path, "store.path") if kept.path else folder / "trajectories"
    store = Store(place, kept.dtype, kept.max_gb)
    with watch.waiting_told(cli.trainer.world_size, cli.trainer.global_rank):
        return run(cli.model.it, cli.datamodule.it, cli.trainer, store, folder, cli.config.overwrite, config)


def _shown(cli: Any) -> str:
    """The resolved config, to be kept beside the results; without what nobody may read."""
    config = cli.config.clone()
    backbone = config.model.backbone
    config.model.backbone = (
        public_url(backbone)
        if isinstance(backbone, str)
        else {name: public_url(value) if name == "source" else value for name, value in backbone.items()}
    )
    return str(cli.parser.dump(config, skip_none=False))


def one_line(error: Exception, program: str = "hsx predict", known: Iterable[str] = ()) -> str:
    """What a parser or Lightning says of an option, on one line, with what to do; of ``known`` options one is named."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    key = re.search(r'Parser key "([\w.]+)":? ?(?:- )?', text)
    name, rest = (f"{key[1]}: ", text[key.end() :]) if key else ("", text)
    page, kind = f"{program} --help", name[:-2].removeprefix("model.")
    if kind in DEFAULTS:
        rest, page = _of_strategy(kind, rest, page)
    elif kind == "trainer.callbacks" or " subclass of Callback " in rest:
        name, rest = "trainer.callbacks: ", _of_callback(rest)
    for pattern, told in SAID:
        rest = re.sub(pattern, told, rest)
    unknown = re.match(r"unrecognized arguments: --([\w.]+)", rest)
    if unknown and known:
        rest += f" (the nearest is --{closest(unknown[1], list(known))[0]})"
    return f"{name}{rest}; see {page}"


def _of_strategy(kind: str, text: str, page: str) -> tuple[str, str]:
    """What is said of a strategy, such as a ``schedule``, and where to look: what there is to name, or its options."""
    from hsx.plugins import registry as plugins

    classes = plugins.load().of(kind)
    wrong = re.search(NO_CLASS, text)
    if wrong:
        page = "hsx plugins" + f"; {OWN}" * ("." in wrong[1])
        return f"expected one of {', '.join(closest(wrong[1], list(classes)))}, got {wrong[1]}", page
    inside = re.match(r".*Problem with given class_path '(?:\w+\.)*(\w+)': (.*)", text)
    if not inside or inside[1] not in classes:
        return text, page
    name, text = inside.groups()
    option = re.fullmatch(r"Option '([\w.]+)' is not accepted", text)
    if option:
        there = closest(option[1], list(inspect.signature(classes[name]).parameters))
        text = f"expected an option of {name} ({', '.join(there) or 'it has none'}), got {option[1]}"
    return re.sub(r'^Parser key "(\w+)":', rf"{name}.\1:", text), f"hsx plugins {name}"


def _of_callback(text: str) -> str:
    """What is said of Lightning's callbacks: what is wrong with the option of one, or which there are."""
    given = re.search(r"Given value: (.*)", text)
    inside = re.search(
        r"Errors: - (?:Problem with given class_path '(?:\w+\.)*(\w+)': )?(.*?) - Not a valid subclass", text
    )
    if inside is None or re.search(NO_CLASS, inside[2]):
        return f"expected callbacks of Lightning, such as DeviceStatsMonitor, got {given[1] if given else text}; {OWN}"
    wrong = re.sub(r"^Option '(.*)' is not accepted", r"expected an option that it has, got \1", inside[2])
    wrong = re.sub(r'^Parser key "(\w+)":', r"\1:", wrong)
    return f"{inside[1]}: {wrong}" if inside[1] else wrong


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
