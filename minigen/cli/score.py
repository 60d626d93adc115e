"""`minigen score`: how likely a trained model holds each sample to be; a summary on stdout."""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigen.cli.parser import add_common
from minigen.cli.support import choose_backend
from minigen.errors import UserError

NAME = "score"
SUMMARY = "log-likelihood of every sample under a trained model; prints one JSON object"
EXAMPLES = """\
  minigen score runs/realnvp --split test --out scores.npy    an array (N,), in nats
  minigen score runs/realnvp --data suspects.npy --out scores.csv
  minigen score runs/gpt --data mail.txt --out scores.jsonl   line by line of the text"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", metavar="RUN", help="a run's folder")
    parser.add_argument("--data", metavar="NAME", help="data set or path (default: the run's)")
    parser.add_argument(
        "--split",
        choices=("train", "val", "test", "all"),
        help="default: val; all, in the order of the file, where --data is a path",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="write the scores: .npy, .csv or .jsonl (default: nowhere)"
    )
    add_common(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, write, print the summary."""
    from minigen.data import REGISTRY
    from minigen.files import write_bytes
    from minigen.recipes.run import Run

    out = None if arguments.out is None else Path(arguments.out)
    if out is not None and out.suffix not in FORMATS:
        raise UserError(f"--out must end in {', '.join(FORMATS)}, got {out.name!r}")
    choose_backend(arguments.backend)
    current = Run.open(arguments.folder)
    own = arguments.data is not None and arguments.data not in REGISTRY
    split = arguments.split or ("all" if own else "val")
    scores = current.score(data=arguments.data, split=split, data_dir=arguments.data_dir)
    recipe = current.recipe
    if out is not None:
        write_bytes(out, FORMATS[out.suffix](scores, recipe.score_name))
    summary = {
        "model": recipe.name,
        "data": arguments.data or current.settings["data"],
        "split": split,
        "score": recipe.score_name,
        "unit": f"nats per {recipe.score_of}",
        **_summary(scores),
    }
    print(json.dumps(summary if out is None else {**summary, "out": str(out)}, indent=2))
    return 0


def _summary(scores: Any) -> dict[str, Any]:
    """Count, and what can be said of the finite scores: mean, deviation, extremes.

    The density of a point very far out is 0 in floating point, its logarithm −∞: such are counted.
    """
    import numpy as np

    finite = scores[np.isfinite(scores)]
    counts = {"count": len(scores), "infinite": len(scores) - len(finite)}
    if len(finite) == 0:
        return counts
    numbers = {"mean": finite.mean(), "deviation": finite.std()}
    extremes = {"lowest": finite.min(), "highest": finite.max()}
    return counts | {name: float(value) for name, value in {**numbers, **extremes}.items()}


def _npy(scores: Any, name: str) -> bytes:
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, scores, allow_pickle=False)
    return buffer.getvalue()


def _csv(scores: Any, name: str) -> bytes:
    lines = [f"{index},{float(score)!r}" for index, score in enumerate(scores)]
    return "\n".join([f"index,{name}", *lines, ""]).encode()


def _jsonl(scores: Any, name: str) -> bytes:
    """A score of −∞ is null: JSON has no infinities."""
    import math

    numbers = (float(score) for score in scores)
    values = (number if math.isfinite(number) else None for number in numbers)
    lines = [json.dumps({"index": index, name: value}) for index, value in enumerate(values)]
    return "\n".join([*lines, ""]).encode()


FORMATS: dict[str, Callable[[Any, str], bytes]] = {".npy": _npy, ".csv": _csv, ".jsonl": _jsonl}
