"""Drawing text: the dials, words to stop at, and arguments that cannot be."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigen as mg
from minigen.data.bpe import BytePairTokenizer
from minigen.data.tokenizer import ByteTokenizer, CharacterTokenizer
from minigen.errors import UserError
from minigen.models.generation import choose, distribution, generate
from minigen.models.gpt import GPT

ALPHABET = "abcdefgh"


@pytest.fixture(scope="module")
def model() -> GPT:
    mg.manual_seed(5)
    model = GPT(len(ALPHABET), context=8, layers=1, heads=2, width=8)
    with mg.no_grad():
        for parameter in model.parameters():
            parameter.copy_(5 * parameter.detach())
    return model


class Script:
    """A stand-in for a model that says a given sequence of tokens, whatever it is told."""

    training = False

    def __init__(self, size: int, *rows: list[int]) -> None:
        self.size, self.rows, self.step = size, rows, 0

    def eval(self) -> None:
        self.step = 0

    def train(self, mode: bool) -> None:
        pass

    def new_cache(self, n: int) -> None:
        assert n == len(self.rows)

    def cached_logits(self, tokens: mg.Tensor, cache: None) -> mg.Tensor:
        said = [row[min(self.step, len(row) - 1)] for row in self.rows]
        self.step += 1
        return mg.tensor(np.eye(self.size)[said])


def say(tokenizer, *texts, **options):
    """What `generate` makes of a model that says these texts."""
    rows = [tokenizer.encode(text).tolist() for text in texts]
    options = {"max_tokens": max(map(len, rows)), "n": len(rows), "temperature": 0, **options}
    return generate(Script(tokenizer.size, *rows), tokenizer, "a", **options)


# ---------------------------------------------------------------- the dials


def test_the_dials_give_the_distributions_of_their_definitions():
    p = np.array([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]])
    logits = np.log(p) + 3.0
    np.testing.assert_allclose(distribution(logits), p, rtol=1e-12)
    np.testing.assert_allclose(
        distribution(logits, temperature=0.5), p**2 / (p**2).sum(1, keepdims=True), rtol=1e-12
    )
    np.testing.assert_array_equal(distribution(logits, temperature=0), [[0, 1, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_allclose(
        distribution(logits, top_k=2), [[0, 4 / 7, 0, 3 / 7], [7 / 8, 1 / 8, 0, 0]], rtol=1e-12
    )
    np.testing.assert_allclose(  # 0.4 + 0.3 reach 0.65, 0.7 alone does
        distribution(logits, top_p=0.65), [[0, 4 / 7, 0, 3 / 7], [1, 0, 0, 0]], rtol=1e-12
    )
    np.testing.assert_allclose(distribution(logits, top_k=9, top_p=1.0), p, rtol=1e-12)
    np.testing.assert_array_equal(
        distribution(logits, top_p=1e-9), distribution(logits, temperature=0)
    )


def test_a_tiny_temperature_neither_overflows_nor_differs_from_argmax():
    logits = np.array([[1.0, 2.0, -500.0]], np.float32)
    np.testing.assert_allclose(distribution(logits, temperature=1e-6), [[0, 1, 0]])


def test_draws_have_the_frequencies_of_the_distribution_and_never_its_zeros():
    p = np.repeat([[0.0, 0.5, 0.0, 0.2, 0.3, 0.0]], 40_000, axis=0)
    counts = np.bincount(choose(p, np.random.default_rng(0)), minlength=6) / len(p)
    assert counts[[0, 2, 5]].sum() == 0
    np.testing.assert_allclose(counts, p[0], atol=0.01)


def test_temperature_0_follows_the_naive_argmax_past_the_window(model):
    tokenizer = CharacterTokenizer(ALPHABET)
    (text,) = generate(model, tokenizer, "abc", max_tokens=20, temperature=0)
    ids = tokenizer.encode("abc").tolist()
    with mg.no_grad():
        for _ in range(20):
            ids.append(int(model.next_logits(mg.tensor(np.array([ids]))).numpy().argmax()))
    assert text == "".join(ALPHABET[i] for i in ids[3:])


def test_one_seed_gives_one_text_and_the_rows_differ(model):
    tokenizer = CharacterTokenizer(ALPHABET)
    one, two = (
        generate(model, tokenizer, "a", n=4, temperature=1.5, max_tokens=30, seed=3)
        for _ in range(2)
    )
    assert one == two
    assert len(set(one)) == 4
    assert {len(text) for text in one} == {30}
    other = generate(model, tokenizer, "a", n=4, temperature=1.5, max_tokens=30, seed=4)
    fresh = generate(model, tokenizer, "a", n=4, temperature=1.5, max_tokens=30)
    assert one != other
    assert fresh != generate(model, tokenizer, "a", n=4, temperature=1.5, max_tokens=30)


def test_the_model_stays_in_the_mode_it_was_in(model):
    for mode in (True, False):
        model.train(mode)
        generate(model, CharacterTokenizer(ALPHABET), "a", max_tokens=2)
        assert model.training is mode


# ---------------------------------------------------------------- stops


def test_a_stop_that_straddles_tokens_ends_the_text_before_it():
    tokenizer = CharacterTokenizer(ALPHABET)
    assert say(tokenizer, "abcdefgh", stop="def") == ["abc"]
    assert say(tokenizer, "abcdefgh", stop=["gh", "cd"]) == ["ab"]
    assert say(tokenizer, "aabaac", stop="aac") == ["aab"]  # after a false start
    assert say(tokenizer, "abc", stop="abc") == [""]
    assert say(tokenizer, "abc", stop="abcd") == ["abc"]
    assert say(tokenizer, "abab", stop=[]) == ["abab"]


def test_a_stop_inside_a_longer_token_ends_the_text_there():
    words = SimpleNamespace(
        size=3,
        encode=lambda text, where="": np.array([0]),
        token_bytes=lambda token: [b"to be", b", or not", b" to be"][token],
    )
    script = Script(3, [0, 1, 2])
    options = {"max_tokens": 3, "temperature": 0}
    assert generate(script, words, "x", stop="e, o", **options) == ["to b"]
    assert generate(script, words, "x", stop=["not t", "r"], **options) == ["to be, o"]
    assert generate(script, words, "x", **options) == ["to be, or not to be"]


def test_a_stop_that_straddles_byte_pairs_ends_the_text_before_it():
    pairs = BytePairTokenizer.train("to be, or not to be: that is the question. " * 9, 300)
    said = "to be, or not to be: naïve"
    pieces = [pairs.token_bytes(int(token)) for token in pairs.encode(said)]
    assert b" be" in pieces  # so that these stops begin and end inside tokens
    assert say(pairs, said, stop="e, o") == ["to b"]
    assert say(pairs, said, stop=["be:", "r n"]) == ["to be, o"]
    assert say(pairs, said, stop="ve") == ["to be, or not to be: naï"]
    assert say(pairs, said) == [said]
    cut = next(place for place, piece in enumerate(pieces) if piece == "ï".encode()[:1])
    assert say(pairs, said, max_tokens=cut + 1) == ["to be, or not to be: na"]


def test_rows_end_on_their_own():
    assert say(CharacterTokenizer(ALPHABET), "abcdef", "defghh", stop="e") == ["abcd", "d"]


def test_the_prompt_is_no_part_of_a_stop():
    assert say(CharacterTokenizer(ALPHABET), "bcd", stop="ab") == ["bcd"]


def test_bytes_make_characters_and_one_cut_in_two_is_left_out():
    tokenizer = ByteTokenizer()
    said = "né – 𝄞"
    length = len(said.encode())
    assert say(tokenizer, said, max_tokens=length) == [said]
    assert say(tokenizer, said, max_tokens=length - 1) == ["né – "]
    assert say(tokenizer, said, max_tokens=2) == ["n"]
    assert say(tokenizer, said, max_tokens=length, stop="–") == ["né "]
    broken = Script(256, [0xFF, 65])
    assert generate(broken, tokenizer, "x", max_tokens=2, temperature=0) == ["\ufffdA"]


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "abcé"}, "prompt must use the 8 characters .*got 'é' at character 3"),
        ({"prompt": ""}, "prompt must be a text of at least one character"),
        ({"max_tokens": 0}, "max_tokens must be a whole number >= 1, got 0"),
        ({"max_tokens": 1.5}, "max_tokens must be a whole number >= 1, got 1.5"),
        ({"n": 0}, "n must be a whole number >= 1, got 0"),
        ({"stop": ""}, "stop must be a text of at least one character, or several, got ''"),
        ({"stop": ["a", ""]}, "stop must be"),
        ({"stop": 3}, "stop must be"),
        ({"temperature": -0.1}, "temperature must be a number >= 0, got -0.1"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"top_k": 0}, "top_k must be a whole number >= 1, got 0"),
        ({"top_p": 0.0}, "top_p must be a number > 0 and <= 1, got 0.0"),
        ({"top_p": 1.1}, "top_p must be"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
    ],
)
def test_what_cannot_be_is_one_line(model, arguments, message):
    with pytest.raises(UserError, match=message) as caught:
        generate(model, CharacterTokenizer(ALPHABET), **{"prompt": "a", **arguments})
    assert "\n" not in str(caught.value)
