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

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.data.dataset import WHOLE, Dataset
from minigen.data.download import find_or_download
from minigen.data.idx import open_maybe_gzip
from minigen.data.stream import EpochStream, check_integer
from minigen.errors import UserError

__all__ = ["TextBatches", "load", "load_text", "text_of"]

FILE = "tinyshakespeare.txt"
MD5 = "6fb458f1232090904fb40fe944165e91"
MIRRORS = (
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
)
TRAIN_SHARE = 0.9

Tokens = npt.NDArray[np.int64]


def load(split: str, data_dir: Path | None) -> Dataset:
    """Tiny Shakespeare: 1,003,854 characters train, 111,540 val, 65 different ones."""
    path = find_or_download("shakespeare", FILE, "text", data_dir, MIRRORS, MD5)
    return load_text(path, split, "shakespeare")


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


class TextBatches(EpochStream[tuple[Tokens, Tokens]]):
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
        self.context = check_integer("context", context, 1)
        self.seed = check_integer("seed", seed, 0)
        wanted = check_integer("batch_size", batch_size, 1)
        if len(tokens) <= context:
            raise UserError(
                f"the text must be longer than the context of {context} tokens, got {len(tokens)}; "
                f"give a longer text or a smaller context"
            )
        self.tokens = np.asarray(tokens, dtype=np.int64)
        # Windows that fit wherever an epoch begins; a short text makes small batches.
        self._slack = min(self.context, len(tokens) - self.context)
        windows = (len(tokens) - self._slack) // self.context
        self.batch_size = min(wanted, windows)
        self.batches_per_epoch = windows // self.batch_size
        self._windows = windows
        self._begin(0)

    def _identity(self) -> dict[str, Any]:
        return {"tokens": len(self.tokens), "context": self.context, "batch_size": self.batch_size}

    def _start_epoch(self, epoch: int) -> None:
        random = self._generator(epoch)
        offset = random.integers(0, self._slack)
        self._starts = offset + self.context * random.permutation(self._windows)

    def _take(self, number: int, rows: slice) -> tuple[Tokens, Tokens]:
        places = self._starts[rows][:, None] + np.arange(self.context + 1)  # (B,) -> (B, T + 1)
        windows = self.tokens[places]
        return windows[:, :-1], windows[:, 1:]  # (B, T + 1) -> (B, T) twice


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else "none"
