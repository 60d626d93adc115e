"""`minigen list`: the models, one line each; with a model's name, its hyper-parameters."""

from __future__ import annotations

import argparse

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
    recipe = find(arguments.model)
    rows = [("option", "type", "default", "meaning"), *recipe.Config.describe()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  ".join([*(f"{row[i]:{widths[i]}}" for i in range(3)), row[3]]))
    print()
    for budget, options in recipe.budgets.items():
        print(f"--budget {budget}: {_assignments(options)}")
        for data, per_budget in recipe.budgets_for_data.items():
            if budget in per_budget:
                print(f"    on {data}: {_assignments(per_budget[budget])}")
    return 0


def _assignments(options: object) -> str:
    from minigen.recipes.config import as_text

    assert hasattr(options, "items")
    return " ".join(f"{name}={as_text(value)}" for name, value in options.items()) or "defaults"
