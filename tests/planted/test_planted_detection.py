"""Classic mistakes of scores, detectors and byte pairs, planted one at a time.

As in `test_planted_bugs.py`: a check counts only if it passes on minigen as it is and fails with
the mistake.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from suite import Plant, assert_caught, each_of, folder, module_of, replace, test_of

from minigen.data import bpe
from minigen.models import generation
from minigen.recipes import gpt as gpt_recipe

DETECTION = module_of("metrics/test_detection.py")

_token_nats = gpt_recipe._token_nats


def stop_in_the_newest_piece(text: bytearray, piece: bytes, stops: Sequence[bytes]) -> int:
    """Looks for the stop in what one token brought."""
    before = len(text)
    text += piece
    found = [text.find(stop, before) for stop in stops]
    return min((place for place in found if place >= 0), default=-1)


PLANTS = [
    Plant(
        "an area under the curve that counts ties as misses",
        replace(DETECTION, "auroc", lambda a, b: float((a[:, None] > b[None]).mean())),
        test_of(
            "metrics/test_detection.py",
            "test_the_rank_formula_is_the_share_of_pairs_in_the_right_order",
        ),
    ),
    Plant(
        "typicality that only minds what is too unlikely",
        replace(
            DETECTION, "untypicality", lambda scores, training: training.mean() - np.array(scores)
        ),
        test_of(
            "metrics/test_detection.py",
            "test_the_origin_of_many_normal_coordinates_is_likelier_than_any_sample_and_untypical",
        ),
    ),
    Plant(
        "the characters that stand for bytes taken for the text",
        replace(
            bpe.BytePairTokenizer,
            "token_bytes",
            lambda self, token: {n: s for s, n in self._numbers.items()}[token].encode(),
        ),
        test_of("data/test_bpe.py", "test_texts_that_trip_tokenizers_come_back_exactly"),
    ),
    Plant(
        "each token's cost put down to the token before it",
        replace(gpt_recipe, "_token_nats", lambda model, ids: np.roll(_token_nats(model, ids), -1)),
        test_of(
            "recipes/test_gpt_recipe.py",
            "test_the_score_of_a_line_is_that_of_its_tokens_after_the_text_before_it",
            folder,
            "characters",
        ),
    ),
    Plant(
        "a stop that is looked for inside one token alone",
        replace(generation, "_append", stop_in_the_newest_piece),
        test_of(
            "models/test_generation.py",
            "test_a_stop_that_straddles_byte_pairs_ends_the_text_before_it",
        ),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_of_scores_and_tokens_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
