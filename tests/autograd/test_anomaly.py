"""Anomaly mode: the first NaN or Inf names the op and the user's own line."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg

pytestmark = [
    pytest.mark.usefixtures("backend"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]


def leaf(*values):
    return mg.tensor(np.array(values), requires_grad=True)


def test_a_nan_in_the_forward_pass_names_op_and_line():
    x = leaf(1.0, -1.0)
    with mg.detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        mg.log(x)  # the guilty line
    message = str(caught.value)
    assert message.startswith("log gave NaN or Inf (all its inputs were finite), called at ")
    assert "test_anomaly.py" in message
    assert message.endswith("mg.log(x)  # the guilty line")
    assert "\n" not in message


def test_a_nan_in_the_backward_pass_names_the_line_of_the_forward_call():
    x = leaf(1.0, 0.0)
    with mg.detect_anomaly():
        y = mg.sqrt(x)  # the slope at 0 is infinite
        z = y.sum()
        with pytest.raises(FloatingPointError) as caught:
            z.backward()
    message = str(caught.value)
    assert message.startswith("backward of sqrt gave NaN or Inf for input 0; the op was called at")
    assert message.endswith("y = mg.sqrt(x)  # the slope at 0 is infinite")


def test_the_line_is_that_of_the_user_and_not_of_the_library():
    logits, labels = leaf(np.inf, 1.0).reshape(1, 2), mg.tensor([1])
    with mg.detect_anomaly(), pytest.raises(FloatingPointError) as caught:
        mg.cross_entropy(logits * 1.0, labels)  # here
    assert str(caught.value).endswith("# here")


def test_an_input_that_is_already_bad_is_said():
    x = leaf(np.nan, 1.0)
    with mg.detect_anomaly(), pytest.raises(FloatingPointError, match="input 0 already held one"):
        x + 1


def test_outside_nothing_is_checked_and_integers_never_are():
    mg.log(leaf(-1.0))
    with mg.detect_anomaly():
        mg.tensor([1, 2]) + 1


def test_create_graph_is_watched_too():
    x = leaf(0.0)
    with mg.detect_anomaly(), pytest.raises(FloatingPointError):
        mg.grad(mg.sqrt(x).sum(), x, create_graph=True)
