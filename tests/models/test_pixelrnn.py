"""PixelRNN: who sees whom, what sampling with carried state computes, and what is refused."""

import math

import numpy as np
import pytest

import minigen as mg
from minigen.errors import UserError
from minigen.models.pixelrnn import KINDS, PixelRNN, shift_down
from minigen.models.raster import Naive
from minigen.testing import check_grads


def tiny(
    kind: str, height: int = 6, width: int = 5, layers: int = 1, hidden: int = 3, **options: object
) -> PixelRNN:
    """float64 and large weights, so that every path there is can be seen."""
    mg.manual_seed(7)
    model = PixelRNN((1, height, width), kind, hidden, layers, **options).to_dtype("float64")
    with mg.no_grad():
        for p in model.parameters():
            p.copy_(2.0 * p.detach())
    return model


def some_images(n: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((n, 1, height, width)) < 0.5).astype(float)


def jacobian(kind: str, height: int, width: int, layers: int, **options: int) -> np.ndarray:
    """|∂ logit (r, c) / ∂ pixel (s, d)|, the largest over some images: (H, W, H, W)."""
    mg.manual_seed(7)
    model = PixelRNN((1, height, width), kind, 4, layers, **options).to_dtype("float64")
    with mg.no_grad():
        for name, p in model.named_parameters():  # no ReLU in the head may hide a path
            p.copy_((p.detach() + 30.0) if name == "last.bias" else 2.0 * p.detach())
    x = mg.tensor(some_images(3, height, width), requires_grad=True)
    found = np.zeros((height, width, height, width))
    out = model(x)
    for r in range(height):
        for c in range(width):
            (gradient,) = mg.grad(out[:, 0, r, c].sum(), [x], retain_graph=True)
            found[r, c] = np.abs(gradient.numpy()[:, 0]).max(axis=0)
    return found


def past(height: int, width: int) -> np.ndarray:
    """True where pixel (s, d) comes before (r, c) in raster order."""
    raster = np.arange(height * width).reshape(height, width)
    return raster[None, None] < raster[:, :, None, None]


# ---------------------------------------------------------------- who sees whom


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_no_output_depends_on_its_own_or_a_later_pixel(kind, layers):
    seen = jacobian(kind, 5, 6, layers, first_kernel=3)
    assert (seen[~past(5, 6)] == 0).all()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("height", "width"), [(7, 9), (9, 4), (3, 12), (5, 1), (1, 5)])
def test_an_output_of_the_diagonal_bilstm_depends_on_every_pixel_before(height, width, layers):
    seen = jacobian("diagonal", height, width, layers, first_kernel=3)
    np.testing.assert_array_equal(seen != 0, past(height, width))


def triangle(height: int, width: int, layers: int, kernel: int, first: int) -> np.ndarray:
    """What a Row LSTM may see, from the sets of cells that each step reads."""
    side, reach = kernel // 2, first // 2
    inside = lambda r, c: 0 <= r < height and 0 <= c < width
    cells = [(r, c) for r in range(height) for c in range(width)]
    features = {
        (r, c): {
            (s, d) for s, d in cells if r - s <= reach and abs(c - d) <= reach and (s, d) < (r, c)
        }
        for r, c in cells
    }
    for _ in range(layers):
        states: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for r, c in cells:
            reads = [features[r, c - k] for k in range(side + 1) if inside(r, c - k)]
            reads += [states[r - 1, c + k] for k in range(-side, side + 1) if inside(r - 1, c + k)]
            states[r, c] = set().union(*reads)
        features = {place: features[place] | states[place] for place in cells}
    found = np.zeros((height, width, height, width), bool)
    for place in cells:
        for other in features[place]:
            found[place][other] = True
    return found


@pytest.mark.parametrize(("layers", "kernel"), [(1, 3), (2, 3), (1, 5), (1, 1)])
def test_an_output_of_the_row_lstm_sees_a_triangle_that_opens_upwards(layers, kernel):
    height, width = 6, 11
    seen = jacobian("row", height, width, layers, kernel=kernel, first_kernel=3) != 0
    np.testing.assert_array_equal(seen, triangle(height, width, layers, kernel, 3))
    assert not seen[past(height, width)].all()  # which is not all of the past


def test_shifting_down_loses_the_last_row_and_starts_with_zeros():
    x = mg.tensor(np.arange(12.0).reshape(1, 3, 2, 2))
    down = shift_down(x).numpy()
    np.testing.assert_array_equal(down[:, 0], 0.0)
    np.testing.assert_array_equal(down[:, 1:], x.numpy()[:, :2])


# ---------------------------------------------------------------- values and gradients


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_adds_to_what_it_is_given(kind):
    model = tiny(kind)
    x = mg.tensor(np.random.default_rng(0).normal(size=(2, 6, 6, 5)))
    image = mg.tensor(some_images(2, 6, 5))
    layer = model.layers[0]
    with mg.no_grad():
        assert np.abs(layer(x, image).numpy() - x.numpy()).max() > 0.1
        layer.widen.weight.data[...] = 0
        layer.widen.bias.data[...] = 0
        np.testing.assert_array_equal(layer(x, image).numpy(), x.numpy())


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_the_loss_by_image_and_weights(kind):
    model = tiny(kind, 4, 3, layers=2, hidden=2, first_kernel=3)
    x = mg.tensor(np.random.default_rng(0).random((2, 1, 4, 3)))
    names = [name for name, _ in model.named_parameters() if "state" in name or "first" in name]
    parameters = [dict(model.named_parameters())[name] for name in names]
    check_grads(model.loss, [x], order=1, parameters=parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_all_images_together_have_probability_1(kind):
    model = tiny(kind, 2, 5, first_kernel=3)
    every = (np.arange(1024)[:, None] >> np.arange(10) & 1).reshape(1024, 1, 2, 5).astype(float)
    with mg.no_grad():
        total = np.exp(model.log_prob(mg.tensor(every)).numpy()).sum()
    assert total == pytest.approx(1.0, abs=1e-10)


def test_a_model_that_says_nothing_costs_log_2_for_each_pixel():
    model = PixelRNN((1, 6, 5), "diagonal", 4)
    with mg.no_grad():
        for p in model.out.parameters():
            p.copy_(mg.zeros(*p.shape))
    loss = model.loss(mg.tensor(some_images(3, 6, 5).astype(np.float32)))
    assert loss.item() == pytest.approx(30 * math.log(2), rel=1e-6)


# ---------------------------------------------------------------- sampling


def largest_difference(kind: str, height: int, width: int, layers: int, **options: object) -> float:
    """Carried state against a whole pass, at every pixel of three images at once."""
    model = tiny(kind, height, width, layers, **options)
    x = some_images(3, height, width)
    worst = 0.0
    with mg.no_grad():
        carried, naive = model.painter(3), Naive(model, 3, None)
        for r in range(height):
            carried.begin_row()
            naive.begin_row()
            for c in range(width):
                got, expected = (mg.Tensor(p.parameters(c, 0)).numpy() for p in (carried, naive))
                worst = max(worst, float(np.abs(got - expected).max()))
                values = mg.tensor(x[:, 0, r, c]).data
                carried.put(c, 0, values)
                naive.put(c, 0, values)
    return worst


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(
    ("kind", "height", "width", "layers", "options"),
    [
        ("row", 6, 5, 1, {}),
        ("row", 4, 7, 3, {"kernel": 5, "first_kernel": 3}),
        ("row", 5, 1, 2, {"kernel": 1}),
        ("diagonal", 6, 5, 1, {}),
        ("diagonal", 4, 7, 3, {"first_kernel": 3}),
        ("diagonal", 7, 1, 2, {}),
        ("diagonal", 1, 5, 1, {}),
        ("diagonal", 4, 4, 1, {"head": "categorical", "values": 4}),
    ],
)
def test_at_every_pixel_carried_state_gives_the_logits_of_a_whole_pass(
    kind, height, width, layers, options
):
    assert largest_difference(kind, height, width, layers, **options) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_costs_about_one_pass_and_not_one_for_each_pixel(kind, monkeypatch):
    model = tiny(kind)
    monkeypatch.setattr(PixelRNN, "forward", lambda *_: pytest.fail("a whole pass was made"))
    assert model.sample(2, generator=mg.Generator(0)).shape == (2, 1, 6, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_of_sampling_draw_the_same_images_and_completions(kind):
    model = tiny(kind, layers=2)
    given = some_images(1, 6, 5)[0]
    known = np.zeros((6, 5), bool)
    known[:3], known[4, 2] = True, True
    for options in ({}, {"given": given, "known": known}):
        fast, slow = (
            model.sample(4, generator=mg.Generator(1), cached=cached, **options).numpy()
            for cached in (True, False)
        )
        np.testing.assert_array_equal(fast, slow)
        assert len(np.unique(fast.reshape(4, -1), axis=0)) > 1
    np.testing.assert_array_equal(fast[:, 0, known], np.broadcast_to(given[0, known], (4, 16)))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "column"}, "kind must be one of row, diagonal, got 'column'"),
        ({"shape": (3, 8, 8)}, r"shape must have one colour, \(1, H, W\), got \(3, 8, 8\)"),
        ({"hidden": 0}, "hidden must be a whole number >= 1, got 0"),
        ({"layers": 0}, "layers must be a whole number >= 1, got 0"),
        ({"kernel": 2}, "kernel must be an odd number >= 1, got 2"),
        ({"first_kernel": 1}, "first_kernel must be an odd number >= 3, got 1"),
    ],
)
def test_sizes_that_cannot_be_are_named_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        PixelRNN(**options)


def test_images_of_another_size_are_one_line():
    with pytest.raises(UserError, match=r"images must be \(N, C, H, W\) with 1×6×5, got shape"):
        tiny("row")(mg.tensor(some_images(2, 5, 6)))
