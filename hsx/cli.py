"""The command line: which command, how it ends, and its errors as one line."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback

import hsx
from hsx.commands import streams, watch
from hsx.errors import HsxError
from hsx.io.urls import without_secrets

COMMANDS = {  # modules of hsx.commands, each with a function of its name
    "predict": "contents in the styles of others; `hsx predict --help` lists the options",
    "sweep": "the same at many settings, measured, and one recommended: hsx sweep --config C --over OPTION=VALUES",
    "evaluate": "how good results are, in numbers: hsx evaluate FOLDER [--truth FOLDER] [--metrics NAMES]",
    "report": "a page with the results of a run, a sweep or two runs: hsx report FOLDER [OTHER]",
    "show": "how a picture was made: hsx show PICTURE",
    "remake": "the same pictures again, from their records: hsx remake PICTURE …",
    "inspect": "what a checkpoint is: hsx inspect SOURCE [--json]",
    "probe": "which sites of a network carry content: hsx probe SOURCE --contents FOLDER --styles FOLDER",
    "convert": "a checkpoint as a diffusers folder: hsx convert SOURCE FOLDER",
    "plugins": "all strategies, backbone families and metrics: hsx plugins [NAME] [--json]",
    "store": "the trajectories that are kept: hsx store ls|prune|verify FOLDER",
}
USAGE = f"""usage: hsx predict --config configs/demo.yaml [options]

{chr(10).join(f"  {name:9}  {about}" for name, about in COMMANDS.items())}

hsx --version prints the version.  Exit codes: 0 done, 1 a plugin is broken or raised an error, a
trajectory is corrupt (hsx store verify) or a picture made again differs (hsx remake), 2 a mistake in what
was asked, or a full disk, 3 some pairs failed, 130 stopped by Ctrl-C or SIGTERM."""


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
        return _run(argv)
    except BaseException as error:
        if isinstance(error, BrokenPipeError) or isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return streams.unwritten(error)
        if watch.asked or isinstance(error, KeyboardInterrupt):  # what was going on may have failed on the way out
            return watch.stopped()
        if isinstance(error, SystemExit):
            return int(error.code or 0)  # jsonargparse's way to end --help and --print_config
        if isinstance(error, HsxError):
            return streams.refused(without_secrets(str(error)))
        from hsx.plugins.registry import raised_by

        if (plugin := raised_by(error)) is None:
            raise
        traceback.print_exc()
        raised = f"{plugin.name} of {plugin.package} {plugin.version} raised this {type(error).__name__}"
        print(f"hsx: error: {raised}; tell its author, or name another class", file=sys.stderr)
        return 1


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"hsx {hsx.__version__}")
        return 0
    try:
        os.getcwd()
    except FileNotFoundError:  # without one torch's libraries end the process in their own way
        raise HsxError("expected a current folder, found that it was taken away; cd to another") from None
    if argv[0] not in COMMANDS:
        raise HsxError(f"expected a command ({', '.join(COMMANDS)}), got '{argv[0]}'; see hsx --help")
    watch.on_stop(at_once=True)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # not how often a process looked for the others
    command = getattr(importlib.import_module(f"hsx.commands.{argv[0]}"), argv[0])
    from hsx.commands.parser import run

    watch.on_stop(at_once=False)
    return command(argv[1:]) if argv[0] in ("predict", "sweep") else run(f"hsx {argv[0]}", command, argv[1:])
