"""The command line: `minigen train | eval | sample | score | generate | translate | list`.

Thin: it parses, calls, prints.

Exit status: 0 when it worked; 2 for anything the user can put right, told in one line on stderr;
130 after Ctrl-C. Results go to stdout, everything said on the way to stderr, so that
`minigen eval RUN | jq .metrics` works. Importing this module loads argparse and the engine's core,
nothing else: a command imports what it needs when it runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from minigen.cli import evaluate, generate, listing, sample, score, train, translate
from minigen.cli.parser import Command, build_parser
from minigen.errors import UserError

__all__ = ["COMMANDS", "main"]

COMMANDS: tuple[Command, ...] = (train, evaluate, sample, score, generate, translate, listing)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with these arguments (`sys.argv[1:]` when None); returns the exit status."""
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        parser = build_parser(COMMANDS)
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return 0
        return int(arguments.run(arguments))
    except UserError as error:
        if debug:
            raise
        print(f"minigen: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if debug:
            raise
        print("minigen: interrupted; what was saved before is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `minigen list | head -1`: nobody is reading any more
        sys.stderr.close()
        return 0
