"""`minigen translate`: images of one domain as images of the other."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigen.cli.parser import add_common
from minigen.cli.support import choose_backend

NAME = "translate"
SUMMARY = "translate images with a trained model: a file, a folder or an array"
EXAMPLES = """\
  minigen translate runs/cyclegan --direction ab digit.png mnist.png
  minigen translate runs/cyclegan --direction ba photographs/ paintings/
  minigen translate runs/cyclegan --direction ab images.npy translated.npy"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--direction", choices=("ab", "ba"), required=True, help="from A to B or from B to A"
    )
    parser.add_argument(
        "source", metavar="IN", help="a .png or .jpg, a folder of them, or a .npy (N, C, H, W)"
    )
    parser.add_argument("target", metavar="OUT", help="a .png, a new folder, or a .npy")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Translate and write; prints what was written."""
    from minigen.recipes.run import Run
    from minigen.recipes.translation import translate_path

    choose_backend(arguments.backend)
    current = Run.open(arguments.folder)
    count = translate_path(
        current.recipe, arguments.direction, Path(arguments.source), Path(arguments.target)
    )
    print(f"{arguments.target}: {count} image{'s' if count != 1 else ''}")
    return 0
