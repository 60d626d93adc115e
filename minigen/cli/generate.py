"""`minigen generate`: what follows a prompt, on stdout."""

from __future__ import annotations

import argparse
from typing import Any

from minigen.cli.parser import add_common, whole_number
from minigen.cli.support import choose_backend

NAME = "generate"
SUMMARY = "continue a text with a trained language model; prints what follows the prompt"
EXAMPLES = """\
  minigen generate runs/gpt --prompt "ROMEO:" --max-tokens 300
  minigen generate runs/gpt --prompt "To be" --stop "." --temperature 0
  minigen generate runs/gpt --prompt "KING" --n 3 --top-k 10 --seed 1"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--prompt", default="", metavar="TEXT", help="what comes before (default: a line break)"
    )
    parser.add_argument(
        "--max-tokens", type=whole_number(1), default=50, metavar="N", help="default: 50"
    )
    parser.add_argument(
        "--n", type=whole_number(1), default=1, metavar="N", help="how many (default: 1)"
    )
    parser.add_argument(
        "--stop", action="append", metavar="TEXT", help="end before this; may be given repeatedly"
    )
    parser.add_argument(
        "--temperature", type=_number, default=0.7, metavar="T", help="0 is argmax (default: 0.7)"
    )
    parser.add_argument("--top-k", type=whole_number(1), metavar="K", help="among the K likeliest")
    parser.add_argument(
        "--top-p", type=_number, metavar="P", help="among the likeliest with probability P"
    )
    parser.add_argument(
        "--seed", type=whole_number(0), metavar="N", help="default: another one each time"
    )
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw and print; several texts are set apart by a line of dashes."""
    from minigen.recipes.run import Run

    choose_backend(arguments.backend)
    texts = Run.open(arguments.folder).generate(
        arguments.prompt,
        max_tokens=arguments.max_tokens,
        n=arguments.n,
        stop=arguments.stop,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    separator = "\n" + "-" * 72 + "\n"
    print(texts if isinstance(texts, str) else separator.join(texts))
    return 0


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
