"""`minigen sample`: new things from a trained model, into a file."""

from __future__ import annotations

import argparse

from minigen.cli.parser import add_common, whole_number
from minigen.cli.support import choose_backend

NAME = "sample"
SUMMARY = "draw new samples from a trained model into a file"
EXAMPLES = """\
  minigen sample runs/vae --n 64 --out samples.png    a grid of images
  minigen sample runs/vae --n 1000 --out samples.npy  the array (n, C, H, W)
  minigen sample runs/gpt --n 3 --out samples.txt     texts
  minigen sample runs/wavenet --n 10 --out digits.wav sounds, one after the other"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument("--n", type=whole_number(1), default=64, metavar="N", help="default: 64")
    parser.add_argument(
        "--out", metavar="FILE", help="default: samples.png, or what suits the model"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="default: 0")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw and write; prints the file's name."""
    from minigen.recipes.run import Run

    choose_backend(arguments.backend)
    current = Run.open(arguments.folder)
    out = arguments.out or current.recipe.samples_file
    current.write_samples(out, arguments.n, arguments.seed)
    print(out)
    return 0
