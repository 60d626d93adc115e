"""`minigen train`: a new run, or the rest of an old one."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Any

from minigen.cli.parser import add_common, whole_number
from minigen.cli.support import (
    choose_backend,
    describe_metrics,
    describe_options,
    warn_if_suspicious,
)
from minigen.errors import UserError

NAME = "train"
SUMMARY = "train a model, or go on with a run that was stopped"
EXAMPLES = """\
  minigen train vae                                   the digits inside the package, under a minute
  minigen train vae --data mnist --out runs/mnist     MNIST, downloaded if it is not there
  minigen train vae --set latent=2 hidden=256,128     other hyper-parameters ('minigen list vae')
  minigen train --resume runs/mnist                   go on, bit for bit as if never stopped"""

SETTLED = (
    "data",
    "a",
    "b",
    "out",
    "seed",
    "budget",
    "set",
)  # what a resumed run has decided already


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", nargs="?", help="which model; 'minigen list' shows them all")
    parser.add_argument("--data", metavar="NAME", help="data set or path (default: the model's)")
    for domain in ("a", "b"):
        parser.add_argument(
            f"--{domain}", metavar="NAME", help="data set or path, for a model that needs two"
        )
    parser.add_argument("--out", metavar="RUN", help="new folder (default: runs/MODEL, or -2, …)")
    parser.add_argument("--seed", type=whole_number(0), metavar="N", help="default: 0")
    parser.add_argument("--budget", metavar="NAME", help="short or long (default: short)")
    parser.add_argument("--steps", type=whole_number(1), metavar="N", help="over the budget's")
    parser.add_argument(
        "--set", nargs="+", action="extend", metavar="key=value", help="hyper-parameters"
    )
    parser.add_argument("--resume", metavar="RUN", help="go on with the run in this folder")
    add_common(parser)


def more_help(arguments: argparse.Namespace) -> str:
    """After `minigen train vae --help`: what `--set` takes there."""
    from minigen.recipes import find

    if arguments.model is None:
        return ""
    table = describe_options(find(arguments.model))
    return f"\nhyper-parameters of {arguments.model}, for --set:\n{table}\n"


def run(arguments: argparse.Namespace) -> int:
    """Train; returns 0, or 128 + the signal's number when one stopped the run."""
    from minigen.cli.progress import ProgressBar
    from minigen.training import StopRequest

    current = _resumed(arguments) if arguments.resume is not None else _created(arguments)
    recipe, settings = current.recipe, current.settings
    print(
        f"minigen: training {recipe.name} on {settings['data']}, seed {settings['seed']}, "
        f"{current.steps} steps, in {current.folder}",
        file=sys.stderr,
    )
    stop = StopRequest()
    summary = current.train(ProgressBar(), stop)
    if summary is None:
        assert stop.signal is not None
        print(
            f"minigen: stopped and saved at step {current.steps_done}; go on with: "
            f"minigen train --resume {shlex.quote(str(current.folder))}",
            file=sys.stderr,
        )
        return 128 + stop.signal
    warn_if_suspicious(summary)
    print(describe_metrics(summary))
    for path in sorted(current.folder.glob("*.png")):
        print(f"  {path}")
    return 0


def _created(arguments: argparse.Namespace) -> Any:
    from minigen.recipes import find
    from minigen.recipes.run import Run

    if arguments.model is None:
        raise UserError("train needs a model or --resume RUN; 'minigen list' shows the models")
    choose_backend(arguments.backend)
    data = _data_named(arguments)
    kind = find(arguments.model).for_data(data, arguments.data_dir)
    return Run.create(
        arguments.model,
        data=data,
        data_dir=arguments.data_dir,
        out=arguments.out,
        seed=arguments.seed or 0,
        budget=arguments.budget or "short",
        steps=arguments.steps,
        options=kind.Config.parse(arguments.set or []),
    )


def _data_named(arguments: argparse.Namespace) -> str | None:
    """What --data says, or --a and --b together."""
    from minigen.recipes import find

    if arguments.a is None and arguments.b is None:
        return arguments.data
    joined = find(arguments.model).two_data(arguments.a or "a", arguments.b or "b")
    if arguments.data is not None:
        raise UserError("--data and --a, --b exclude each other")
    for name in ("a", "b"):
        if getattr(arguments, name) is None:
            raise UserError(f"--a and --b go together: --{name} is missing")
    return joined


def _resumed(arguments: argparse.Namespace) -> Any:
    from minigen.recipes.run import Run, read_settings

    for name in SETTLED:
        if getattr(arguments, name) is not None:
            raise UserError(f"--{name} cannot be changed by --resume: the run has its own")
    settings = read_settings(arguments.resume)
    if arguments.model not in (None, settings["model"]):
        raise UserError(
            f"{arguments.resume} is a run of {settings['model']}, not {arguments.model}"
        )
    choose_backend(arguments.backend or settings["backend"])
    return Run.resume(arguments.resume, data_dir=arguments.data_dir, steps=arguments.steps)
