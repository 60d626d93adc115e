"""Tokenizers: there and back, unknown characters, and their own description."""

import json

import pytest

from minigen.data.tokenizer import (
    TOKENS,
    ByteTokenizer,
    CharacterTokenizer,
    tokenizer_for,
    tokenizer_from,
)
from minigen.errors import UserError

TEXT = "naïve – 𝄞\n"


def back(tokenizer, ids):
    return b"".join(tokenizer.token_bytes(int(token)) for token in ids).decode()


@pytest.mark.parametrize("tokenizer", [CharacterTokenizer(TEXT * 2), ByteTokenizer()])
def test_text_comes_back_and_a_description_is_enough(tokenizer):
    ids = tokenizer.encode(TEXT)
    assert 0 <= ids.min() <= ids.max() < tokenizer.size
    assert back(tokenizer, ids) == TEXT
    again = tokenizer_from(json.loads(json.dumps(tokenizer.describe())))
    assert again.size == tokenizer.size
    assert again.encode(TEXT).tolist() == ids.tolist()


def test_an_empty_text_has_no_tokens():
    assert CharacterTokenizer("ab").encode("").tolist() == []


def test_an_unknown_character_is_named_with_its_place():
    with pytest.raises(UserError, match=r"prompt must use the 2 characters .* 'é' at character 3"):
        CharacterTokenizer("ab").encode("abaéb", "prompt")


def test_half_a_surrogate_pair_is_no_text():
    for tokenizer in (ByteTokenizer(), CharacterTokenizer("ab")):
        with pytest.raises(UserError, match=r"got '.ud800'"):
            tokenizer.encode("a\ud800")


def test_no_alphabet_and_no_known_kind_are_refused():
    with pytest.raises(UserError, match="at least one character"):
        CharacterTokenizer("")
    with pytest.raises(UserError, match="tokens must be one of characters, bytes, bpe"):
        tokenizer_from({"kind": "letters"})
    with pytest.raises(UserError, match="tokens must be one of characters, bytes, bpe"):
        tokenizer_for("letters", TEXT)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(k, marks=[pytest.mark.tokenizers] if k == "bpe" else []) for k in TOKENS],
)
def test_a_kind_by_name_is_made_for_a_training_text(kind):
    tokenizer = tokenizer_for(kind, TEXT, 257)
    assert tokenizer.describe()["kind"] == kind
    assert back(tokenizer, tokenizer.encode(TEXT)) == TEXT
