"""Classic mistakes of a WaveNet, planted one at a time: a named check catches each."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as np
from suite import Patch, Plant, assert_caught, changed, each_of, test_of

import minigen as mg
from minigen.data import clips, mulaw
from minigen.models import wavenet


def model_test(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_wavenet.py", name, *arguments)


FIELD = model_test("test_a_prediction_is_made_from_exactly_the_last_r_samples")
FORMULA = model_test("test_the_network_is_the_formula_of_the_paper_sample_by_sample")
QUEUES = model_test("test_queued_logits_equal_the_naive_ones_at_every_step", 3, 3)


def one_sample_ahead(original: Any, self: Any, rows: Any, conditions: Any) -> Any:
    return original(self, mg.concatenate([rows[1:], rows[-1:]], dim=0), conditions)


def only_the_last(original: Any, self: Any, rows: Any, conditions: Any) -> Any:
    z = original(self, rows, conditions)
    others = self.channels * (len(self.dilations) - 1)
    return mg.concatenate([z[..., :others] * 0.0, z[..., others:]], dim=2)


def added_twice(original: Any, self: Any, x: Any, condition: Any) -> Any:
    following, z = original(self, x, condition)
    return (None if following is None else following + x[self.dilation :]), z


def other_halves(original: Any, x: Any) -> Any:
    half = x.shape[-1] // 2
    return original(mg.concatenate([x[..., half:], x[..., :half]], dim=-1))


def first_layer_only(original: Any, self: Any, labels: Any, batch: int) -> Any:
    first, *others = original(self, labels, batch)
    return [first, *[other * 0.0 for other in others]]


def place_too_late(original: Any, self: Any, levels: Any) -> None:
    self.turn += 1
    original(self, levels)
    self.turn -= 1


def forgotten_neighbour(original: Any, self: Any, levels: Any) -> None:
    self.newest = levels
    original(self, levels)


def never_turning(original: Any, self: Any, levels: Any) -> None:
    original(self, levels)
    self.turn = 0


def sees_its_target(original: Any, self: Any) -> Any:
    levels, targets, labels = original(self)
    return np.concatenate([levels[:, 1:], targets[:, -1:]], axis=1), targets, labels


def without_sign(patch: Patch) -> None:
    patch.setattr(mulaw, "np", types.SimpleNamespace(**{**vars(np), "sign": np.ones_like}))


PLANTS = [
    Plant(
        "a dilation that does not double",
        changed(
            wavenet.Layer,
            "__init__",
            lambda original, self, channels, dilation, last: original(self, channels, 1, last),
        ),
        FIELD,
    ),
    Plant(
        "no shift: a prediction sees the sample that it predicts",
        changed(wavenet.WaveNet, "transform", one_sample_ahead),
        FIELD,
    ),
    Plant(
        "windows whose inputs hold their own targets",
        changed(clips.ClipBatches, "__next__", sees_its_target),
        test_of(
            "data/test_clips.py", "test_before_each_target_is_its_past_and_before_the_clip_silence"
        ),
    ),
    Plant(
        "a skip path that only the last layer takes",
        changed(wavenet.WaveNet, "transform", only_the_last),
        FORMULA,
    ),
    Plant("a residual added twice", changed(wavenet.Layer, "forward", added_twice), FORMULA),
    Plant("tanh and sigmoid exchanged", changed(mg, "gated_tanh", other_halves), FORMULA),
    Plant(
        "a label that is told to the first layer only",
        changed(wavenet.WaveNet, "conditions", first_layer_only),
        model_test("test_another_label_is_another_prediction_at_every_layer"),
    ),
    Plant("queues off by one", changed(wavenet.Queues, "push", place_too_late), QUEUES),
    Plant("queues that do not turn", changed(wavenet.Queues, "push", never_turning), QUEUES),
    Plant(
        "a first convolution that forgets the sample before",
        changed(wavenet.Queues, "push", forgotten_neighbour),
        QUEUES,
    ),
    Plant(
        "µ-law without the sign",
        without_sign,
        test_of("data/test_mulaw.py", "test_every_level_comes_back"),
    ),
    Plant(
        "µ-law with another base",
        lambda patch: patch.setattr(mulaw, "MU", 100),
        test_of("data/test_mulaw.py", "test_the_companded_value_is_the_equation_of_the_paper"),
    ),
]


@each_of(PLANTS)
def test_a_planted_mistake_of_a_wavenet_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
