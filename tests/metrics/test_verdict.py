"""The verdict on fabricated curves: healthy ones pass, each sickness is called by its name."""

from typing import Any

import pytest

from minigen.metrics.verdict import verdict

STEPS = 2000


def train(count: int = 20, **changes: Any) -> list[dict[str, Any]]:
    """Lines of a healthy game; `changes` are functions of the line's place, 0 … count − 1."""
    healthy = {
        "discriminator_loss": lambda i: 1.2 + 0.1 * (i % 3),
        "generator_loss": lambda i: 0.9 + 0.1 * (i % 2),
        "real_accuracy": lambda i: 0.7,
        "fake_accuracy": lambda i: 0.75,
        "discriminator_grad_norm": lambda i: 0.5 + 0.1 * (i % 4),
        "generator_grad_norm": lambda i: 0.3,
        "slope_norm": lambda i: 0.95,
    }
    numbers = {**healthy, **changes}
    return [
        {"step": 50 * (i + 1), "split": "train", **{k: f(i) for k, f in numbers.items()}}
        for i in range(count)
    ]


def val(name: str, *values: float, **more: float) -> list[dict[str, Any]]:
    every = STEPS // len(values)
    return [
        {"step": every * (i + 1), "split": "val", name: value, **more}
        for i, value in enumerate(values)
    ]


def test_a_healthy_game_has_no_signs() -> None:
    records = train() + val("modes", 3, 6, 8, 8, modes_total=8, spread=0.97)
    assert verdict(records, STEPS) == {}
    assert verdict([], STEPS) == {}


@pytest.mark.parametrize(
    ("sign", "records", "shows"),
    [
        ("collapse", val("spread", 0.9, 1.0, 0.05), "0.05 of the data's"),
        ("lost modes", val("modes", 2, 8, 7, 3), "3 of 8 that were there at step 1000"),
        ("few modes", val("modes", 1, 2, 3, 3, modes_total=8), "3 of 8, and never"),
        (
            "unbeaten",
            train(real_accuracy=lambda i: 1.0, fake_accuracy=lambda i: 0.7 if i < 5 else 0.999),
            "100.0 % of real and 99.9 % of fake samples since step 300",
        ),
        ("no signal", train(generator_grad_norm=lambda i: 0.3 if i < 19 else 1e-5), "1e-05"),
        ("explosion", train(generator_loss=lambda i: 1.0 if i < 19 else 900.0), "generator_loss"),
        (
            "explosion",
            train(discriminator_loss=lambda i: -1.0 if i < 19 else -900.0),
            "discriminator_loss is 900",
        ),
        (
            "explosion",
            train(discriminator_grad_norm=lambda i: 0.5 if i < 19 else 4e3),
            "discriminator_grad_norm",
        ),
        ("slope", train(slope_norm=lambda i: 3.5), "a larger gradient_penalty"),
        ("slope", train(slope_norm=lambda i: 0.1), "more critic_steps"),
    ],
)
def test_each_sickness_is_named_with_its_number_and_what_to_try(
    sign: str, records: list[dict[str, Any]], shows: str
) -> None:
    found = verdict(records, STEPS)
    assert set(found) == {sign}
    assert found[sign].startswith(f"{sign} at step {records[-1]['step']}: ")
    assert shows in found[sign]
    assert "; try " in found[sign]


def test_a_new_generators_heap_is_no_collapse_unless_it_stays_one() -> None:
    assert verdict(val("spread", 0.05, 0.1, 0.9, 1.0)[:1], 8 * STEPS) == {}
    assert set(verdict(val("spread", 0.05, 0.1, 0.1, 0.1), STEPS)) == {"collapse"}


def test_a_discriminator_may_win_for_a_while() -> None:
    briefly = train(real_accuracy=lambda i: 1.0, fake_accuracy=lambda i: 1.0 if i > 12 else 0.6)
    assert verdict(briefly, STEPS) == {}
    only_real = train(real_accuracy=lambda i: 1.0)
    assert verdict(only_real, STEPS) == {}


def test_few_modes_are_not_held_against_a_young_run() -> None:
    assert verdict(val("modes", 1, 2, 3, 3, modes_total=8)[:1], STEPS) == {}


def test_a_small_loss_may_double_a_hundredfold_and_a_short_log_is_not_judged() -> None:
    tiny = train(discriminator_loss=lambda i: 1e-4 if i < 19 else 0.5)
    assert verdict(tiny, STEPS) == {}
    assert verdict(train(5, generator_loss=lambda i: 1.0 if i < 4 else 900.0), STEPS) == {}
