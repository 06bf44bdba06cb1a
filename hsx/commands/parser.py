"""Every command is a function: jsonargparse makes its parser of the signature and the docstring.

Parameters before the ``*`` are words (``hsx show PICTURE``), those behind it options (``--json``).
"""

from __future__ import annotations

import inspect
import re
import shutil
import sys
import textwrap
import types
from argparse import SUPPRESS, Action
from collections.abc import Callable, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import docstring_parser
from jsonargparse import ArgumentParser, Namespace

from hsx.commands.messages import LACKING, as_one_line
from hsx.errors import HsxError

Command = Callable[..., int]
RENAMED = {"--hsx-only": "--hsx_only"}  # the old names of options, for one release
ALONE = ("-h", "--help", "--print_config")  # options without a value
WIDTH = 100  # of a page of help at least, in characters


class Parser(ArgumentParser):
    """A parser whose help has a line for each option, and whose complaints are HsxErrors."""

    needed: frozenset[str] = frozenset()

    def parse(self, argv: Sequence[str]) -> Namespace:
        """The options that ``argv`` gives.  Raises HsxError for whatever is wrong with them."""
        self.needed = frozenset(action.dest for action in self._actions if action.required)
        words = self._words(argv)
        with as_one_line(self.prog, self.known):
            options: Namespace = self.parse_args(words)
        return options

    def parse_path(self, cfg_path: Any, **options: Any) -> Any:
        """A config, as ``ArgumentParser`` reads it; what is wrong in it names the file."""
        with as_one_line(self.prog, self.known, cfg_path):
            return super().parse_path(cfg_path, **options)

    @property
    def known(self) -> list[str]:
        """The names of all options."""
        return [action.dest for action in self._actions if action.option_strings and action.help != SUPPRESS]

    def _words(self, argv: Sequence[str]) -> list[str]:
        """``argv`` as jsonargparse takes it: a switch alone means true.  Raises HsxError for a word too many."""
        switches = {name for action in self._actions if _types(action)[:1] == (bool,) for name in action.option_strings}
        words, plain, is_value = [], [], False
        for word, following in zip(argv, [*argv[1:], "--"], strict=False):
            if is_value or not word.startswith("-"):
                plain += [] if is_value else [word]
                is_value = False
            else:
                if word in RENAMED:
                    print(f"hsx: warning: {word} is {RENAMED[word]} now, use that", file=sys.stderr)
                    word = RENAMED[word]
                if word in switches and following.lower() not in ("true", "false"):
                    word += "=true"
                is_value = "=" not in word and word not in ALONE and not following.startswith("--")
            words.append(word)
        places = [action.dest for action in self._actions if not action.option_strings]
        if len(plain) > len(places) and not any(action.nargs == "+" for action in self._actions):
            config = next((word for word in plain if word.endswith((".yaml", ".yml", ".json"))), None)
            remedy = "quote a pattern, so that the shell leaves it as it is"
            if config and not places:
                remedy = f"name a config with --config {config}"
            expected = " and ".join(f"one {name}" for name in places) or "options alone"
            found = " ".join(plain[:3]) + " …" * (len(plain) > 3)
            raise HsxError(f"expected {expected}, got {found}; {remedy}; see {self.prog} --help")
        return words

    def format_help(self, formatter: Any = None) -> str:
        """A line for each option: its name, its default, and the first sentence of what is said of it."""
        groups, sections = self.groups or {}, dict[str, list[tuple[str, str, str]]]()
        for action in sorted(self._actions, key=lambda action: bool(action.option_strings)):  # words first
            helps = action.dest.rpartition(".")[2] == "help"  # which who reads this knows
            if action.help != SUPPRESS and not helps and action.dest not in groups:
                section = action.dest.rpartition(".")[0] if action.option_strings else "words"
                sections.setdefault(section, []).append(self._row(action))
        names, defaults = (max(len(row[i]) for rows in sections.values() for row in rows) for i in (0, 1))
        width = max(WIDTH, shutil.get_terminal_size((120, 40)).columns)
        lines = ["usage: " + " ".join([self.prog, *(row[0] for row in sections.get("words", ())), "[options]"]), ""]
        lines += textwrap.wrap(self.description or "", width)
        for section, rows in sections.items():
            title = re.split("[;:,]", groups[section].title or "")[0] if section in groups else "options"
            lines += [""] if section == "words" else ["", f"{title}:"]
            for name, default, about in rows:
                line = f"  {name:{names}}  {default:{defaults}}  {about}"
                lines.append(line if len(line) <= width else line[: width - 1].rpartition(" ")[0] + " …")
        return "\n".join(lines) + "\n"

    def _row(self, action: Action) -> tuple[str, str, str]:
        """The name of an option, its default as a config would say it, and what is said of it."""
        text = " ".join((action.help or "").partition("\n\n")[0].split())
        about = re.split(r"\.(?= |$)", text[:1].upper() + text[1:])[0]
        choices = [str(one) for kind in _types(action) if get_origin(kind) is Literal for one in get_args(kind)]
        if not all(choice in text for choice in choices):
            about += f" ({', '.join(choices)})"
        if not action.option_strings:
            return {"?": "[{}]", "+": "{} …"}.get(str(action.nargs), "{}").format(action.dest.upper()), "", about
        default = "" if action.default in (None, SUPPRESS) else str(action.default)
        if action.dest in self.needed:
            default = "required"
        elif isinstance(action.default, Namespace):  # a class
            default = str(action.default.class_path).rpartition(".")[2]
        elif isinstance(action.default, bool):
            default = default.lower()
        return ", ".join(name for name in action.option_strings if not name.endswith("+")), default, about


def run(prog: str, command: Command | dict[str, Command], argv: Sequence[str]) -> int:
    """Run a command, or the one of several that the first word names, with the options of ``argv``; the exit code.

    Raises:
        HsxError: for a mistake in ``argv``, and what the command raises.
    """
    if isinstance(command, dict):
        if argv and argv[0] in command:
            return run(f"{prog} {argv[0]}", command[argv[0]], argv[1:])
        choices = "|".join(command)
        if not {*argv} & {"-h", "--help"}:
            wrong = f"expected one of {choices}, got '{argv[0]}'" if argv else LACKING + choices
            raise HsxError(f"{wrong}; see {prog} --help")
        lines = [f"  {name:8}{_summary(one)} (see {prog} {name} --help)" for name, one in command.items()]
        print(f"usage: {prog} {choices} …", "", *lines, sep="\n")
        return 0
    about = {each.arg_name: each.description for each in docstring_parser.parse(inspect.getdoc(command) or "").params}
    parser = Parser(prog=prog, description=f"{_summary(command)}.", exit_on_error=False, allow_abbrev=False)
    hints, names = get_type_hints(command), []
    for each in inspect.signature(command).parameters.values():
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.VAR_POSITIONAL):
            nargs = "+" if each.kind is each.VAR_POSITIONAL else None if each.default is each.empty else "?"
            parser.add_argument(each.name, type=hints[each.name], help=about[each.name], nargs=nargs)
            names.append(each.name)
    parser.add_function_arguments(command, as_group=False, skip={*names})
    given = parser.parse(argv)
    words = [given.pop(name) for name in names]
    if words and isinstance(words[-1], list):
        words += words.pop()
    return command(*words, **given.as_dict())


def _summary(command: Command) -> str:
    return (inspect.getdoc(command) or "").partition("\n")[0].rstrip(".")


def _types(action: Action) -> tuple[Any, ...]:
    """The types that an option may have, as they stand."""
    kind = getattr(action, "_typehint", None)
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
