"""`minigen eval`: one JSON object of metrics on stdout."""

from __future__ import annotations

import argparse
import json
import sys

from minigen.cli.parser import add_common
from minigen.cli.support import choose_backend, warn_if_suspicious

NAME = "eval"
SUMMARY = "measure a trained model; prints one JSON object"
EXAMPLES = """\
  minigen eval runs/vae                               on the val split
  minigen eval runs/vae --data mnist --split test     the last word, on the test split
  minigen eval runs/vae | jq .metrics"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument("--data", metavar="NAME", help="data set or path (default: the run's)")
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="val", help="default: val"
    )
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print."""
    from minigen.recipes.run import Run

    choose_backend(arguments.backend)
    current = Run.open(arguments.folder)
    if current.steps_done < current.steps:
        print(
            f"minigen: {current.folder} is unfinished, at step {current.steps_done} of "
            f"{current.steps}",
            file=sys.stderr,
        )
    result = current.evaluate(
        data=arguments.data, split=arguments.split, data_dir=arguments.data_dir
    )
    warn_if_suspicious(result)
    print(json.dumps(result, indent=2))
    return 0
