"""`minigen list`: the models, one line each; with a model's name, its hyper-parameters."""

from __future__ import annotations

import argparse

from minigen.cli.support import describe_options

NAME = "list"
SUMMARY = "the models, one line each, or one model's hyper-parameters"
EXAMPLES = """\
  minigen list
  minigen list vae                                    what 'minigen train vae --set …' accepts"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", nargs="?", help="show this model's hyper-parameters")


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    from minigen.recipes import RECIPES, find

    if arguments.model is None:
        width = max(len(name) for name in RECIPES)
        for name, entry in RECIPES.items():
            print(f"{name:{width}}  {entry.title}")
        return 0
    print(describe_options(find(arguments.model)))
    return 0
