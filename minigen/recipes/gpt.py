"""Recipe: the transformer of `minigen/models/gpt.py`, on tiny Shakespeare or a text of one's own.

    minigen train gpt                                             characters of Shakespeare
    minigen train gpt --data my.txt --set tokens=bytes            any text
    minigen train gpt --set tokens=bpe vocabulary=1024            pieces of words
    minigen generate runs/gpt --prompt "ROMEO:" --max-tokens 300

**What is measured.** `nll_nats_per_char` is the whole held-out text's negative log-likelihood
divided by its characters, whatever the tokens are: a byte or a longer piece is no unit to compare.
Every token is predicted once, from the window that `window_start` gives it (half to all of the
context): exactly the probability that `generate` would draw it with, at temperature 1. The first
token, which nothing precedes, costs log V. With `tokens=bpe` it is the probability of the text cut
in the tokenizer's one way; the other ways in which the same text could be drawn are not counted.

**What to expect on tiny Shakespeare**, first 90 % to train, last 10 % to measure. Counting gives a
ladder, computed on the same split and drawn into the curve: smoothed n-grams of order 3, 4, 5 reach
2.05, 1.77, 1.67. The short budget (seed 0; 0.8 million parameters, 6,000 steps, 6 million
characters read) stands at 1.91 after a quarter of its steps, 1.71 after half, 1.57 after three
quarters, under the 5-gram, and ends at 1.527. Pieces of words get there sooner: 1,200 steps with
`tokens=bpe vocabulary=1024` (seed 0, 3 million characters read) end at 1.71. Large, regularised
transformers reach 1.47 or so; under 1.40 something has leaked, and the run says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import minigen as mg
from minigen import plots
from minigen.data import Dataset
from minigen.data.registry import REGISTRY
from minigen.data.text import TextBatches, load_text, text_of
from minigen.data.tokenizer import TOKENS, tokenizer_for, tokenizer_from
from minigen.errors import UserError
from minigen.files import write_bytes
from minigen.metrics.ngrams import ngram_ladder
from minigen.models.generation import generate
from minigen.models.gpt import GPT
from minigen.recipes.base import Budgets, Oracle, Recipe
from minigen.recipes.config import Config, option

__all__ = ["GPTConfig", "GPTRecipe"]

SHAKESPEARE_FLOOR = 1.40  # nats per character; nothing trained on a million of them gets there
BETWEEN_SAMPLES = "\n" + "-" * 72 + "\n"


@dataclass(frozen=True, kw_only=True)
class GPTConfig(Config):
    """The hyper-parameters of the GPT."""

    steps: int = option(6000, "training steps", minimum=1)
    batch_size: int = option(8, "windows of text per step", minimum=1)
    evaluate_every: int = option(1500, "steps between measurements on the val split", minimum=1)
    tokens: str = option("characters", "what the text is cut into", choices=TOKENS)
    vocabulary: int = option(512, "how many tokens, for tokens=bpe alone", minimum=257)
    context: int = option(128, "the longest window it looks at, in tokens", minimum=2)
    layers: int = option(4, "blocks", minimum=1)
    heads: int = option(4, "heads of attention; must divide width", minimum=1)
    width: int = option(128, "numbers for each position", minimum=1)
    dropout: float = option(0.0, "share of activations dropped in training", minimum=0, maximum=0.9)
    learning_rate: float = option(2e-3, "of AdamW, at its highest", above=0)
    warmup: int = option(200, "steps in which the learning rate rises to that", minimum=0)
    weight_decay: float = option(0.1, "of AdamW, on matrices only", minimum=0)
    clip: float = option(1.0, "largest norm of the gradient", above=0)
    sample_length: int = option(500, "tokens of a text that 'sample' draws", minimum=1)


class GPTRecipe(Recipe):
    """AdamW with warm-up, cosine decay and clipping, on windows of the text."""

    name = "gpt"
    headline = "nll_nats_per_char"
    Config = GPTConfig
    default_data = "shakespeare"
    saved = ("model", "optimizer", "schedule")
    samples_file = "samples.txt"
    score_of = "line"
    budgets: ClassVar[Budgets] = {
        "short": {"steps": 6000},
        "long": {"steps": 20_000, "dropout": 0.1, "batch_size": 32},
    }

    @classmethod
    def load_data(cls, data: str, split: str, data_dir: str | None) -> Dataset:
        """A registered text, or any text file, whatever its name ends in."""
        path = Path(data).expanduser()
        if data not in REGISTRY and (path.is_file() or len(path.parts) > 1):
            return load_text(path, split)
        return super().load_data(data, split, data_dir)

    @classmethod
    def describe(cls, config: GPTConfig, train: Dataset) -> dict[str, Any]:
        """The alphabet, for bpe the merges that `train` taught, and what a sample begins after."""
        _must_be_text(train)
        text = text_of(train)
        tokenizer = tokenizer_for(config.tokens, text, config.vocabulary)
        length = len(tokenizer.encode(text))
        if length <= config.context:
            raise UserError(
                f"{train.name} (train) must be longer than the context of {config.context} "
                f"tokens, got {length}"
            )
        start = "\n" if "\n" in text else text[0]
        return {"tokenizer": tokenizer.describe(), "start": start}

    def build(self) -> None:
        """The model, and AdamW that shrinks matrices but no biases and norms."""
        config: GPTConfig = self.config
        self.tokenizer = tokenizer_from(self.facts["tokenizer"])
        self.model = GPT(
            self.tokenizer.size,
            config.context,
            config.layers,
            config.heads,
            config.width,
            config.dropout,
        )
        self.parameters = parameters = list(self.model.parameters())
        self.optimizer = mg.optim.AdamW(
            [
                {"params": [p for p in parameters if p.ndim >= 2]},
                {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.schedule = mg.optim.CosineWithWarmup(
            self.optimizer,
            warmup_steps=config.warmup,
            total_steps=config.steps,
            final_factor=0.02,
        )

    def check(self, data: Dataset) -> None:
        """Any text will do whose characters the model knows."""
        self._ids(data)

    def batches(self, train: Dataset) -> TextBatches:
        """Shuffled windows."""
        config: GPTConfig = self.config
        return TextBatches(
            self._ids(train),
            context=config.context,
            batch_size=config.batch_size,
            seed=self.seed,
        )

    def step(self, batch: Any) -> Mapping[str, Any]:
        """One step of AdamW on one batch of windows."""
        inputs, targets = batch
        self.model.train()
        loss = self.model.loss(mg.tensor(inputs), mg.tensor(targets))
        self.optimizer.zero_grad()
        loss.backward()
        norm = mg.optim.clip_grad_norm_(self.parameters, self.config.clip)
        self.optimizer.step()
        self.schedule.step()
        return {"nll_nats_per_token": loss, "gradient_norm": norm}

    def evaluate(self, data: Dataset, thorough: bool) -> dict[str, float]:
        """`nll_nats_per_char` and `bits_per_char` of the whole split; nothing in it is random."""
        ids = self._ids(data)
        self.model.eval()
        with mg.no_grad():
            nats = _token_nats(self.model, ids)
        per_character = float(nats.sum()) / len(data)
        return {"nll_nats_per_char": per_character, "bits_per_char": per_character / math.log(2)}

    def oracles(self, data: Dataset, train: Dataset | None = None) -> list[Oracle]:
        """The n-gram ladder of the same split; for Shakespeare the leak's floor."""
        found = []
        if train is not None:
            for order, nats in ngram_ladder(train.data, data.data, (3, 4, 5)).items():
                found.append(Oracle(self.headline, f"{order}-gram", nats))
        if data.name == "shakespeare" and data.split == "val":
            floor = Oracle(self.headline, "below: a leak", SHAKESPEARE_FLOOR, suspicious="below")
            found.append(floor)
        return found

    def score(self, data: Dataset) -> np.ndarray:
        """log p(line | the text before it) of every line of a text, exact: (lines,) nats.

        A line has its line break with it. The scores of all lines add up to the whole text's
        log-likelihood, because each token counts for the line in which it begins; a token of
        several line breaks (there are such with bpe) leaves the empty lines behind it a 0.
        """
        ids = self._ids(data)
        self.model.eval()
        with mg.no_grad():
            nats = _token_nats(self.model, ids)  # (L,)
        sizes = np.array([len(self.tokenizer.token_bytes(t)) for t in range(self.tokenizer.size)])
        first = np.cumsum(sizes[ids]) - sizes[ids]  # (L,), each token's first byte
        breaks = np.frombuffer(text_of(data).encode(), np.uint8) == ord("\n")  # (bytes,)
        line = np.cumsum(breaks) - breaks  # (bytes,), the number of each byte's line
        return -np.bincount(line[first], weights=nats, minlength=line[-1] + 1)

    def generate(self, prompt: str, **options: Any) -> str | list[str]:
        """What follows `prompt`: a text, or a list of them when `n` is more than 1.

        The options are those of `minigen.models.generation.generate`: `max_tokens=50`, `n=1`,
        `stop=None`, `temperature=0.7`, `top_k=None`, `top_p=None`, `seed=None`. An empty prompt
        stands for a line break (in a text without any, for its first character).
        """
        texts = generate(self.model, self.tokenizer, prompt or self.facts["start"], **options)
        return texts if options.get("n", 1) > 1 else texts[0]

    def sample(self, n: int, seed: int) -> np.ndarray:
        """`n` texts from the probabilities as they are (temperature 1), an array of strings."""
        texts = generate(
            self.model,
            self.tokenizer,
            self.facts["start"],
            max_tokens=self.config.sample_length,
            n=n,
            temperature=1.0,
            seed=seed,
        )
        return np.array(texts)

    def write_samples(self, path: Path, n: int, seed: int) -> None:
        """Draw `n` texts into a `.txt` file, with a line of dashes between them."""
        if path.suffix != ".txt":
            raise UserError(f"--out must end in .txt for {self.name}, got {path.name!r}")
        texts = [str(text) for text in self.sample(n, seed)]
        write_bytes(path, (BETWEEN_SAMPLES.join(texts) + "\n").encode())

    def figures(self, folder: Path, data: Dataset, records: Sequence[Mapping[str, Any]]) -> None:
        """The curve with its ladder, attention maps, and a few texts."""
        where = f"GPT, {data.name}"
        with_train = [_train_per_character(record, self.config.tokens) for record in records]
        plots.save_curves(folder / "loss.png", with_train, [self.headline], where)
        self.write_samples(folder / "samples.txt", 5, 0)
        ids = self._ids(data)[: min(32, self.config.context)]
        self.model.eval()
        with mg.no_grad():
            maps = [one.numpy()[0] for one in self.model.attention_maps(mg.tensor(ids[None]))]
        labels = [self.tokenizer.token_bytes(token).decode("utf-8", "replace") for token in ids]
        title = f"{where}: where each row looks"
        plots.save_attention(folder / "attention.png", np.stack(maps), labels, title)

    def _ids(self, data: Dataset) -> np.ndarray:
        _must_be_text(data)
        try:
            return self.tokenizer.encode(text_of(data), f"{data.name} ({data.split})")
        except UserError as error:
            raise UserError(f"{error}; --set tokens=bytes takes any text") from None


def _token_nats(model: GPT, ids: np.ndarray, rows: int = 16) -> np.ndarray:
    """−log p(token | those before) of every token: (L,) → (L,) float64, in nats.

    Each is predicted from the window that `window_start` gives it; the first costs log V. Windows
    begin at multiples of the policy's stride. The first counts whole; of each later one the
    predictions from its half on, because the window before it made the earlier ones.
    """
    context = model.context
    keep = context // 2
    stride = context - keep
    nats = np.empty(len(ids))
    nats[0] = math.log(model.vocabulary)
    starts = range(0, max(len(ids) - 1 - keep, 1), stride)
    whole = [start for start in starts if start + context < len(ids)]
    for first in range(0, len(whole), rows):
        chosen = np.array(whole[first : first + rows])
        windows = ids[chosen[:, None] + np.arange(context + 1)]  # (B,) -> (B, T + 1)
        _put_window_nats(model, windows, chosen, keep, nats)
    for start in starts[len(whole) :]:  # what is left at the end of the text is shorter
        if len(ids) - start > 1:
            _put_window_nats(model, ids[None, start:], np.array([start]), keep, nats)
    return nats


def _put_window_nats(
    model: GPT, windows: np.ndarray, starts: np.ndarray, keep: int, into: np.ndarray
) -> None:
    """Of windows (B, T + 1) that begin at `starts`, write what counts to its place in the text."""
    inputs, targets = mg.tensor(windows[:, :-1].copy()), mg.tensor(windows[:, 1:].copy())
    nats = model.loss(inputs, targets, reduction="none").numpy()  # (B, T)
    along = np.arange(nats.shape[1])
    counts = (along >= keep) | (starts[:, None] == 0)  # (B, T)
    into[(starts[:, None] + 1 + along)[counts]] = nats[counts]


def _must_be_text(data: Dataset) -> None:
    if data.kind != "text":
        raise UserError(f"gpt needs text, and {data.name} has {data.kind}")


def _train_per_character(record: Mapping[str, Any], tokens: str) -> Mapping[str, Any]:
    """A training line with the headline's name, where a token is a character."""
    if tokens == "characters" and "nll_nats_per_token" in record:
        return {**record, "nll_nats_per_char": record["nll_nats_per_token"]}
    return record
