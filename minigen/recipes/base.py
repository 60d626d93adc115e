"""The shape of a recipe: how a model is trained, judged and drawn, in one file per model.

`models/vae.py` says what a variational autoencoder *is*; `recipes/vae.py` says how one is made: on
which data, with which optimizer, for how long, and how one can tell that it worked. A recipe is a
class with the methods below and nothing hidden: the loop calls `step`, the run calls the rest.

    class MyRecipe(Recipe):
        name, headline = "mymodel", "nll_nats"
        Config = MyConfig                                     hyper-parameters, recipes/config.py
        saved = ("model", "optimizer")                        what a checkpoint holds

        def build(self): ...                                  networks and optimizers
        def batches(self, train): ...                         an endless iterator over training data
        def step(self, batch): ...                            one update, named numbers
        def evaluate(self, data, thorough): ...               named metrics, units in the names
        def oracles(self, data, train): ...                   known numbers beside the metrics
        def sample(self, n, seed): ...                        new things
        def score(self, data): ...                            how likely each sample is
        def figures(self, folder, data, records): ...         pictures

and one line in `recipes/__init__.py`. Two networks that play against each other, a moving average
or a pool of old images need no other pattern: `build` makes them, `saved` names them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen.errors import UserError, unknown_name
from minigen.recipes.config import Config
from minigen.training import Batches

__all__ = ["Budgets", "Oracle", "Recipe"]


Budgets = Mapping[str, Mapping[str, Any]]
"""Budget's name → the options that it sets."""


@dataclass(frozen=True)
class Oracle:
    """A known number that a metric is read against.

    Args:
        metric: the metric's name, such as "nelbo_nats".
        label: what the number is, such as "independent pixels".
        value: the number, computed from the data or taken from the literature.
        suspicious: "below" or "above" when a metric on that side of the number is too good to be
            true (a leak, a wrong unit); None when the number is only a mark to pass.
    """

    metric: str
    label: str
    value: float
    suspicious: str | None = None

    def objection(self, metrics: Mapping[str, float]) -> str | None:
        """A sentence when `metrics` is too good to be true, else None."""
        got = metrics.get(self.metric)
        if got is None or self.suspicious is None:
            return None
        if got < self.value if self.suspicious == "below" else got > self.value:
            return (
                f"{self.metric} = {got:.4g} is {self.suspicious} {self.value:.4g} ({self.label}): "
                "too good to be true; look for a leak, a wrong unit or other data"
            )
        return None


class Recipe(ABC):
    """The base of all recipes. What is abstract must be written; the rest has a sensible default.

    Args:
        config: the hyper-parameters.
        facts: what the networks must know about the data, as JSON: what `describe` returned.
        seed: decides the initial weights and all random numbers of training.
    """

    name: ClassVar[str]
    headline: str  # a recipe for several kinds of data may choose in `build`
    Config: ClassVar[type[Config]] = Config
    default_data: ClassVar[str] = "digits"
    saved: tuple[str, ...] = ()  # `build` may add to it
    samples_file: ClassVar[str] = "samples.png"  # where `minigen sample` writes, unless told
    sample_options: ClassVar[tuple[str, ...]] = ()  # what `write_samples_with` understands
    score_name: ClassVar[str] = "log_likelihood_nats"  # what `score` returns, with its unit
    score_of: ClassVar[str] = "sample"  # one score for each of these, in words
    budgets: ClassVar[Budgets] = {"short": {}, "long": {}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {}

    def __init__(self, config: Any, facts: dict[str, Any], seed: int) -> None:
        self.config = config
        self.facts = facts
        self.seed = seed
        mg.manual_seed(seed)  # initial weights, and layers that draw on their own (dropout)
        self.random = mg.Generator(seed)  # everything that the recipe draws
        self.build()

    # What a recipe is made of ------------------------------------------------------------------

    @classmethod
    def preset(cls, budget: str, data: str) -> dict[str, Any]:
        """The options that a budget stands for: those of the budget, then those for the data set.

        Raises:
            UserError: for a budget that this recipe does not have.
        """
        if budget not in cls.budgets:
            raise unknown_name("budget", budget, cls.budgets)
        return {**cls.budgets[budget], **cls.budgets_for_data.get(data, {}).get(budget, {})}

    @classmethod
    def for_data(cls, data: str | None, data_dir: str | None) -> type[Recipe]:
        """The recipe that trains on `data` (None: its own choice): this one.

        Overridden by a name that stands for several models, one for each kind of data.
        """
        return cls

    @classmethod
    def two_data(cls, a: str, b: str) -> str:
        """The one name under which `load_data` finds two data sets, for a model that needs two.

        Raises:
            UserError: for a model that trains on one: it leaves this as it is.
        """
        raise UserError(f"{cls.name} trains on one data set: give --data, not --a and --b")

    @classmethod
    def load_data(cls, data: str, split: str, data_dir: str | None) -> Any:
        """One split of a data set. Overridden by a model that trains on two at once."""
        from minigen.data import load

        return load(data, split, data_dir)

    @classmethod
    def describe(cls, config: Any, train: Any) -> dict[str, Any]:
        """What the networks must know about the data (sizes, an alphabet), as JSON.

        It is kept in `config.json`, so that `minigen sample` needs no data.
        """
        return {}

    @abstractmethod
    def build(self) -> None:
        """Make networks and optimizers; the names in `saved` become attributes of self."""

    # What the loop calls -------------------------------------------------------------------------

    @abstractmethod
    def batches(self, train: Any) -> Batches:
        """An endless iterator over batches of `train` with `state` and `load_state`."""

    @abstractmethod
    def step(self, batch: Any) -> Mapping[str, Any]:
        """One update; returns named numbers (floats or 0-d Tensors), units in the names."""

    def state(self) -> dict[str, Any]:
        """All that later steps depend on: every member in `saved`, and the random state."""
        members = {name: _state_of(getattr(self, name)) for name in self.saved}
        random = {"recipe": self.random.state(), "default": mg.default_generator().state()}
        return {**members, "random": random}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to a state that `state` returned; `UserError` when it is another model's."""
        members = {name: branch for name, branch in state.items() if name != "random"}
        if set(members) != set(self.saved):
            raise UserError(f"holds {sorted(members)}, but {self.name} has {sorted(self.saved)}")
        for name, branch in members.items():
            _load_state_of(getattr(self, name), branch)
        self.random.load_state(state["random"]["recipe"])
        mg.default_generator().load_state(state["random"]["default"])

    # What the run calls --------------------------------------------------------------------------

    def check(self, data: Any) -> None:
        """`UserError` in one line when `data` is not what this model was built for."""
        found = self.describe(self.config, data)
        for name, expected in self.facts.items():
            if found.get(name) != expected:
                raise UserError(
                    f"the model was built for data with {name} {expected}, got {found.get(name)}"
                )

    @abstractmethod
    def evaluate(self, data: Any, thorough: bool) -> dict[str, float]:
        """Metrics on a whole split; `thorough` adds what is too slow to compute during training.

        Draws from its own generator, so that looking does not change what is looked at.
        """

    def oracles(self, data: Any, train: Any = None) -> list[Oracle]:
        """The known numbers that the metrics on `data` are read against.

        Without `train`, only those that need no training data (`minigen eval` loads one split).
        """
        return []

    def verdict(self, records: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
        """What looks wrong in a log so far, sign → sentence; asked after every measurement.

        For a model whose loss does not tell. Here: nothing, a likelihood speaks for itself.
        """
        return {}

    def progress(self, folder: Path, step: int) -> None:  # noqa: B027
        """Draw one picture of where the training stands, `folder/progress/step_000500.png`.

        Called before the first step and at every measurement; must not change what later steps
        read. Here: nothing is drawn.
        """

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` new samples on the host; images as (n, C, H, W) in [0, 1].

        Raises:
            UserError: for a model that cannot make things up on its own: it leaves this as it is.
        """
        raise UserError(f"{self.name} cannot be sampled")

    def score(self, data: Any) -> np.ndarray:
        """How likely the model holds each sample of `data` to be: (N,) float64, in nats.

        Higher is likelier. Sample by sample in the order of `data`, in evaluation mode, under
        `mg.no_grad()`, and nothing in it is left to chance: what must be drawn (dynamic
        binarization, dequantization noise) comes from a fixed seed, so that two calls agree.
        The mean of the scores is minus the headline's nats where the headline is a likelihood.

        A recipe that overrides this says in the docstring's first line what the number is, and in
        `score_name` too when it is not log p(x) itself:

        * "log_likelihood_nats": log p(x), exact (autoregressive models, flows); for continuous data
          the logarithm of a density, so that its zero depends on the unit of the data;
        * a bound's own name for a bound ("iw_bound_nats").

        Raises:
            UserError: for a model without a likelihood: it leaves this as it is.
        """
        raise UserError(f"{self.name} gives no likelihoods: it cannot score")

    def generate(self, prompt: str, **options: Any) -> str | list[str]:
        """What follows `prompt`, for a model of text; see `minigen.models.generation`.

        Raises:
            UserError: for a model that makes no text: it leaves this as it is.
        """
        raise UserError(f"{self.name} makes no text")

    def source_channels(self, direction: str) -> int:
        """How many channels `translate` takes; UserError for a model that does not translate."""
        raise UserError(f"{self.name} translates nothing")

    def translate(self, images: np.ndarray, direction: str) -> np.ndarray:
        """Images (N, C, H, W) in [0, 1] of one domain as images of the other.

        Raises:
            UserError: for a model that does not go between two domains: it leaves this as it is.
        """
        raise UserError(f"{self.name} translates nothing")

    def write_samples(self, path: Path, n: int, seed: int) -> None:
        """Draw `n` samples and write them where `path` says; its ending says how.

        Here: `.png` a grid of images, `.npy` the array. A model of sound or text overrides this.
        """
        from minigen.plots import save_grid

        if path.suffix not in (".png", ".npy"):
            raise UserError(f"--out must end in .png or .npy for {self.name}, got {path.name!r}")
        samples = self.sample(n, seed)
        if path.suffix == ".png":
            save_grid(path, samples)
        else:
            self.write_array(path, samples)

    def write_array(self, path: Path, samples: np.ndarray) -> None:
        """Samples as `.npy`; `UserError` for a file with another ending."""
        from minigen.files import write_bytes

        if path.suffix != ".npy":
            raise UserError(f"--out must end in .png or .npy for {self.name}, got {path.name!r}")
        write_bytes(path, _npy(samples))

    def write_samples_with(self, path: Path, n: int | None, seed: int, **options: Any) -> None:
        """As `write_samples`, in a way that only some models know: `options` by name.

        A recipe that overrides this names them in `sample_options`; others refuse all of them
        (`check_sample_options`). `n` is None where the caller leaves the number to the model.
        """
        self.check_sample_options(options)

    def check_sample_options(self, options: Mapping[str, Any]) -> None:
        """`UserError` in one line for an option of sampling that this model does not have."""
        for name in options:
            if name not in self.sample_options:
                own = ", ".join(f"--{own}" for own in self.sample_options) or "no such options"
                raise UserError(f"--{name} is nothing that {self.name} can do; it has {own}")

    def figures(self, folder: Path, data: Any, records: Sequence[Mapping[str, Any]]) -> None:
        """Draw the run's pictures into `folder`; `records` are the lines of its log.

        Here: the headline's learning curve. Models add to it or draw their own.
        """
        from minigen.plots import save_curves

        save_curves(folder / "loss.png", records, [self.headline], self.name)


def _state_of(member: Any) -> dict[str, Any]:
    """Modules and optimizers have `state_dict`, generators and pools have `state`."""
    return dict(member.state_dict()) if hasattr(member, "state_dict") else member.state()


def _load_state_of(member: Any, state: dict[str, Any]) -> None:
    (member.load_state_dict if hasattr(member, "load_state_dict") else member.load_state)(state)


def _npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
