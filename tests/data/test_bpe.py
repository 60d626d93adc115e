"""Byte-pair encoding: any text comes back, the pairs that are merged, one line without library."""

import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minigen.data.bpe import BytePairTokenizer, _visible_bytes
from minigen.data.tokenizer import tokenizer_from
from minigen.errors import UserError

ENGLISH = "the cat sat on the mat; the rat sat on the cat. that is the end of the tale.\n" * 20
TRAINED = BytePairTokenizer.train(ENGLISH, 280)


def back(tokenizer: BytePairTokenizer, ids: np.ndarray) -> str:
    return b"".join(tokenizer.token_bytes(int(token)) for token in ids).decode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_text_comes_back_exactly(text: str) -> None:
    assert back(TRAINED, TRAINED.encode(text)) == text


def test_texts_that_trip_tokenizers_come_back_exactly() -> None:
    for text in ("", " ", "  a", "a\r\n\n\tb  ", "naïve – 𝄞", "<|endoftext|>", "\x00\x7f\xa0\xad"):
        assert back(TRAINED, TRAINED.encode(text)) == text
        assert TRAINED.encode(text).dtype == np.int64


def test_training_makes_the_tokens_that_were_asked_for_and_the_text_shorter() -> None:
    assert TRAINED.size == 280
    ids = TRAINED.encode(ENGLISH)
    assert ids.max() < 280
    assert len(ids) < 0.5 * len(ENGLISH)
    assert b" the" in {TRAINED.token_bytes(token) for token in range(280)}
    assert BytePairTokenizer.train(ENGLISH, 280).merges == TRAINED.merges


def test_the_first_merge_is_the_most_frequent_pair_counted_by_hand() -> None:
    # inside words: a·b 3 times, b·c twice, c·a once
    assert BytePairTokenizer.train("abc abc ab ca", 257).merges == ["a b"]


def test_bytes_keep_their_numbers_and_the_library_writes_them_as_here() -> None:
    from tokenizers import pre_tokenizers

    assert [TRAINED.token_bytes(byte) for byte in range(256)] == [bytes([b]) for b in range(256)]
    assert sorted(_visible_bytes()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    word = "é\n\x00 ÿ"  # each byte must become the character that stands for it here
    (piece,) = {"".join(p for p, _ in pre_tokenizers.ByteLevel(False).pre_tokenize_str(word))}
    assert piece == "".join(_visible_bytes()[byte] for byte in word.encode())


def test_a_short_text_makes_fewer_tokens_than_asked_for() -> None:
    short = BytePairTokenizer.train("abab", 1000)
    assert short.size == 258
    assert short.encode("abab").tolist() == [257]


def test_a_pair_that_makes_an_old_token_is_no_new_one() -> None:
    twice = BytePairTokenizer(["a b", "b c", "ab c", "a bc"])
    assert twice.size == 256 + 3
    assert twice.token_bytes(258) == b"abc"


def test_the_description_is_json_and_enough() -> None:
    again = tokenizer_from(json.loads(json.dumps(TRAINED.describe())))
    assert again.size == TRAINED.size
    assert again.encode(ENGLISH + "naïve").tolist() == TRAINED.encode(ENGLISH + "naïve").tolist()


def test_what_cannot_be_is_one_line() -> None:
    for vocabulary in (256, 3.5, "many"):
        with pytest.raises(UserError, match="vocabulary must be a whole number >= 257, got"):
            BytePairTokenizer.train(ENGLISH, vocabulary)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="merges must join two tokens that exist, got 'ab c'"):
        BytePairTokenizer(["ab c"])
    with pytest.raises(UserError, match=r"prompt must be Unicode text, got '.ud800'"):
        TRAINED.encode("a\ud800", "prompt")


def test_without_the_library_one_line_names_the_extra_and_reading_still_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    fresh = BytePairTokenizer(TRAINED.merges)
    assert fresh.token_bytes(279) == TRAINED.token_bytes(279)
    for call in (lambda: fresh.encode("a"), lambda: BytePairTokenizer.train(ENGLISH, 300)):
        with pytest.raises(UserError, match=r'pip install "\.\[bpe\]"') as caught:
            call()
        assert "\n" not in str(caught.value)
