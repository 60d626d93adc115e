"""A run: one folder with everything about one training, and what can be done with it.

    RUN/config.json              model, data, seed, all hyper-parameters: enough to build it again
    RUN/metrics.jsonl            the log, training/log.py
    RUN/checkpoint.safetensors   the state, training/checkpoint.py; a readable .json beside it
    RUN/summary.json             the verdict, once training is over
    RUN/*.png                    pictures
    RUN/progress/step_*.png      the same noise every time, for models that draw it as they learn

The command line is a thin layer over this class, and a notebook uses it directly:

    run = Run.create("vae", data="digits", out="runs/first", options={"latent": 2})
    run.train()
    run.evaluate(split="test")["metrics"]["nelbo_nats"]
    images = Run.open("runs/first").sample(64)
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from minigen import __version__
from minigen.backends import active
from minigen.errors import UserError
from minigen.files import make_folder, read_json, write_json
from minigen.recipes import find
from minigen.recipes.base import Oracle, Recipe
from minigen.training import Loop, MetricsLog, Observer, Rhythm, StopRequest, checkpoint

__all__ = ["Run", "read_settings"]

SETTINGS = ("model", "data", "data_dir", "seed", "budget", "backend", "options", "facts")
CHOOSE_ON = "val"  # the split that training looks at; test is for `evaluate` alone
SAMPLES = 64  # of `write_samples`, when nobody says how many


class Run:
    """A training in a folder. Made by `Run.create` (a new one) or `Run.open` (one on the disk)."""

    def __init__(self, folder: Path, settings: dict[str, Any], recipe: Recipe) -> None:
        self.folder = folder
        self.settings = settings
        self.recipe = recipe
        self.log = MetricsLog(folder / "metrics.jsonl")
        self.steps_done = 0
        self._splits: dict[tuple[str, str], Any] = {}

    # Making and finding --------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        model: str,
        *,
        data: str | None = None,
        data_dir: str | None = None,
        out: str | os.PathLike[str] | None = None,
        seed: int = 0,
        budget: str = "short",
        steps: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Run:
        """A new run in a new folder.

        Args:
            model: a name that `minigen list` shows.
            data: a data set's name, or a path; the recipe's own choice when None.
            data_dir: where data files are; the environment's MINIGEN_DATA when None.
            out: the folder, which must be empty or not exist; `runs/<model>` or the next free
                `runs/<model>-2`, … when None.
            seed: decides everything random.
            budget: a named set of options, "short" or "long".
            steps: training steps, over the budget's.
            options: hyper-parameters, over the budget's.

        Raises:
            UserError: one line for anything that cannot be; nothing is written then.
        """
        kind = find(model).for_data(data, data_dir)
        data = data or kind.default_data
        if type(seed) is not int or seed < 0:
            raise UserError(f"seed must be a whole number >= 0, got {seed!r}")
        values = {**kind.preset(budget, data), **(options or {})}
        if steps is not None:
            values["steps"] = steps
        config = kind.Config(**values)
        folder = Path(out) if out is not None else _free_folder(model)
        _must_be_free(folder)
        # Both splits that training needs, before anything is written.
        train, held_out = (kind.load_data(data, split, data_dir) for split in ("train", CHOOSE_ON))
        settings = {
            "minigen": __version__,
            "model": kind.name,
            "data": data,
            "data_dir": data_dir,
            "seed": seed,
            "budget": budget,
            "backend": active.backend.name,
            "options": config.to_json(),
            "facts": kind.describe(config, train),
        }
        run = cls(folder, settings, _build(kind, config, settings))
        run.recipe.check(held_out)
        run._splits = {(data, "train"): train, (data, CHOOSE_ON): held_out}
        make_folder(folder)
        write_json(folder / "config.json", settings)
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Run:
        """A run on the disk, its model as the last checkpoint left it: to measure and to sample.

        Raises:
            UserError: one line for a folder that is no run, one without a checkpoint, a damaged
                file, or the checkpoint of another model.
        """
        run = cls._rebuilt(Path(folder), read_settings(folder))
        state = run._state()
        run._load(run.recipe.load_state, state["recipe"])
        run.steps_done = int(state["loop"]["step"])
        return run

    @classmethod
    def resume(
        cls,
        folder: str | os.PathLike[str],
        *,
        data_dir: str | None = None,
        steps: int | None = None,
    ) -> Run:
        """A run on the disk, to be trained on: `Run.resume(folder).train()`.

        Args:
            folder: the run's folder.
            data_dir: where data files are now; where they were at the start when None.
            steps: train until this step instead. A learning-rate schedule then follows the new
                length from here on.

        Raises:
            UserError: as `open`; but a run that was stopped before its first checkpoint is fine.
        """
        settings = read_settings(folder)
        if steps is not None:
            settings["options"] = {**settings["options"], "steps": steps}
        if data_dir is not None:
            settings["data_dir"] = data_dir
        run = cls._rebuilt(Path(folder), settings)
        if run.checkpoint.exists() or any(r["split"] == "train" for r in run.log.records()):
            run.steps_done = int(run._state()["loop"]["step"])
        if run.steps_done > run.steps:
            raise UserError(
                f"steps must be >= {run.steps_done}, which {folder} has reached, got {steps}"
            )
        return run

    @classmethod
    def _rebuilt(cls, folder: Path, settings: dict[str, Any]) -> Run:
        kind = find(settings["model"])
        config = kind.Config.from_json(settings["options"])
        return cls(folder, settings, _build(kind, config, settings))

    @property
    def checkpoint(self) -> Path:
        """The checkpoint's path."""
        return self.folder / "checkpoint.safetensors"

    @property
    def steps(self) -> int:
        """The step at which training ends."""
        return int(self.recipe.config.steps)

    # What one does with it -----------------------------------------------------------------------

    def train(
        self, observer: Observer | None = None, stop: StopRequest | None = None
    ) -> dict[str, Any] | None:
        """Train to the end, from the checkpoint if there is one; then judge and draw.

        Returns:
            What went to `summary.json`; None when a stop request ended the loop before that.

        Raises:
            UserError: one line; everything written before stays.
        """
        recipe, config = self.recipe, self.recipe.config
        train, held_out = self.data("train"), self.data(CHOOSE_ON)

        def look() -> dict[str, float]:
            recipe.progress(self.folder, loop.steps_done)
            return recipe.evaluate(held_out, thorough=False)

        loop = Loop(
            recipe,
            recipe.batches(train),
            look,
            Rhythm(steps=config.steps, evaluate_every=config.evaluate_every),
            self.log,
            self.checkpoint,
            recipe.verdict,
        )
        oracles = recipe.oracles(held_out, train)
        if self.checkpoint.exists():
            self._load(loop.load_state, self._state())
            write_json(self.folder / "config.json", self.settings)
        else:
            self.log.rewind(-1)
            for oracle in oracles:
                self.log.append(0, "oracle", _oracle_record(oracle))
            recipe.progress(self.folder, 0)
            loop.save()
        with stop or nullcontext():  # data are loaded and pictures drawn outside: Ctrl-C is as ever
            finished = loop.run(observer, stop)
        self.steps_done = loop.steps_done
        if not finished:
            return None
        summary = self.evaluate(split=CHOOSE_ON)
        summary["seconds"] = round(loop.seconds, 1)
        summary["steps"] = loop.steps_done
        summary["seed"] = self.settings["seed"]
        summary["oracles"] = [_oracle_record(oracle) for oracle in oracles]
        records = self.log.records()
        summary["verdict"] = list(recipe.verdict(records).values())
        write_json(self.folder / "summary.json", summary)
        recipe.figures(self.folder, held_out, records)
        return summary

    def evaluate(
        self, *, data: str | None = None, split: str = CHOOSE_ON, data_dir: str | None = None
    ) -> dict[str, Any]:
        """Measure the model as it is in memory.

        Returns:
            `model`, `data`, `split`, `headline` (the metric that the model is judged by), `metrics`
            (name → number), `seconds`; and `suspicious`, a list of sentences, when a metric is too
            good to be true.

        Raises:
            UserError: one line for data that cannot be found or that the model was not built for.
        """
        recipe = self.recipe
        started = time.perf_counter()
        samples = self.data(split, data, data_dir)
        name_of_data = data or self.settings["data"]
        metrics = {name: float(v) for name, v in recipe.evaluate(samples, thorough=True).items()}
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise UserError(f"{name} is {value} on {name_of_data} ({split})")
        result: dict[str, Any] = {
            "model": recipe.name,
            "data": name_of_data,
            "split": split,
            "headline": recipe.headline,
            "metrics": metrics,
            "seconds": round(time.perf_counter() - started, 2),
        }
        objections = [oracle.objection(metrics) for oracle in recipe.oracles(samples)]
        if any(objections):
            result["suspicious"] = [sentence for sentence in objections if sentence]
        return result

    def score(
        self, *, data: str | None = None, split: str = CHOOSE_ON, data_dir: str | None = None
    ) -> np.ndarray:
        """How likely the model as it is in memory holds each sample to be: (N,) nats.

        What the number is exactly, the recipe's `score` and `score_name` say. `split` "all" is the
        whole of a file of one's own, in its order.

        Raises:
            UserError: one line for a model without a likelihood, for data that cannot be found or
                that the model was not built for, and for a score that is no number.
        """
        samples = self.data(split, data, data_dir)
        with np.errstate(over="ignore"):  # a sample so far out that its density is 0: log is −∞
            scores = self.recipe.score(samples)
        if np.isnan(scores).any():
            first = int(np.flatnonzero(np.isnan(scores))[0])
            raise UserError(
                f"{self.recipe.score_name} is nan for {self.recipe.score_of} {first} of "
                f"{data or self.settings['data']} ({split})"
            )
        return scores

    def sample(self, n: int, seed: int = 0) -> np.ndarray:
        """`n` new samples from the model as it is in memory, on the host."""
        return self.recipe.sample(_at_least_one(n), seed)

    def generate(self, prompt: str, **options: Any) -> str | list[str]:
        """What follows `prompt`, from a model of text; the options are those of
        `minigen.models.generation.generate`: `max_tokens`, `n`, `stop`, `temperature`, …
        """
        return self.recipe.generate(prompt, **options)

    def translate(self, images: np.ndarray, direction: str) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1] of one domain as images of the other, "ab" or "ba"."""
        return self.recipe.translate(images, direction)

    def write_samples(
        self, path: str | os.PathLike[str], n: int | None = None, seed: int = 0, **options: Any
    ) -> None:
        """Draw `n` samples into a file; its ending says how (`Recipe.write_samples`).

        Args:
            path: the file.
            n: how many; 64 when None, or what suits the `options`.
            seed: of everything that is drawn.
            **options: what this model alone can do: its recipe's `sample_options`.

        Raises:
            UserError: one line for an option that the model does not have.
        """
        self.recipe.check_sample_options(options)
        count = n if n is None else _at_least_one(n)
        if options:
            self.recipe.write_samples_with(Path(path), count, seed, **options)
        else:
            self.recipe.write_samples(Path(path), count or SAMPLES, seed)

    def data(self, split: str, data: str | None = None, data_dir: str | None = None) -> Any:
        """A split of the run's data, or of another data set with the same shape; loaded once."""
        name = data or self.settings["data"]
        if (name, split) not in self._splits:
            loaded = self.recipe.load_data(name, split, data_dir or self.settings["data_dir"])
            self.recipe.check(loaded)
            self._splits[name, split] = loaded
        return self._splits[name, split]

    # The checkpoint ------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        state = checkpoint.load(self.checkpoint)
        if not {"loop", "data", "recipe"} <= set(state):
            raise UserError(f"{self.checkpoint} is not a checkpoint of a run")
        return state

    def _load(self, load_state: Any, state: dict[str, Any]) -> None:
        """Hand `state` on; what does not fit is the user's mix-up of folders, told in one line."""
        try:
            load_state(state)
        except (ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{self.checkpoint} does not fit this run: {reason}") from error


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """A run's `config.json`; `UserError` in one line for a folder that is no run."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no run at {folder}: there is no such folder")
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is no run: it has no config.json")
    settings = read_json(folder / "config.json")
    if not isinstance(settings, dict) or any(key not in settings for key in SETTINGS):
        raise UserError(f"{folder / 'config.json'} must have the keys {', '.join(SETTINGS)}")
    return settings


def _build(kind: type[Recipe], config: Any, settings: Mapping[str, Any]) -> Recipe:
    try:
        return kind(config, settings["facts"], settings["seed"])
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"cannot build {kind.name}: {error}") from error


def _oracle_record(oracle: Oracle) -> dict[str, Any]:
    return {"metric": oracle.metric, "label": oracle.label, "value": oracle.value}


def _at_least_one(n: int) -> int:
    if type(n) is not int or n < 1:
        raise UserError(f"n must be a whole number >= 1, got {n!r}")
    return n


def _free_folder(model: str) -> Path:
    """`runs/vae`, or `runs/vae-2`, … : the first that is not there or empty."""
    number = 1
    while True:
        folder = Path("runs", model if number == 1 else f"{model}-{number}")
        if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
            return folder
        number += 1


def _must_be_free(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out must be a folder, and {folder} is a file")
    if folder.is_dir() and any(folder.iterdir()):
        kind = "holds a run" if (folder / "config.json").exists() else "is not empty"
        raise UserError(f"{folder} {kind}: choose another --out, or continue a run with --resume")
