"""The parser: argparse, taught to answer in one line and to guess what was meant.

A command is one file of this folder with four names:

    NAME, SUMMARY, EXAMPLES            text
    add_arguments(parser)              its options; argparse only, so that `--help` is instant
    run(arguments) -> int              what it does; heavy imports inside; returns the exit status

and, if it likes, `more_help(arguments) -> str`, which `--help` shows last.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from minigen.errors import UserError, unknown_name

__all__ = ["Command", "Parser", "add_common", "build_parser", "whole_number"]

BACKENDS = ("numpy", "cupy", "strict")


class Command(Protocol):
    """The shape of a command's module."""

    NAME: str
    SUMMARY: str
    EXAMPLES: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it; returns the exit status."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are `UserError`s: one line, no usage text, no `sys.exit`."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage and exiting."""
        unknown = "unrecognized arguments: "
        if message.startswith(unknown):
            word = message.removeprefix(unknown).split()[0].partition("=")[0]
            near = difflib.get_close_matches(word, self._option_string_actions, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            message = f"no such option: {word}{hint}"
        raise UserError(f"{message}; see '{self.prog} --help'")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's, but unknown options are told by the subcommand, which knows its own."""
        arguments, rest = self.parse_known_args(args, namespace)
        if rest:
            getattr(arguments, "parser", self).error(f"unrecognized arguments: {' '.join(rest)}")
        return arguments

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Choices with a hint for the near miss, in the house's wording."""
        if action.choices is not None and value not in action.choices:
            name = action.option_strings[0] if action.option_strings else action.metavar
            known = [str(choice) for choice in action.choices]
            raise unknown_name(str(name or action.dest), value, known)


class _Help(argparse.Action):
    """`--help`, followed by what the command's `more_help(arguments)` adds, if it has one."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        more: Callable[[argparse.Namespace], str] | None,
    ) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show this text")
        self.more = more

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, *unused: Any
    ) -> NoReturn:
        parser.print_help()
        if self.more is not None:
            print(self.more(namespace), end="")
        parser.exit()


class _Version(argparse.Action):
    """`--version`, which looks the number up only when asked."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *unused: Any) -> NoReturn:
        from minigen import __version__

        print(f"minigen {__version__}")
        parser.exit()


def build_parser(commands: Sequence[Command]) -> Parser:
    """The whole program's parser; every command's module adds its own part."""
    parser = Parser(
        prog="minigen",
        description="Generative models from scratch on NumPy and CuPy: train, measure, draw.",
        epilog="start with:\n  minigen train vae\n\nhelp on a command:\n  minigen train --help",
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    choices = parser.add_subparsers(metavar="command", dest="command", parser_class=Parser)
    for command in commands:
        sub = choices.add_parser(
            command.NAME,
            add_help=False,
            help=command.SUMMARY,
            description=command.SUMMARY[0].upper() + command.SUMMARY[1:] + ".",
            epilog=f"examples:\n{command.EXAMPLES}",
        )
        command.add_arguments(sub)
        sub.add_argument("-h", "--help", action=_Help, more=getattr(command, "more_help", None))
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options of every command that touches data or a device."""
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where data files are (default: $MINIGEN_DATA)"
    )
    parser.add_argument(
        "--backend", choices=BACKENDS, help="array library (default: $MINIGEN_BACKEND or numpy)"
    )


def whole_number(minimum: int) -> Any:
    """An argparse type: a whole number of at least `minimum`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < minimum:
            raise argparse.ArgumentTypeError(f"must be a whole number >= {minimum}, got {text!r}")
        return value

    return parse
