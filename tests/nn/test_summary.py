"""The table of layers: counts that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest

import minigen as mg
from minigen import nn


def test_counts_of_a_small_network():
    model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10, bias=False))
    table = model.summary((1, 784))
    assert [(r.name, r.kind, r.shape) for r in table.rows] == [
        ("", "Sequential", (1, 10)),
        ("0", "Linear", (1, 512)),
        ("1", "ReLU", (1, 512)),
        ("2", "Linear", (1, 10)),
    ]
    assert table.parameters == 784 * 512 + 512 + 512 * 10
    assert table.multiply_adds == 784 * 512 + 512 * 10
    assert model.summary((3, 784)).multiply_adds == 3 * table.multiply_adds


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 5, 4), 2 * 8 * 5 * 4 * 3 * 9),
        (nn.Conv2d(4, 8, 3, groups=2, stride=2), (1, 4, 5, 5), 8 * 2 * 2 * 2 * 9),
        (nn.Conv1d(3, 8, 3), (1, 3, 7), 8 * 5 * 3 * 3),
        (nn.ConvTranspose2d(3, 8, 4, stride=2), (1, 3, 5, 5), 3 * 5 * 5 * 8 * 16),
        (nn.MaskedConv2d(2, 8, 7, padding=3, mask_type="A"), (1, 2, 9, 9), 8 * 81 * 2 * 24),
        (nn.MaskedConv2d(2, 8, 3, padding=1, mask_type="B"), (1, 2, 9, 9), 8 * 81 * 2 * 5),
        (nn.LSTM(3, 5), (7, 2, 3), 7 * 2 * (4 * 5 * 3 + 4 * 5 * 5)),
        (nn.GRUCell(3, 5), (2, 3), 2 * (3 * 5 * 3 + 3 * 5 * 5)),
        (nn.InvertibleConv1x1(3), (2, 3, 4, 4), 2 * 16 * 9),
        # projections 3·T·E² + E², scores and means 2·T²·E
        (
            nn.MultiheadAttention(4, 2, batch_first=True),
            (2, 3, 4),
            2 * (4 * 3 * 16 + 2 * 9 * 4),
        ),
        (nn.MultiheadAttention(4, 2), (3, 2, 4), 2 * (4 * 3 * 16 + 2 * 9 * 4)),
    ],
)
def test_multiply_adds_are_those_of_the_formula(layer, shape, expected):
    assert layer.summary(shape).multiply_adds == expected


def test_the_text_has_a_line_for_each_layer_and_the_totals():
    text = str(nn.Sequential(nn.Linear(784, 512), nn.ReLU()).summary((1, 784)))
    lines = text.splitlines()
    assert lines[0].split() == ["layer", "output", "shape", "parameters", "multiply-adds"]
    assert lines[3].split() == ["0:", "Linear", "(1,", "512)", "401,920", "401,408"]
    assert lines[-1].split() == ["total", "401,920", "401,408"]


def test_looking_changes_nothing():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.ReLU())
    model[1].eval()
    before = {k: v.numpy().copy() for k, v in model.state_dict().items()}
    model.summary((4, 3))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_hooks_are_gone_after_an_error_too():
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="Linear: input must have 3 features"):
        model.summary((1, 4))
    assert not any(m._forward_hooks for m in model.modules())
    assert model.training


def test_an_uninitialized_actnorm_stays_uninitialized():
    layer = nn.ActNorm(3)
    layer.summary((4, 3))
    assert not layer.initialized.item()


def test_inputs_may_be_tensors_and_several():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(4, 3)

        def forward(self, index: mg.Tensor, x: mg.Tensor) -> mg.Tensor:
            return self.table(index) + x

    assert Two().summary(mg.tensor([0, 1]), (2, 3)).rows[0].shape == (2, 3)
    with pytest.raises(ValueError, match="summary needs the shape of an input"):
        Two().summary()
