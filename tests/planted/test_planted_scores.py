"""Classic mistakes in scores and their data, planted one at a time: a named check catches each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from suite import Plant, assert_caught, each_of, replace, test_of

import minigen as mg
from minigen.data import load, plane, resize
from minigen.metrics import features, frechet, kid, modes, precision_recall
from minigen.metrics.image_scores import unit_images

_FRECHET, _KID, _NEIGHBOURS, _MODES, _FEATURES = (
    f"metrics/test_{room}.py"
    for room in ("frechet", "kid", "precision_recall", "mode_coverage", "features")
)


def _covariance_without_mean(x: Any) -> Any:
    return x.mean(axis=0), x.T @ x / (len(x) - 1)


def _root_of_the_averaged_product(first: Any, second: Any) -> float:
    eigenvalues = np.linalg.eigvalsh((first @ second + second @ first) / 2)
    return float(np.sqrt(np.maximum(eigenvalues, 0)).sum())


def _root_without_cutting(first: Any, second: Any) -> float:
    root = frechet._square_root(first)
    with np.errstate(invalid="ignore"):
        return float(np.sqrt(np.linalg.eigvalsh(root @ second @ root)).sum())


def _radii_counting_itself(points: Any, k: int) -> Any:
    squares = ((points[:, np.newaxis] - points) ** 2).sum(-1)  # (N, N)
    return np.sort(squares, axis=1)[:, k - 1]


def _corners_aligned(old: int, new: int) -> Any:
    middles = np.arange(new) * (old - 1) / max(new - 1, 1)
    return np.maximum(0.0, 1.0 - np.abs(np.arange(old) - middles[:, np.newaxis]))


def _enlarged() -> Any:
    return resize.resize(unit_images(load("digits", "test"), 20), 28)


_Pair = precision_recall.PrecisionRecall


def _loaded_anew(check: Callable[[], None]) -> Callable[[], None]:
    """The check with no extractor in memory, before or after."""

    def run() -> None:
        features._load.cache_clear()
        try:
            check()
        finally:
            features._load.cache_clear()

    return run


PLANTS = [
    Plant(
        "a covariance without the mean taken off",
        replace(frechet, "moments", _covariance_without_mean),
        test_of(_FRECHET, "test_a_shift_adds_its_squared_length_and_nothing_else"),
    ),
    Plant(
        "the root of a matrix taken number by number",
        replace(frechet, "_trace_of_root", lambda a, b: np.trace(np.sqrt(np.abs(a * b)))),
        test_of(
            _FRECHET,
            "test_it_is_zero_for_equal_sets_symmetric_and_blind_to_order_rotation_and_common_shift",
        ),
    ),
    Plant(
        "the product of the covariances made symmetric by averaging",
        replace(frechet, "_trace_of_root", _root_of_the_averaged_product),
        test_of(
            _FRECHET,
            "test_of_two_by_two_covariances_that_do_not_commute_it_is_the_formula_of_the_root_s_trace",
        ),
    ),
    Plant(
        "a negative eigenvalue under the root",
        replace(frechet, "_trace_of_root", _root_without_cutting),
        test_of(
            _FRECHET, "test_fewer_samples_than_features_and_dead_features_give_a_finite_real_number"
        ),
    ),
    Plant(
        "a kernel distance with the diagonal in it",
        replace(kid, "_mean_of_pairs", lambda x: kid._kernel_sum(x, x) / len(x) ** 2),
        test_of(_KID, "test_it_has_no_bias_its_mean_over_draws_of_one_law_is_zero"),
    ),
    Plant(
        "a point that is its own nearest neighbour",
        replace(precision_recall, "neighbour_radii", _radii_counting_itself),
        test_of(_NEIGHBOURS, "test_it_is_what_the_definition_says", 3),
    ),
    Plant(
        "precision and recall exchanged",
        replace(
            precision_recall,
            "PrecisionRecall",
            lambda precision, recall: _Pair(precision=recall, recall=precision),
        ),
        test_of(
            _NEIGHBOURS,
            "test_a_generator_that_makes_one_of_two_clusters_is_precise_and_remembers_half",
        ),
    ),
    Plant(
        "the variance of a mode taken for its deviation",
        replace(
            modes,
            "MIXTURES",
            {name: plane.Mixture(c, sigma**2) for name, (c, sigma) in plane.MIXTURES.items()},
        ),
        test_of(_MODES, "test_the_data_reach_every_mode_and_989_of_1000_samples_hit", "grid"),
    ),
    Plant(
        "padded digits squeezed where their frame should be cut off",
        replace(features, "centre_crop", resize.resize),
        test_of(
            _FEATURES,
            "test_colours_a_frame_and_other_sizes_are_brought_to_28_grey_pixels",
            _enlarged,
        ),
    ),
    Plant(
        "random numbers of the training drawn by looking at its samples",
        replace(mg.Generator, "load_state", lambda generator, state: None),
        _loaded_anew(test_of(_FEATURES, "test_loading_leaves_the_default_generator_as_it_was")),
    ),
    Plant(
        "pixels resized as points, corner on corner",
        replace(resize, "_triangles", _corners_aligned),
        test_of("data/test_resize.py", "test_bilinear_by_a_half_is_the_weighted_mean_by_hand"),
    ),
]


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_in_a_score_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
