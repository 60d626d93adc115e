"""Hyper-parameters: parsed by type, checked, and wrong ones told in one line with a hint."""

from dataclasses import dataclass

import pytest

from minigen.errors import UserError
from minigen.recipes.config import Config, option


@dataclass(frozen=True, kw_only=True)
class Example(Config):
    latent: int = option(20, "length of the code", minimum=1)
    hidden: tuple[int, ...] = option((512, 256), "widths", minimum=1)
    rate: float = option(1e-3, "learning rate", above=0, maximum=1)
    quick: bool = option(False, "skip the slow part")
    kind: str = option("a", "which one", choices=("a", "b"))
    window: int | None = option(None, "context, or none", minimum=2)


def test_every_type_is_parsed_from_its_text() -> None:
    values = Example.parse(["latent=2", "hidden=64,32", "rate=3e-4", "quick=yes", "kind=b"])
    assert values == {"latent": 2, "hidden": (64, 32), "rate": 3e-4, "quick": True, "kind": "b"}
    assert Example.parse(["window=none"]) == {"window": None}
    assert Example.parse(["window=8", "batch-size=4"]) == {"window": 8, "batch_size": 4}
    assert Example(**values).latent == 2


def test_a_whole_number_is_a_fine_float_but_not_the_other_way_round() -> None:
    assert Example(rate=1).rate == 1
    with pytest.raises(UserError, match=r"latent must be a whole number >= 1, got 2\.5"):
        Example(latent=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("latnet=2", r"--set key must be one of .*'latnet' \(did you mean 'latent'\?\)"),
        ("latent", "--set takes key=value, got 'latent'"),
        ("=3", "--set takes key=value, got '=3'"),
        ("latent=two", "latent must be a whole number >= 1, got 'two'"),
        ("latent=2.0", "latent must be a whole number >= 1, got '2.0'"),
        ("latent=", "latent must be a whole number >= 1, got ''"),
        ("hidden=3,x", "hidden must be whole numbers with commas between >= 1, got '3,x'"),
        ("rate=fast", "rate must be a number > 0 and <= 1, got 'fast'"),
        ("quick=perhaps", "quick must be true or false, got 'perhaps'"),
        ("window=few", "window must be a whole number >= 2, or none, got 'few'"),
    ],
)
def test_wrong_text_is_one_line_that_says_what_is_accepted(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Example.parse([text])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latent": 0}, "latent must be a whole number >= 1, got 0"),
        ({"latent": True}, "latent must be"),
        ({"hidden": (64, 0)}, "hidden must be whole numbers with commas between >= 1, got 64,0"),
        ({"hidden": 64}, "hidden must be"),
        ({"rate": 0.0}, "rate must be a number > 0"),
        ({"rate": float("nan")}, "rate must be"),
        ({"rate": float("inf")}, "rate must be"),
        ({"kind": "c"}, "kind must be a or b, got c"),
        ({"window": 1}, "window must be a whole number >= 2, or none, got 1"),
        ({"steps": -5}, "steps must be a whole number >= 1, got -5"),
    ],
)
def test_a_wrong_value_is_refused_at_construction(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Example(**values)


def test_an_option_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="latent is given twice"):
        Example.parse(["latent=2", "latent=3"])


def test_json_and_back_is_the_identity() -> None:
    config = Example(hidden=(3,), window=4, rate=0.25)
    assert Example.from_json(config.to_json()) == config
    with pytest.raises(UserError, match="'colour' is no option"):
        Example.from_json({"colour": 1})


def test_the_description_has_a_row_for_each_option_in_the_form_that_set_takes() -> None:
    rows = {name: (kind, default) for name, kind, default, _ in Example.describe()}
    assert rows["hidden"] == ("int,…", "512,256")
    assert rows["kind"] == ("a|b", "a")
    assert rows["window"] == ("int|none", "none")
    for name, (_, default) in rows.items():
        assert Example.parse([f"{name}={default}"])[name] == getattr(Example(), name)
