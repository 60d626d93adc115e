"""Text: tiny Shakespeare by name, any UTF-8 file by path, and windows of it for training.

A text is one long array of characters (Unicode code points), in the order of the file. The first
90 % are `train`, the last 10 % `val`; there is no `test`, because a third cut would make the
numbers incomparable with everybody else's. `all` is the whole text. Line ends are kept as they are.

Tiny Shakespeare (Karpathy 2015, "The unreasonable effectiveness of recurrent neural networks") is
40,000 lines of the plays: 1,115,394 characters, 65 different ones. It is looked for as
`tinyshakespeare.txt` in `data_dir` (or the folder `MINIGEN_DATA`) and its subfolder `text`, then in
the cache, then on the internet.
"""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import WHOLE, Dataset
from minigen.data.download import cache_folder, download
from minigen.data.idx import open_maybe_gzip
from minigen.errors import UserError

__all__ = ["TextBatches", "load", "load_text", "text_of"]

FILE = "tinyshakespeare.txt"
MD5 = "6fb458f1232090904fb40fe944165e91"
MIRRORS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
)
TRAIN_SHARE = 0.9


def load(split: str, data_dir: Path | None) -> Dataset:
    """Tiny Shakespeare: 1,003,854 characters train, 111,540 val, 65 different ones."""
    folders = _folders(data_dir)
    for folder in folders:
        if (folder / FILE).exists():
            return load_text(folder / FILE, split, "shakespeare")
    cached = cache_folder() / "text" / FILE
    if not cached.exists():
        try:
            download(MIRRORS, cached, MD5)
        except UserError as error:
            searched = ", ".join(str(folder) for folder in (*folders, cached.parent))
            raise UserError(
                f"shakespeare: {FILE} is not in {searched}, and {error}; accepted: a folder that "
                f"holds it, as data_dir or in MINIGEN_DATA"
            ) from None
    return load_text(cached, split, "shakespeare")


def load_text(path: Path, split: str, name: str | None = None) -> Dataset:
    """Read a split of a UTF-8 text file, plain or gzip; raises UserError, naming file and fault."""
    if split not in ("train", "val", WHOLE):
        raise UserError(f"split must be train or val for the text {name or path}, got {split!r}")
    if not path.is_file():
        raise UserError(f"{path} must be an existing text file, got {_what(path)}")
    with open_maybe_gzip(path) as stream:
        content = stream.read()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} must be UTF-8 text, got other bytes at {error.start}") from None
    if len(text) < 2:
        raise UserError(f"{path} must hold at least two characters, got {len(text)}")
    # One code point is four bytes: the text as an array, without a loop over it.
    characters = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    cut = min(max(int(len(characters) * TRAIN_SHARE), 1), len(characters) - 1)
    parts = {"train": characters[:cut], "val": characters[cut:], WHOLE: characters}
    part = parts[split]
    return Dataset(name or path.stem, split, part.astype(np.uint32), None, "text", None)


def text_of(dataset: Dataset) -> str:
    """The characters of a text data set as a string."""
    return dataset.data.astype("<u4").tobytes().decode("utf-32-le")


class TextBatches:
    """An endless iterator over windows of a text, whose place can be saved.

    >>> inputs, targets = next(TextBatches(tokens, context=128, batch_size=16, seed=0))
    >>> inputs.shape, targets.shape                          # both int64
    ((16, 128), (16, 128))

    `targets` is `inputs` moved on by one token. An epoch cuts the text into windows that do not
    overlap, from a random first token on, and takes each once in random order: every token is seen
    as often as any other, and next to every border sooner or later. What is left of an epoch that
    would not fill a batch is dropped. All draws are a function of (seed, epoch).

    tokens: (L,) integers, L > context.

    Raises UserError for sizes < 1, a seed < 0, or a text of at most `context` tokens.
    """

    def __init__(
        self, tokens: npt.NDArray[Any], *, context: int, batch_size: int, seed: int
    ) -> None:
        for name, value, least in (
            ("context", context, 1),
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
        ):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
                raise UserError(f"{name} must be an integer >= {least}, got {value!r}")
        if len(tokens) <= context:
            raise UserError(
                f"the text must be longer than the context of {context} tokens, got {len(tokens)}; "
                f"give a longer text or a smaller context"
            )
        self.tokens = np.asarray(tokens, dtype=np.int64)
        self.context, self.seed = operator.index(context), operator.index(seed)
        # Windows that fit wherever an epoch begins; a short text makes small batches.
        self._slack = min(self.context, len(tokens) - self.context)
        windows = (len(tokens) - self._slack) // self.context
        self.batch_size = min(operator.index(batch_size), windows)
        self.batches_per_epoch = windows // self.batch_size
        self._windows = windows
        self._batch = 0
        self._start_epoch(0)

    def __iter__(self) -> TextBatches:
        return self

    def __next__(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if self._batch == self.batches_per_epoch:
            self._start_epoch(self._epoch + 1)
            self._batch = 0
        first = self._batch * self.batch_size
        starts = self._starts[first : first + self.batch_size]
        self._batch += 1
        rows = starts[:, None] + np.arange(self.context + 1)  # (B,) -> (B, T + 1)
        windows = self.tokens[rows]
        return windows[:, :-1], windows[:, 1:]  # (B, T + 1) -> (B, T) twice

    def state(self) -> dict[str, Any]:
        """Return where the stream stands, as a dict that JSON can hold."""
        return {"seed": self.seed, "epoch": self._epoch, "batch": self._batch, **self._identity()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken; UserError if that was another text or another size."""
        expected = {"seed", "epoch", "batch", *self._identity()}
        if not isinstance(state, dict) or set(state) != expected:
            raise UserError(f"state must be a dict with keys {sorted(expected)}")
        for key, here in self._identity().items():
            if state[key] != here:
                raise UserError(
                    f"state must come from a stream with the same {key}: "
                    f"it was saved with {state[key]!r}, this stream has {here!r}"
                )
        self.seed = int(state["seed"])
        self._start_epoch(int(state["epoch"]))
        self._batch = int(state["batch"])

    def _identity(self) -> dict[str, Any]:
        return {"tokens": len(self.tokens), "context": self.context, "batch_size": self.batch_size}

    def _start_epoch(self, epoch: int) -> None:
        self._epoch = epoch
        random = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
        offset = random.integers(0, self._slack)
        self._starts = offset + self.context * random.permutation(self._windows)


def _folders(data_dir: Path | None) -> tuple[Path, ...]:
    origin = "data_dir"
    if data_dir is None and (named := os.environ.get("MINIGEN_DATA")):
        origin, data_dir = "MINIGEN_DATA", Path(named)
    if data_dir is None:
        return ()
    folder = data_dir.expanduser()
    if not folder.is_dir():
        raise UserError(f"{origin} must be an existing folder, got '{folder}'")
    return (folder, folder / "text")


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "none"
