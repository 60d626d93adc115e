"""The examples run, and show what they say."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_every_example_is_tested_here():
    names = {path.stem for path in EXAMPLES.glob("*.py")}
    assert names == {"anomaly", "gradients_of_gradients", "train_a_vae_by_hand"}


def test_gradients_of_gradients_converge_and_agree():
    example = runpy.run_path(str(EXAMPLES / "gradients_of_gradients.py"))
    assert example["newton_square_root"]() == pytest.approx(2**0.5, abs=1e-12)
    product, expected = example["hessian_vector_product"]()
    np.testing.assert_allclose(product.numpy(), expected.numpy(), rtol=1e-12)
    before, after = example["gradient_penalty"]()
    assert after < 0.1 * before


def test_the_vae_by_hand_learns_and_draws(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "digits.png"
    monkeypatch.setattr(sys, "argv", ["train", "60", str(picture)])
    runpy.run_path(str(EXAMPLES / "train_a_vae_by_hand.py"), run_name="__main__")
    first, last = capsys.readouterr().out.split("bound: ")[1].split(" nats")[0].split(" -> ")
    assert float(last) < float(first) - 5
    assert picture.stat().st_size > 1000


def test_anomalies_are_found_by_likelihood_or_are_likelier_than_digits_and_untypical(
    tmp_path, monkeypatch, capsys
):
    picture = tmp_path / "anomaly.png"
    monkeypatch.setattr(sys, "argv", ["anomaly", "150", str(picture)])
    runpy.run_path(str(EXAMPLES / "anomaly.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[0].split()[-1]) > 0.8
    found = {line[:18].strip(): [float(x) for x in line[18:].split()] for line in lines[4:7]}
    assert found["negatives"][1] > 0.99
    for name in ("lower half lost", "empty sheet"):
        _, by_likelihood, by_typicality = found[name]
        assert by_likelihood < 0.4
        assert by_typicality > 0.6
    assert picture.stat().st_size > 1000
