"""What ops do where an argument is left out: as PyTorch does. (The descriptions name them all.)"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import minigen as mg

IMAGE = np.arange(18.0, dtype="f4").reshape(1, 2, 3, 3)


def test_windows_lie_side_by_side_without_padding():
    x = mg.tensor(IMAGE)
    line = x[:, :, 0]
    w, turned = mg.ones(4, 2, 2, 2), mg.ones(2, 4, 2, 2)
    windows = mg.unfold(x, 2)
    for given, named in [
        (windows, mg.unfold(x, 2, dilation=1, padding=0, stride=1)),
        (
            mg.fold(windows, (3, 3), 2),
            mg.fold(windows, (3, 3), 2, dilation=1, padding=0, stride=1),
        ),
        (mg.conv2d(x, w), mg.conv2d(x, w, None, 1, 0, 1, 1)),
        (mg.conv1d(line, w[..., 0]), mg.conv1d(line, w[..., 0], None, 1, 0, 1, 1)),
        (mg.conv_transpose2d(x, turned), mg.conv_transpose2d(x, turned, None, 1, 0, 0, 1, 1)),
        (
            mg.conv_transpose1d(line, turned[..., 0]),
            mg.conv_transpose1d(line, turned[..., 0], None, 1, 0, 0, 1, 1),
        ),
        (mg.max_pool2d(x, 2), mg.max_pool2d(x, 2, 2, 0, 1, False)),
        (mg.avg_pool2d(x, 2), mg.avg_pool2d(x, 2, 2, 0, False, True, None)),
        (mg.max_pool1d(x[0], 2), mg.max_pool1d(x[0], 2, 2, 0, 1, False)),
        (mg.avg_pool1d(x[0], 2), mg.avg_pool1d(x[0], 2, 2, 0, False, True)),
    ]:
        np.testing.assert_array_equal(given.numpy(), named.numpy())
    assert windows.shape == (1, 8, 4)
    np.testing.assert_array_equal(windows[0, 0].numpy(), [0, 1, 3, 4])


def test_the_norm_of_matrices_is_that_of_the_last_two_dimensions():
    x = IMAGE[0]
    np.testing.assert_allclose(
        mg.linalg.matrix_norm(mg.tensor(x)).numpy(), np.sqrt((x**2).sum((1, 2))), rtol=1e-6
    )
    np.testing.assert_array_equal(
        mg.linalg.matrix_norm(mg.tensor(x), 1).numpy(), abs(x).sum(1).max(1)
    )


REDUCTIONS = [
    (holder, name)
    for holder in (mg, mg.linalg)
    for name in dir(holder)
    if not name.startswith("_")
    and inspect.isfunction(getattr(holder, name))
    and "keepdim" in inspect.signature(getattr(holder, name)).parameters
]


def test_all_reductions_are_found():
    assert len(REDUCTIONS) >= 20


@pytest.mark.parametrize(("holder", "name"), REDUCTIONS, ids=[name for _, name in REDUCTIONS])
def test_a_reduced_dimension_goes_unless_it_is_kept(holder, name):
    reduce, x = getattr(holder, name), mg.tensor(IMAGE[0])  # (2, 3, 3)
    dim = (0, 1) if name == "matrix_norm" else 1
    for options, shape in (
        ({}, (3,) if name == "matrix_norm" else (2, 3)),
        ({"keepdim": True}, (1, 1, 3) if name == "matrix_norm" else (2, 1, 3)),
    ):
        out = reduce(x, dim=dim, **options)
        for part in out if isinstance(out, tuple) else (out,):
            assert part.shape == shape
