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
  minigen sample runs/wavenet --n 10 --out digits.wav sounds, one after the other
  minigen sample runs/stylegan --truncation 0.7       more usual, less different
  minigen sample runs/stylegan --mix --out mix.png    coarse, middle and fine style combined
  minigen sample runs/stylegan --interpolate          walks from one style to another"""

OPTIONS = ("truncation", "mix", "interpolate")  # of some models only: `Recipe.sample_options`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--n", type=whole_number(1), metavar="N", help="default: 64, or what suits the picture"
    )
    parser.add_argument(
        "--out", metavar="FILE", help="default: samples.png, or what suits the model"
    )
    parser.add_argument("--seed", type=whole_number(0), default=0, metavar="N", help="default: 0")
    styles = parser.add_argument_group("models with styles (stylegan)")
    styles.add_argument(
        "--truncation", type=_number, metavar="PSI", help="1: as they come; 0: the mean style only"
    )
    one = styles.add_mutually_exclusive_group()
    one.add_argument("--mix", action="store_true", help="a mixing grid of N columns")
    one.add_argument("--interpolate", action="store_true", help="N walks between two styles")
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Draw and write; prints the file's name."""
    from minigen.recipes.run import Run

    choose_backend(arguments.backend)
    current = Run.open(arguments.folder)
    out = arguments.out or current.recipe.samples_file
    asked = {name: getattr(arguments, name) for name in OPTIONS}
    options = {name: value for name, value in asked.items() if value not in (None, False)}
    current.write_samples(out, arguments.n, arguments.seed, **options)
    print(out)
    return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
