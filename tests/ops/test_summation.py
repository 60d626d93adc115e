"""Every sum of float32 is right to a millionth of Σ|x|, however many terms and along any axis.

The terms have one sign: then the roundings of a running sum have one as well, and add up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from summing import BOUND, WAYS, assert_summed, running

import minigen as mg
from minigen.backends import active
from minigen.ops.attention import softmax_over_keys, softmax_over_keys_backward
from minigen.ops.coupling import affine_coupling
from minigen.ops.dense import dense
from minigen.ops.summation import FEW, dots, sum_columns, sum_rows
from minigen.ops.time_first import conv_time_first
from minigen.optim import clip_grad_norm_

every_way = pytest.mark.parametrize("way", WAYS)
some = settings(deadline=None, max_examples=40, derandomize=True, database=None)

MANY = 524_288
TENTH = float(np.float32(0.1))


def tenths(*shape: int) -> mg.Tensor:
    return mg.full(shape, 0.1)


def close(found: mg.Tensor, wanted: Any, rtol: float = BOUND) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy().astype(np.float64), wanted, rtol=rtol, atol=0)


# ---------------------------------------------------------------- sums


@st.composite
def terms(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...]]:
    """Numbers in some order in memory, perhaps with gaps, and the axes to be summed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    ndim = draw(st.integers(1, 4))
    shape = [draw(st.sampled_from([1, 2, 3, 7, 16, 17, 40])) for _ in range(ndim)]
    shape[draw(st.integers(0, ndim - 1))] = draw(st.sampled_from([16, 17, 129, 1000, 4097]))
    if np.prod(shape) > 300_000:
        shape = [min(n, 200) for n in shape[:2]]
    kind = draw(st.sampled_from(["constant", "positive", "one and crumbs", "any"]))
    x = np.full(shape, draw(st.sampled_from([0.1, 250.05, 1 / 3, 7.77, 3e-9])), np.float32)
    if kind == "positive":
        x = x * rng.random(shape, np.float32)
    elif kind == "one and crumbs":  # each crumb is lost if it is added to the one alone
        x = np.full(shape, 5e-8, np.float32)
        x.flat[0] = 1
    elif kind == "any":
        x = x * rng.standard_normal(shape, np.float32)
    x = x.transpose(rng.permutation(len(shape)))
    x = np.ascontiguousarray(x) if draw(st.booleans()) else x
    if draw(st.booleans()):
        x = np.repeat(x, 2, axis=draw(st.integers(0, x.ndim - 1)))
        x = x[tuple([slice(None, None, draw(st.sampled_from([1, 2]))) for _ in range(x.ndim)])]
    axes = draw(hnp.valid_tuple_axes(x.ndim, min_size=1))
    return x, tuple(axes)


@every_way
@some
@given(case=terms(), keepdim=st.booleans())
def test_sum_and_mean_are_exact_along_any_axis_in_any_order(way: str, case: Any, keepdim: bool):
    x, axes = case
    with running(way):
        total = mg.from_numpy(x).sum(axes, keepdim)
        mean = mg.from_numpy(x).mean(axes, keepdim)
        flat = total.reshape(x.sum(axis=axes).shape)
    assert total.shape == x.sum(axis=axes, keepdims=keepdim).shape
    assert_summed(flat, x, axes)
    np.testing.assert_allclose(mean.numpy() * (x.size // flat.numel()), total.numpy(), rtol=2e-7)


@every_way
@some
@given(rows=st.sampled_from([0, 1, 15, 16, 17, 33, 500, 5000]), columns=st.integers(0, 70))
def test_rows_and_columns_of_a_matrix_are_summed_exactly(way: str, rows: int, columns: int):
    rng = np.random.default_rng(rows + columns)
    x, y = rng.random((2, rows, columns)).astype(np.float32)
    y += 250
    with running(way):
        b, x_, y_ = active.backend, mg.from_numpy(x).data, mg.from_numpy(y).data
        assert_summed(mg.Tensor(sum_rows(b, x_)), x, 0)
        assert_summed(mg.Tensor(sum_columns(b, x_)), x, 1)
        products = x.astype(np.float64) * y
        for axis in (0, 1):
            found = mg.Tensor(dots(b, x_, y_, axis))
            close(found, products.sum(axis), 2 * BOUND)
        held = mg.ones(columns)
        assert sum_rows(b, x_, held.data, add=True) is held.data
        assert_summed(held, np.concatenate([x, np.ones((1, columns), np.float32)]), 0)


@every_way
def test_the_mean_of_four_million_rows_near_250_is_250(way: str):
    x = np.full((4_000_000, 2), 250.05, np.float32)
    with running(way):
        close(mg.from_numpy(x).mean(0), x[0], 2e-7)
        close(mg.from_numpy(x.T).mean(1), x[0], 2e-7)


@every_way
@pytest.mark.parametrize("rows", [100_000, 300_000])
def test_a_deviation_of_1_near_250_is_1(way: str, rows: int):
    x = np.random.default_rng(0).normal(250, 1, (rows, 2)).astype(np.float32)
    with running(way):
        deviation, variance = mg.from_numpy(x).std(0), mg.from_numpy(x).var(0)
    close(deviation, x.astype(np.float64).std(0, ddof=1))
    close(variance, x.astype(np.float64).var(0, ddof=1))


@every_way
def test_integers_are_summed_exactly_and_float64_in_float64(way: str):
    with running(way):
        large = mg.full((100,), 2**53 + 1, dtype="int64")
        assert large.sum().item() == 100 * (2**53 + 1)
        wide = mg.full((1000, 3), 0.1, dtype="float64").sum(0)
        assert wide.dtype == np.float64
        np.testing.assert_allclose(wide.numpy(), 100, rtol=1e-13)


@every_way
def test_few_terms_are_left_to_the_array_library(way: str):
    with running(way):
        x = mg.from_numpy(np.arange(FEW, dtype=np.float32))
        assert x.sum().item() == FEW * (FEW - 1) / 2


@every_way
def test_a_running_sum_of_a_million_does_not_run_away(way: str):
    with running(way):
        x = tenths(1_000_000).requires_grad_()
        out = x.cumsum(0)
        out.backward(tenths(1_000_000))
    truth = TENTH * np.arange(1, 1_000_001)
    close(out, truth)
    close(x.grad, truth[::-1])


@every_way
def test_a_norm_along_the_first_dimension_is_right(way: str):
    with running(way):
        close(mg.norm(tenths(400_000, 2), dim=0), np.sqrt(400_000) * TENTH)


# ---------------------------------------------------------------- gradients that are sums


@every_way
@pytest.mark.parametrize(
    ("wide", "narrow"),
    [((MANY, 8), (8,)), ((MANY, 1), (1,)), ((600, 16, 500), (16, 1)), ((700, 700), ()),
     ((3, MANY // 4), (3, 1))],
)  # fmt: skip
def test_what_broadcasting_repeated_is_summed_exactly(way: str, wide: Any, narrow: Any):
    with running(way):
        x = mg.zeros(narrow).requires_grad_()
        (x + mg.zeros(wide)).backward(tenths(*wide))
    close(x.grad, TENTH * np.prod(wide) / max(np.prod(narrow), 1))


@every_way
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu", "tanh", "sigmoid"])
def test_the_bias_gradient_of_a_dense_layer_is_exact(way: str, activation: str | None):
    with running(way):
        bias = mg.full((8,), 0.0 if activation in ("tanh", "sigmoid") else 0.5).requires_grad_()
        x, weight = mg.zeros(MANY, 2), mg.zeros(8, 2)
        y = mg.linear(x, weight, bias) if activation is None else dense(x, weight, bias, activation)
        y.backward(tenths(MANY, 8))
    close(bias.grad, MANY * TENTH * (0.25 if activation == "sigmoid" else 1))


CONVOLUTIONS = {
    "conv1d": ((8, 2, 65_536), (8, 2, 1), {}),
    "conv2d": ((32, 2, 128, 128), (8, 2, 3, 3), {"padding": 1}),
    "conv2d rectified": ((32, 2, 128, 128), (8, 2, 3, 3), {"padding": 1, "rectify": 0.0}),
    "conv2d in groups": ((32, 2, 128, 128), (8, 1, 1, 1), {"groups": 2}),
    "conv_transpose2d": ((32, 2, 64, 64), (2, 8, 2, 2), {"stride": 2}),
}


@every_way
@pytest.mark.parametrize("name", sorted(CONVOLUTIONS))
def test_the_bias_gradient_of_a_convolution_is_exact(way: str, name: str):
    shape, weight, options = CONVOLUTIONS[name]
    with running(way):
        bias, w = mg.zeros(8).requires_grad_(), mg.zeros(weight).requires_grad_()
        y = getattr(mg, name.split()[0])(mg.zeros(shape), w, bias, **options)
        y.backward(tenths(*y.shape))
    assert y.numel() == 8 * MANY
    close(bias.grad, MANY * TENTH)


@every_way
@pytest.mark.parametrize("own", [False, True])
def test_the_bias_gradient_of_a_convolution_over_time_is_exact(way: str, own: bool):
    with running(way):
        bias = (mg.zeros(2, 4) if own else mg.zeros(4)).requires_grad_()
        y = conv_time_first(mg.zeros(200_000, 2, 1), mg.zeros(4, 1, 1), bias)
        y.backward(tenths(*y.shape))
    close(bias.grad, TENTH * (200_000 if own else 400_000))


NORMS = {
    "layer_norm": ((100_000, 16), -1, lambda x, w, b: mg.layer_norm(x, 16, w, b)),
    "group_norm": ((10_000, 8, 20), 1, lambda x, w, b: mg.group_norm(x, 2, w, b)),
    "instance_norm": (
        (10_000, 8, 20), 1, lambda x, w, b: mg.instance_norm(x, weight=w, bias=b)
    ),
    "batch_norm": (
        (10_000, 8, 20), 1, lambda x, w, b: mg.batch_norm(x, None, None, w, b, training=True)
    ),
}  # fmt: skip


@every_way
@pytest.mark.parametrize("name", sorted(NORMS))
def test_the_gradients_by_scale_and_shift_of_a_norm_are_exact(way: str, name: str):
    shape, dim, function = NORMS[name]
    channels = shape[dim]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    axes = tuple([d for d in range(len(shape)) if d != dim % len(shape)])
    with running(way):
        w, b = mg.ones(channels).requires_grad_(), mg.zeros(channels).requires_grad_()
        y = function(mg.from_numpy(x), w, b)
        normed = y.detach().numpy()
        function(mg.from_numpy(x), w, b).backward(tenths(*shape))
        by_bias = b.grad
        w = mg.ones(channels).requires_grad_()
        g = np.where(normed > 0, 0.1, -0.1).astype(np.float32)
        function(mg.from_numpy(x), w, mg.zeros(channels)).backward(mg.from_numpy(g))
    close(by_bias, TENTH * x.size / channels)
    close(w.grad, (g.astype(np.float64) * normed).sum(axes), 2 * BOUND)


# ---------------------------------------------------------------- statistics and denominators


@every_way
def test_the_statistics_of_a_large_batch_are_right(way: str):
    x = np.where(np.arange(400_000) % 2, 250.55, 249.55).astype(np.float32)[:, None].repeat(3, 1)
    wide = x.astype(np.float64)
    with running(way):
        middle, variance = mg.zeros(3), mg.zeros(3)
        scale, shift = mg.ones(3), mg.zeros(3)
        mg.batch_norm(mg.from_numpy(x), middle, variance, scale, shift, training=True, momentum=1.0)
    close(middle, wide.mean(0), 2e-7)
    close(variance, wide.var(0, ddof=1), 1e-6)


@every_way
def test_the_statistics_of_a_wide_row_are_right(way: str):
    x = np.where(np.arange(300_000) % 2, 250.55, 249.55).astype(np.float32)
    with running(way):
        y = mg.layer_norm(mg.from_numpy(x[None]), 300_000, mg.ones(300_000), mg.zeros(300_000))
        z = mg.instance_norm(mg.from_numpy(x[None, :, None]).transpose(1, 2))
    for found in (y, z):  # a unit in the last place of 250 is 1.5e-5
        np.testing.assert_allclose(np.abs(found.numpy()), 1, rtol=1e-4)


@every_way
@pytest.mark.parametrize("dim", [0, 1])
def test_the_denominator_of_a_softmax_is_right(way: str, dim: int):
    x = np.full((400_000, 2), -0.1, np.float32)
    x[0] = 0
    share = 1 / (1 + 399_999 * np.exp(-TENTH))
    x, first = (x, np.s_[0]) if dim == 0 else (x.T, np.s_[:, 0])
    with running(way):
        t = mg.from_numpy(x)
        close(mg.softmax(t, dim)[first], share)
        close(mg.log_softmax(t, dim)[first], np.log(share))
        close(mg.logsumexp(t, dim), -np.log(share))


@every_way
@pytest.mark.parametrize("is_causal", [False, True])
def test_the_weights_of_attention_are_right_for_many_keys(way: str, is_causal: bool):
    keys, queries = 100_000, 2
    x = np.full((1, keys, queries), -0.1, np.float32)
    x[:, 0] = 0
    if is_causal:  # two queries see only themselves and what was before
        keys, x = 2, x[:, :2]
    share = 1 / (1 + (keys - 1) * np.exp(-TENTH))
    with running(way):
        b, weights = active.backend, mg.from_numpy(x.copy())
        softmax_over_keys(b, weights.data, scale=1.0, is_causal=is_causal)
        close(weights[0, 0, -1], share)
        g = tenths(1, keys, queries)
        softmax_over_keys_backward(b, g.data, weights.data, scale=1.0, is_causal=is_causal)
        assert abs(g.numpy()).max() <= 1e-6  # Σ w · 0.1 is 0.1


@every_way
def test_the_mean_of_a_loss_is_right_over_many_rows_and_columns(way: str):
    with running(way):
        close(mg.mse_loss(tenths(300_000, 3), mg.zeros(300_000, 3)), TENTH**2)
        close(mg.l1_loss(tenths(300_000, 3), mg.zeros(300_000, 3)), TENTH)
        target = mg.zeros(300_000, dtype="int64")
        close(mg.cross_entropy(tenths(300_000, 3), target), np.log(3))
        wide = np.full((2, 300_000), -0.1, np.float32)
        wide[:, 0] = 0
        loss = mg.cross_entropy(mg.from_numpy(wide), target[:2])
        close(loss, np.log(1 + 299_999 * np.exp(-TENTH)))
        of_rows = mg.binary_cross_entropy_with_logits(tenths(2, 300_000), mg.zeros(2, 300_000))
        close(of_rows, np.log1p(np.exp(TENTH)))


# ---------------------------------------------------------------- places, pools, norms


@every_way
@pytest.mark.parametrize("rows", [3, 700])
def test_a_row_of_an_embedding_read_very_often_gets_the_whole_sum(way: str, rows: int):
    index = np.zeros(MANY, np.int64)
    index[::4] = rows - 1
    with running(way):
        table = mg.zeros(rows, 2).requires_grad_()
        mg.embedding(mg.from_numpy(index), table).backward(tenths(MANY, 2))
    wanted = np.zeros((rows, 2))
    wanted[0], wanted[-1] = 0.75 * MANY * TENTH, 0.25 * MANY * TENTH
    close(table.grad, wanted)


@every_way
def test_what_is_scattered_to_one_place_is_summed_exactly(way: str):
    index = np.arange(200_000) % 2
    with running(way):
        i = mg.from_numpy(index)
        close(mg.scatter_add(mg.zeros(2), 0, i, tenths(200_000)), 100_000 * TENTH)
        x = mg.zeros(2, 2).requires_grad_()
        x[:, i].backward(tenths(2, 200_000))
        close(x.grad, 100_000 * TENTH)
        x = mg.zeros(2).requires_grad_()
        mg.gather(x, 0, i).backward(tenths(200_000))
        close(x.grad, 100_000 * TENTH)


@every_way
def test_the_mean_of_a_large_window_is_right(way: str):
    with running(way):
        close(mg.avg_pool2d(tenths(1, 1, 50, 50), 50), TENTH)
        x = tenths(1, 1, 1200, 1200)
        close(mg.adaptive_avg_pool2d(x, 1), TENTH)
        close(mg.adaptive_avg_pool2d(x, (1, 2)), TENTH)


@every_way
@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0])
def test_the_common_norm_of_many_gradients_is_right(way: str, norm_type: float):
    with running(way):
        parameters = [mg.zeros(n).requires_grad_() for n in (1_000_000, 3, 17)]
        for p in parameters:
            p.grad = tenths(*p.shape)
        found = clip_grad_norm_(parameters, 1e9, norm_type)
    close(found, 1_000_020 ** (1 / norm_type) * TENTH)


@every_way
def test_the_log_determinant_of_a_large_picture_is_right(way: str):
    with running(way):
        said = tenths(2, 2, 500, 500)
        close(affine_coupling(mg.zeros(2, 2, 500, 500), said)[1], 500_000 * np.tanh(TENTH / 2))
