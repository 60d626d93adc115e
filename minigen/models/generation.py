"""Drawing text from a model: temperature, top-k, top-p, and words to stop at.

A language model gives probabilities; a text is drawn from them token by token. Drawing from the
probabilities as they are is the model's honest voice. Three dials change it, in this order:

* *temperature* τ divides the logits: p ∝ exp(logit/τ). Under 1 the likely becomes likelier; τ → 0
  is argmax, which is what 0 means here.
* *top-k* keeps the k most likely tokens (Fan et al. 2018).
* *top-p* keeps the fewest tokens that together have at least probability p (Holtzman et al. 2020,
  "The curious case of neural text degeneration").

The choice is made on the host in float64, with a generator of its own: one seed gives one text, on
every backend, and a text is needed on the host after every token anyway, to see whether it ends.

A word to stop at may begin in one token and end in another. So texts grow as bytes, and after each
token the new bytes, with as many before them as the word is long, are searched.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import minigen as mg
from minigen.data.tokenizer import Tokenizer
from minigen.errors import UserError
from minigen.models.gpt import GPT
from minigen.numeric import is_integer, plain_number

__all__ = ["choose", "distribution", "generate"]

Array = npt.NDArray[Any]


def distribution(
    logits: Array, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Array:
    """The probabilities from which the next token is drawn: (N, V) → (N, V) float64.

    Among equally likely tokens, top-k and top-p prefer those with smaller numbers.
    """
    if temperature == 0:
        return np.eye(logits.shape[-1])[logits.argmax(axis=-1)]  # (N, V) -> (N,) -> (N, V)
    scaled = logits.astype(np.float64)
    scaled = (scaled - scaled.max(axis=-1, keepdims=True)) / temperature
    order = np.argsort(-scaled, axis=-1, kind="stable")  # (N, V), the likeliest first
    p = np.take_along_axis(np.exp(scaled), order, axis=-1)
    if top_k is not None:
        p[:, top_k:] = 0
    p /= p.sum(axis=-1, keepdims=True)
    if top_p is not None:
        before = np.cumsum(p, axis=-1) - p  # what the likelier ones have together
        p[before >= top_p] = 0
        p /= p.sum(axis=-1, keepdims=True)
    in_place = np.empty_like(p)
    np.put_along_axis(in_place, order, p, axis=-1)
    return in_place


def choose(probabilities: Array, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """One token for each row, by inverting the cumulative distribution: (N, V) → (N,)."""
    edges = np.cumsum(probabilities, axis=-1)
    u = random.random((len(edges), 1)) * edges[:, -1:]
    return (edges <= u).sum(axis=-1)  # (N, V) -> (N,); an edge of probability 0 is never chosen


def generate(
    model: GPT,
    tokenizer: Tokenizer,
    prompt: str,
    max_tokens: int = 50,
    n: int = 1,
    stop: str | Sequence[str] | None = None,
    temperature: float = 0.7,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
) -> list[str]:
    """`n` continuations of `prompt`, each without the prompt.

    Args:
        model: what predicts; it is put into evaluation mode for the time.
        tokenizer: its alphabet.
        prompt: at least one character.
        max_tokens: the longest continuation, in tokens.
        n: how many, drawn side by side.
        stop: a text, or several, at which a continuation ends; it is not part of it.
        temperature: >= 0; 0 is argmax.
        top_k: draw among so many of the likeliest tokens only.
        top_p: draw among the fewest tokens with so much probability only, in (0, 1].
        seed: decides the draws; a fresh one when None.

    Bytes at the end that make no whole character, when `max_tokens` cut one, are left out.

    Raises:
        UserError: one line for each argument that cannot be.
    """
    stops = _stops(stop)
    _check(max_tokens, n, temperature, top_k, top_p, seed)
    if not isinstance(prompt, str) or not prompt:
        raise UserError(f"prompt must be a text of at least one character, got {prompt!r}")
    ids = tokenizer.encode(prompt, "prompt")
    random = np.random.default_rng(secrets.randbits(64) if seed is None else seed)
    texts, ends = [bytearray() for _ in range(n)], [-1] * n
    was_training, cache = model.training, model.new_cache(n)
    model.eval()
    try:
        with mg.no_grad():
            new = np.repeat(ids[None], n, axis=0)  # (P,) -> (n, P)
            for _ in range(max_tokens):
                logits = model.cached_logits(mg.tensor(new), cache).numpy()  # (n, V)
                chosen = choose(distribution(logits, temperature, top_k, top_p), random)
                for row in range(n):
                    if ends[row] < 0:
                        ends[row] = _append(texts[row], tokenizer.token_bytes(chosen[row]), stops)
                if min(ends) >= 0:
                    break
                new = chosen[:, None]  # (n,) -> (n, 1)
    finally:
        model.train(was_training)
    return [_as_text(text[:end] if end >= 0 else text) for text, end in zip(texts, ends)]


def _append(text: bytearray, piece: bytes, stops: Sequence[bytes]) -> int:
    """Add a token's bytes; where the text ends if they completed a stop, else −1."""
    before = len(text)
    text += piece
    found = [text.find(stop, max(0, before - len(stop) + 1)) for stop in stops]
    return min((place for place in found if place >= 0), default=-1)


def _as_text(content: bytes | bytearray) -> str:
    """Bytes → text. A character cut off at the end is dropped, other damage shows as �."""
    for cut in range(min(4, len(content) + 1)):
        try:
            return content[: len(content) - cut].decode("utf-8")
        except UnicodeDecodeError as error:
            if error.reason != "unexpected end of data":
                break
    return content.decode("utf-8", errors="replace")


def _stops(stop: str | Sequence[str] | None) -> list[bytes]:
    given = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(given, (list, tuple)) or any(
        not isinstance(one, str) or not one for one in given
    ):
        raise UserError(f"stop must be a text of at least one character, or several, got {stop!r}")
    return [one.encode("utf-8", "replace") for one in given]


def _check(max_tokens: Any, n: Any, temperature: Any, top_k: Any, top_p: Any, seed: Any) -> None:
    for name, value, least in (
        ("max_tokens", max_tokens, 1),
        ("n", n, 1),
        ("top_k", top_k, 1),
        ("seed", seed, 0),
    ):
        if value is None and name in ("top_k", "seed"):
            continue
        if not is_integer(value) or value < least:
            raise UserError(f"{name} must be a whole number >= {least}, got {value!r}")
    if not _is_number(temperature) or temperature < 0:
        raise UserError(f"temperature must be a number >= 0, got {temperature!r}")
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        raise UserError(f"top_p must be a number > 0 and <= 1, got {top_p!r}")


def _is_number(value: Any) -> bool:
    return (plain := plain_number(value)) is not None and math.isfinite(plain)
