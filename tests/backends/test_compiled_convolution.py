"""The tiles of convolution against the plain products, and when they step aside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigen as mg
from minigen.backends import get_backend
from minigen.backends.compiled import KERNELS, support
from minigen.ops.kernel import defaults

few = settings(deadline=None, max_examples=60, derandomize=True, database=None)
CHANNELS = (1, 2, 3, 5, 8, 16, 24, 32, 48, 64, 100)


@pytest.fixture(scope="module", autouse=True)
def compiled() -> Iterator[None]:
    """The numpy backend with compiled kernels for arrays of any size."""
    with pytest.MonkeyPatch.context() as patch, mg.use("numpy") as backend:
        patch.setattr(support, "SMALL", 0)
        patch.setattr(backend, "kernels", dict(KERNELS))
        yield


class Drawn:
    """A convolution of random size: source, weight, windows, what it is rectified by."""

    def __init__(self, draw: st.DrawFn) -> None:
        number = st.integers
        self.rng = np.random.default_rng(draw(number(0, 999)))
        self.n, h, w = draw(number(1, 18)), draw(number(1, 9)), draw(number(1, 9))
        c, self.o = draw(st.sampled_from(CHANNELS)), draw(st.sampled_from(CHANNELS))
        place = st.tuples(number(-2, 2), number(-2, 2))
        self.taps = sorted(draw(st.lists(place, min_size=1, max_size=6, unique=True)))
        self.step = draw(st.tuples(number(1, 2), number(1, 2)))
        self.size = draw(st.tuples(number(1, 6), number(1, 6)))
        if draw(st.booleans()):  # a product of matrices
            self.taps, self.step, self.size = [(0, 0)], (1, 1), (h, w)
        self.slope = draw(st.sampled_from([1.0, 0.0, 0.2]))
        self.source = self.normal(self.n, h, w, c)
        self.weight = self.normal(len(self.taps), c, self.o)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)


@st.composite
def convolutions(draw: st.DrawFn) -> Drawn:
    """A random convolution."""
    return Drawn(draw)


def close(got: Any, expected: Any, terms: int) -> None:
    """Equal but for the order of a sum of so many terms."""
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * max(terms, 1) ** 0.5)


@few
@given(convolutions(), st.booleans(), st.booleans())
def test_a_product_of_windows_equals_the_plain_one(drawn, with_bias, gated):
    b, shape = get_backend("numpy"), (drawn.n, *drawn.size, drawn.o)
    bias = drawn.normal(drawn.o) if with_bias else None
    options = {"slope": drawn.slope, "like": drawn.normal(*shape) if gated else None, "gate": 0.2}
    given = (drawn.source, drawn.weight, drawn.taps, drawn.step, drawn.size)
    expected = defaults["correlate"](b, *given, None, bias, **options)
    before = drawn.source.copy()
    got = KERNELS["correlate"](b, *given, None, bias, **options)
    close(got, expected, drawn.weight[..., 0].size)
    np.testing.assert_array_equal(drawn.source, before)
    np.testing.assert_array_equal(KERNELS["correlate"](b, *given, None, bias, **options), got)


@few
@given(convolutions(), st.booleans())
def test_the_gradient_of_the_weight_equals_the_plain_one(drawn, with_bias):
    b, grad = get_backend("numpy"), drawn.normal(drawn.n, *drawn.size, drawn.o)
    given = (drawn.source, grad, drawn.taps, drawn.step, drawn.slope, with_bias)
    got = KERNELS["correlate_weight"](b, *given)
    if drawn.o % 16 and drawn.source.shape[3] % 16:
        return  # no side has whole vectors (of 16; where they have 8 it may be taken)
    for x, y in zip(got, defaults["correlate_weight"](b, *given), strict=True):
        assert (x is None) == (y is None)
        if x is not None:
            assert x.shape == y.shape
            close(x, y, grad[..., 0].size)
    for x, y in zip(got, KERNELS["correlate_weight"](b, *given)):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("taps", [[(-1, 0), (1, 1)], [(0, 0)]])
def test_a_result_may_have_gaps_and_a_source_may_be_part_of_a_larger_one(taps):
    b, rng = get_backend("numpy"), np.random.default_rng(0)
    whole = rng.normal(size=(3, 8, 9, 20)).astype(np.float32)
    weight = rng.normal(size=(len(taps), 20, 24)).astype(np.float32)
    given = (whole[:, 1:6, 2:7], weight, taps, (1, 1), (5, 5))
    results = [np.zeros((3, 10, 10, 24), np.float32) for _ in range(2)]
    for table, out in zip((defaults, KERNELS), results):
        part = out[:, ::2, 1::2]
        assert table["correlate"](b, *given, part) is part
    close(*results, 40)
    channels = whole[..., 5:15]  # gaps between the pixels
    got = KERNELS["correlate"](b, channels, weight[:, :10], *given[2:])
    if taps == [(0, 0)]:
        close(got, defaults["correlate"](b, channels, weight[:, :10], *given[2:]), 10)
    else:
        assert got is NotImplemented


@pytest.mark.parametrize(("n", "k", "o"), [(4, 30, 700), (100, 3, 130), (1, 100, 64)])
def test_many_channels_at_few_places_are_dealt_out_too(n, k, o):
    b, rng = get_backend("numpy"), np.random.default_rng(0)
    source, weight = (rng.normal(size=s).astype(np.float32) for s in [(n, 1, 1, k), (1, k, o)])
    given = (source, weight, [(0, 0)], (1, 1), (1, 1), None, weight[0, 0], 1.0)
    like = rng.normal(size=(n, 1, 1, o)).astype(np.float32)
    got = KERNELS["correlate"](b, *given, like, 0.5)
    close(got, defaults["correlate"](b, *given, like, 0.5), k)


def test_infinities_and_nan_pass_through_the_rectifier_as_in_numpy():
    b = get_backend("numpy")
    source = np.array([np.inf, -np.inf, np.nan, -1.0], np.float32).reshape(4, 1, 1, 1)
    weight = np.ones((1, 1, 16), np.float32)
    for slope in (0.0, 0.2, 1.0):
        given = (source, weight, [(0, 0)], (1, 1), (1, 1), None, None, slope)
        expected = defaults["correlate"](b, *given)
        np.testing.assert_array_equal(KERNELS["correlate"](b, *given), expected)


def test_what_the_tiles_do_not_handle_is_left_to_numpy():
    b, ones = get_backend("numpy"), np.ones
    weight = ones((1, 4, 16), np.float32)
    rest = ([(0, 0)], (1, 1), (3, 3))
    assert KERNELS["correlate"](b, ones((2, 3, 3, 4)), weight, *rest) is NotImplemented
    sideways = ones((2, 4, 3, 3), np.float32).transpose(0, 2, 3, 1)
    assert KERNELS["correlate"](b, sideways, weight, *rest) is NotImplemented
    backwards = ones((2, 3, 3, 4), np.float32)[:, ::-1]
    assert KERNELS["correlate"](b, backwards, weight, *rest) is NotImplemented
    odd = (ones((2, 3, 3, 5), np.float32), ones((2, 3, 3, 7), np.float32))
    assert KERNELS["correlate_weight"](b, *odd, [(0, 0)], (1, 1)) is NotImplemented


def test_a_kernel_whose_places_are_all_masked_has_the_gradient_0():
    x, w = (mg.tensor(np.ones(s, np.float32)) for s in [(4, 16, 9, 9), (16, 16, 3, 3)])
    for p in (x, w):
        p.requires_grad_()
    y = mg.masked_conv2d(x, w, mask=np.zeros((3, 3), dtype=bool))
    assert y.shape == (4, 16, 7, 7)
    assert not y.numpy().any()
    for g in mg.grad(y.sum(), [x, w]):
        assert not g.numpy().any()


def test_a_rectified_convolution_is_the_two_ops_after_one_another():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in [(2, 16, 7, 7), (32, 16, 3, 3), (32,)]]
    gradients = []
    for fused in (True, False):
        x, w, bias = (mg.tensor(a, requires_grad=True) for a in arrays)
        y = x if fused else mg.leaky_relu(x, 0.2)
        out = mg.conv2d(y, w, bias, padding=1, rectify=0.2 if fused else None)
        mg.square(out).sum().backward()
        gradients.append([out.numpy(), *[t.grad.numpy() for t in (x, w, bias)]])
    for one, other in zip(*gradients):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-2)
