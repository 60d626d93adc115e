"""Tokenizers: text to numbers and back.

A model of text sees numbers 0 … V − 1. What a number stands for is the tokenizer's business:

* `CharacterTokenizer`: one number for each character that the training text has;
* `ByteTokenizer`: the 256 bytes of UTF-8, for any text whatever;
* `BytePairTokenizer` (`minigen/data/bpe.py`): the bytes, and pieces of text that occur often.

All describe themselves as JSON (`describe`, `tokenizer_from`), so that a run knows its own
alphabet without its data. `token_bytes` gives the UTF-8 bytes of one token: texts are put
together from bytes, because a token need not be a whole character, and a word to stop at
need not begin or end where a token does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError, unknown_name

__all__ = [
    "TOKENS",
    "ByteTokenizer",
    "CharacterTokenizer",
    "Tokenizer",
    "tokenizer_for",
    "tokenizer_from",
]

TOKENS = ("characters", "bytes", "bpe")
"""The kinds there are."""

Ids = npt.NDArray[np.int64]


class Tokenizer(Protocol):
    """What every tokenizer can do."""

    size: int
    """V, the number of different tokens."""

    def encode(self, text: str, where: str = "text") -> Ids:
        """Text → numbers (L,); UserError that names `where` for text that has no numbers."""

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of one token."""

    def describe(self) -> dict[str, Any]:
        """All there is to know, as JSON; `tokenizer_from` is the inverse."""


class CharacterTokenizer:
    """One token for each character of an alphabet, numbered in the order of their code points.

    Args:
        alphabet: the characters; repetitions and order do not matter.
    """

    def __init__(self, alphabet: Iterable[str]) -> None:
        self.alphabet = "".join(sorted(set(alphabet)))
        if not self.alphabet:
            raise UserError("alphabet must have at least one character, got none")
        self.size = len(self.alphabet)
        self._points = _code_points(self.alphabet)

    def encode(self, text: str, where: str = "text") -> Ids:
        """Text → numbers (L,)."""
        points = _code_points(text)
        ids = np.minimum(np.searchsorted(self._points, points), self.size - 1)
        strange = np.flatnonzero(self._points[ids] != points)
        if len(strange):
            first = int(strange[0])
            raise UserError(
                f"{where} must use the {self.size} characters that the model was trained on, "
                f"got {text[first]!r} at character {first}"
            )
        return ids.astype(np.int64)

    def token_bytes(self, token: int) -> bytes:
        """The character in UTF-8."""
        return self.alphabet[token].encode()

    def describe(self) -> dict[str, Any]:
        """Kind and alphabet."""
        return {"kind": "characters", "alphabet": self.alphabet}


class ByteTokenizer:
    """The bytes of the text's UTF-8 form, 0 … 255."""

    size = 256

    def encode(self, text: str, where: str = "text") -> Ids:
        """Text → numbers (L,); only a half of a surrogate pair has none."""
        try:
            return np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
        except UnicodeEncodeError as error:
            raise UserError(f"{where} must be Unicode text, got {text[error.start]!r}") from None

    def token_bytes(self, token: int) -> bytes:
        """The byte."""
        return bytes([token])

    def describe(self) -> dict[str, Any]:
        """The kind says it all."""
        return {"kind": "bytes"}


def tokenizer_for(kind: str, text: str, vocabulary: int = 512) -> Tokenizer:
    """A new tokenizer for a training text; `vocabulary` is the size of "bpe" alone."""
    if kind == "characters":
        return CharacterTokenizer(text)
    if kind == "bytes":
        return ByteTokenizer()
    if kind == "bpe":
        from minigen.data.bpe import BytePairTokenizer

        return BytePairTokenizer.train(text, vocabulary)
    raise unknown_name("tokens", kind, TOKENS)


def tokenizer_from(description: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that described itself so."""
    kind = description.get("kind")
    if kind == "characters":
        return CharacterTokenizer(description["alphabet"])
    if kind == "bytes":
        return ByteTokenizer()
    if kind == "bpe":
        from minigen.data.bpe import BytePairTokenizer

        return BytePairTokenizer(description["merges"])
    raise unknown_name("tokens", kind, TOKENS)


def _code_points(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint32)
