"""Byte-pair encoding: pieces of text that occur often are one token (Sennrich et al. 2016).

A text begins as the bytes of its UTF-8 form, tokens 0 … 255. Training looks for the pair of
neighbours that occurs most often, makes it one token more, and does so again until there are as
many tokens as wanted; the list of these *merges* is all that was learned. Encoding repeats them
in that order. Since every byte is a token, there is no text without numbers, and since tokens are
bytes joined, every text comes back exactly.

Before all that, a text is cut into words with the blank before them, numbers and signs, over whose
borders nothing is merged (Radford et al. 2019, section 2.2): "dog." shares its token with "dog!".

The counting and merging is done by the `tokenizers` library (`pip install ".[bpe]"`). It works
on strings and writes a byte as a visible character: printable ones as themselves, the others as
characters from U+0100 on, so that a blank is "Ġ". The merges are kept in this writing, in which
each is a line of text, "Ġ t". Going from tokens to bytes needs no library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

__all__ = ["BytePairTokenizer"]

Ids = npt.NDArray[np.int64]


def _visible_bytes() -> list[str]:
    """The character that stands for each byte: the table of GPT-2."""
    itself = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in itself)
    stand_in = {byte: 0x100 + place for place, byte in enumerate(others)}
    return [chr(stand_in.get(byte, byte)) for byte in range(256)]


class BytePairTokenizer:
    """Tokens 0 … 255 are the bytes; every merge adds one.

    Args:
        merges: what training learned, in its order: two tokens with a blank between, "Ġ t".
    """

    def __init__(self, merges: Sequence[str]) -> None:
        self.merges = list(merges)
        symbols = _visible_bytes()
        self._numbers = {symbol: byte for byte, symbol in enumerate(symbols)}
        self._bytes = [bytes([byte]) for byte in range(256)]
        for merge in self.merges:
            left, _, right = merge.partition(" ")
            if left not in self._numbers or right not in self._numbers:
                raise UserError(f"merges must join two tokens that exist, got {merge!r}")
            if left + right not in self._numbers:  # "a bc" after "ab c" is no new token
                self._numbers[left + right] = len(self._bytes)
                joined = (self._bytes[self._numbers[part]] for part in (left, right))
                self._bytes.append(b"".join(joined))
        self.size = len(self._bytes)
        self._encoder: Any = None

    @classmethod
    def train(cls, text: str, vocabulary: int) -> BytePairTokenizer:
        """Learn the merges from `text`, until there are `vocabulary` tokens or no pairs left.

        Raises:
            UserError: for a vocabulary under 257, or when the `tokenizers` library is missing.
        """
        if type(vocabulary) is not int or vocabulary <= 256:
            raise UserError(f"vocabulary must be a whole number >= 257, got {vocabulary!r}")
        library = _library()
        encoder = _encoder(library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocabulary, initial_alphabet=_visible_bytes(), show_progress=False
        )
        encoder.train_from_iterator([text], trainer)
        learned = json.loads(encoder.to_str())["model"]["merges"]
        return cls([" ".join(pair) for pair in learned])

    def encode(self, text: str, where: str = "text") -> Ids:
        """Text → numbers (L,); only a half of a surrogate pair has none."""
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{where} must be Unicode text, got {text[error.start]!r}") from None
        if self._encoder is None:
            pairs = [tuple(merge.split(" ")) for merge in self.merges]
            self._encoder = _encoder(_library().models.BPE(vocab=self._numbers, merges=pairs))
        return np.array(self._encoder.encode(text).ids, dtype=np.int64)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that were joined."""
        return self._bytes[token]

    def describe(self) -> dict[str, Any]:
        """Kind and merges."""
        return {"kind": "bpe", "merges": self.merges}


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise UserError(
            'tokens=bpe needs the tokenizers library, which is missing: pip install ".[bpe]"'
        ) from None
    return tokenizers


def _encoder(model: Any) -> Any:
    """The library's pipeline round a model: cut into words, write bytes as characters, merge."""
    library = _library()
    encoder = library.Tokenizer(model)
    encoder.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return encoder
