"""What all models that go pixel by pixel owe: no leak, a likelihood, exact fast sampling."""

import itertools
import math

import numpy as np
import pytest
from raster_models import dependence, some_images, tiny

import minigen as mg
from minigen.backends import to_host
from minigen.backends.strict import count_transfers
from minigen.errors import UserError
from minigen.models.raster import Naive

BOTH = pytest.mark.parametrize("kind", ["plain", "gated"])
COLORS = pytest.mark.parametrize("colors", [1, 2, 3])


# ---------------------------------------------------------------- likelihood


@BOTH
@COLORS
def test_no_output_depends_on_its_own_or_a_later_value(kind, colors):
    assert not np.triu(dependence(tiny(kind, (colors, 4, 4)))).any()


@BOTH
@COLORS
def test_each_colour_sees_the_colours_before_it_at_its_own_pixel(kind, colors):
    seen = dependence(tiny(kind, (colors, 2, 2), head="categorical", values=3))
    before = np.tril(np.ones((colors, colors), dtype=bool), -1)
    for pixel in range(4):
        own = slice(pixel * colors, (pixel + 1) * colors)
        np.testing.assert_array_equal(seen[own, own], before)


@BOTH
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((1, 2, 3), {}),
        ((2, 1, 2), {"head": "categorical", "values": 3}),
        ((1, 2, 2), {"head": "logistic-mixture", "values": 4, "components": 2}),
    ],
)
def test_the_probabilities_of_all_images_sum_to_one(kind, shape, options):
    model = tiny(kind, shape, **options)
    top = model.head.values - 1
    every = itertools.product(range(top + 1), repeat=math.prod(shape))
    x = np.array(list(every)).reshape(-1, *shape) / top
    total = np.exp(model.log_prob(mg.tensor(x)).numpy()).sum()
    assert total == pytest.approx(1, abs=1e-10)


@BOTH
def test_samples_are_as_frequent_as_they_are_likely(kind):
    model, n = tiny(kind, (1, 2, 2)), 20_000
    drawn = model.sample(n, generator=mg.Generator(0)).numpy().reshape(n, 4).astype(int)
    frequency = np.bincount(drawn @ [8, 4, 2, 1], minlength=16) / n
    x = np.array(list(itertools.product(range(2), repeat=4)), dtype=float).reshape(16, 1, 2, 2)
    probability = np.exp(model.log_prob(mg.tensor(x)).numpy())
    deviation = np.sqrt(probability * (1 - probability) / n)
    assert (np.abs(frequency - probability) < 5 * deviation + 1e-12).all()


def test_samples_of_a_categorical_model_are_as_frequent_as_they_are_likely():
    model, n = tiny("plain", (1, 1, 2), head="categorical", values=3), 20_000
    drawn = model.sample(n, generator=mg.Generator(0)).numpy().reshape(n, 2)
    frequency = np.bincount(np.rint(drawn * 2).astype(int) @ [3, 1], minlength=9) / n
    x = np.array(list(itertools.product(range(3), repeat=2))).reshape(9, 1, 1, 2) / 2
    probability = np.exp(model.log_prob(mg.tensor(x)).numpy())
    deviation = np.sqrt(probability * (1 - probability) / n)
    assert (np.abs(frequency - probability) < 5 * deviation + 1e-12).all()


@BOTH
def test_the_loss_is_nats_per_image(kind):
    model = tiny(kind, (1, 3, 3))
    x = mg.tensor(some_images(model, 5))
    assert model.loss(x).item() == pytest.approx(-model.log_prob(x).numpy().mean())
    with mg.no_grad():
        for parameter in model.parameters():
            parameter.copy_(mg.zeros(*parameter.shape, dtype="float64"))
    assert model.loss(x).item() == pytest.approx(9 * math.log(2))


@pytest.mark.usefixtures("backend")
def test_a_label_adds_its_own_column_of_the_weights_to_the_biases():
    """So a model that is told class k is an unconditional one with other biases."""
    model, plain = tiny("gated", (1, 4, 4), classes=3), tiny("gated", (1, 4, 4))
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    x = mg.tensor(some_images(model, 2))
    for k in range(3):
        own = {name: state[name].copy() for name in plain.state_dict()}
        for i in range(len(model.layers)):
            for stack in ("vertical", "horizontal"):
                own[f"layers.{i}.{stack}.bias"] += state[f"layers.{i}.{stack}_label.weight"][:, k]
        plain.load_state_dict(own)
        told = model(x, mg.tensor(np.array([k, k])))
        np.testing.assert_allclose(told.numpy(), plain(x).numpy(), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- the cache


def largest_difference(model, n: int, labels=None) -> float:
    """Between the cached and the naive parameters, over all pixels and colours."""
    colors, height, width = model.shape
    x = some_images(model, n, seed=9)
    fast, slow, worst = model.painter(n, labels), Naive(model, n, labels), 0.0
    with mg.no_grad():
        for i in range(height):
            fast.begin_row()
            slow.begin_row()
            for j, c in itertools.product(range(width), range(colors)):
                got, want = to_host(fast.parameters(j, c)), to_host(slow.parameters(j, c))
                assert got.shape == (n, model.head.parameters)
                worst = max(worst, float(np.abs(got - want).max()))
                values = mg.tensor(x[:, c, i, j]).data
                fast.put(j, c, values)
                slow.put(j, c, values)
    return worst


@pytest.mark.usefixtures("backend")
@BOTH
@COLORS
@pytest.mark.parametrize("n", [1, 3])
def test_cached_parameters_equal_the_naive_ones_at_every_pixel(kind, colors, n):
    assert largest_difference(tiny(kind, (colors, 4, 5)), n) < 1e-10


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {"head": "categorical", "values": 5},
        {"head": "logistic-mixture", "components": 2},
        {"first_kernel": 5, "kernel": 5, "depth": 1},
        {"kernel": 1},
    ],
)
def test_the_cache_is_exact_for_every_head_and_kernel(kind, options):
    assert largest_difference(tiny(kind, (1, 5, 4), **options), 2) < 1e-10


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("colors", [1, 3])
def test_the_cache_is_exact_with_labels(colors):
    model = tiny("gated", (colors, 4, 4), classes=3)
    assert largest_difference(model, 3, mg.tensor(np.array([2, 0, 1]))) < 1e-10


@BOTH
def test_cached_and_naive_sampling_draw_the_same_images(kind):
    model = tiny(kind, (2, 4, 4), head="categorical", values=3)
    fast = model.sample(4, generator=mg.Generator(2)).numpy()
    slow = model.sample(4, generator=mg.Generator(2), cached=False).numpy()
    np.testing.assert_array_equal(fast, slow)
    assert len(np.unique(fast)) == 3
    assert not np.array_equal(fast, model.sample(4, generator=mg.Generator(3)).numpy())


@BOTH
def test_sampling_stays_in_float32_and_on_the_device(kind):
    with mg.use("strict"):
        model = tiny(kind, (1, 4, 4), dtype="float32")
        with count_transfers() as count:
            images = model.sample(3, generator=mg.Generator(0))
        assert count.total == 0, count
        assert images.dtype == np.float32


@BOTH
def test_a_training_step_stays_in_float32_and_on_the_device(kind):
    with mg.use("strict"):
        model = tiny(kind, (3, 4, 4), dtype="float32", head="logistic-mixture", values=16)
        x = mg.tensor(some_images(model, 2).astype(np.float32))
        with count_transfers() as count:
            model.loss(x).backward()
        assert count.total == 0, count
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(g.dtype == np.float32 for g in grads)


@BOTH
def test_every_parameter_that_is_used_gets_a_gradient(kind):
    model = tiny(kind, (1, 4, 4))
    model.loss(mg.tensor(some_images(model, 2))).backward()
    without = {
        name
        for name, p in model.named_parameters()
        if p.grad is None or not np.abs(p.grad.numpy()).any()
    }
    assert without == set()


# ---------------------------------------------------------------- completion


@BOTH
def test_completing_the_upper_half_of_a_sample_with_its_own_luck_gives_the_sample(kind):
    """Only so if what is drawn below was drawn given exactly what is above."""
    model = tiny(kind, (2, 5, 4), head="categorical", values=4)
    whole = model.sample(3, generator=mg.Generator(1)).numpy()
    half = whole.copy()
    half[:, :, 2:] = np.nan
    half[:, :, 2, :1] = whole[:, :, 2, :1]
    again = model.sample(3, given=half, generator=mg.Generator(1)).numpy()
    np.testing.assert_array_equal(again, whole)


@BOTH
@pytest.mark.parametrize("cached", [True, False])
def test_known_pixels_are_kept_exactly_and_the_others_vary(kind, cached):
    model = tiny(kind, (1, 4, 4), dtype="float32", head="categorical", values=256)
    given = some_images(model, 1, seed=3)[0].astype(np.float32)
    known = np.random.default_rng(1).random((4, 4)) < 0.5
    options = {"generator": mg.Generator(0), "cached": cached}
    drawn = model.sample(8, given=given, known=known, **options).numpy()
    np.testing.assert_array_equal(
        drawn[:, :, known], np.broadcast_to(given, (8, 1, 4, 4))[:, :, known]
    )
    assert (drawn[:, :, ~known].std(axis=0) > 0).all()


def test_what_is_drawn_depends_on_the_given_pixels_before_it():
    """The share of ones at the second pixel is the model's own, given the first."""
    model, n = tiny("plain", (1, 1, 2)), 4000
    for first in (0.0, 1.0):
        given = np.array([[[first, np.nan]]])
        drawn = model.sample(n, given=given, generator=mg.Generator(0)).numpy()[:, 0, 0, 1]
        logit = model(mg.tensor(np.array([[[[first, 0.0]]]]))).numpy()[0, 0, 0, 1]
        assert drawn.mean() == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.04)
    both = [model(mg.tensor(np.array([[[[v, 0.0]]]]))).numpy()[0, 0, 0, 1] for v in (0.0, 1.0)]
    assert abs(both[0] - both[1]) > 0.5


def test_each_image_may_know_other_pixels():
    model = tiny("gated", (1, 3, 3))
    given = np.full((2, 1, 3, 3), np.nan)
    given[0, 0, 0], given[1, 0, 2, 2] = 1.0, 0.0
    drawn = model.sample(2, given=given, generator=mg.Generator(0)).numpy()
    assert (drawn[0, 0, 0] == 1).all()
    assert drawn[1, 0, 2, 2] == 0


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be a whole number >= 1, got 0"),
        ({"given": np.zeros((1, 3, 3))}, r"given must be images of shape \(1, 4, 4\) or"),
        ({"given": np.zeros((3, 1, 4, 4))}, r"given must be images of shape .*\(3, 1, 4, 4\)"),
        ({"given": np.full((1, 4, 4), "a")}, "given must be images"),
        ({"given": np.full((1, 4, 4), 0.5)}, "given must hold values i/1 with i = 0"),
        ({"given": np.full((1, 4, 4), 2.0)}, "given must hold values"),
        ({"known": np.ones((4, 4), bool)}, "known needs given"),
        ({"given": np.zeros((1, 4, 4)), "known": np.ones((4, 4))}, "known must be true and false"),
        (
            {"given": np.zeros((1, 4, 4)), "known": np.ones((4, 3), bool)},
            r"known must be .* got bool of shape \(4, 3\)",
        ),
        (
            {"given": np.full((1, 4, 4), np.nan), "known": np.ones((4, 4), bool)},
            "given must be a number, not NaN, where known is true",
        ),
        ({"labels": [0, 3]}, "labels must be from 0 to 2, got 3"),
        ({"labels": -1}, "labels must be from 0 to 2, got -1"),
        ({"labels": [0, 1, 2]}, r"labels must be one integer or 2, got int64 of shape \(3,\)"),
        ({"labels": 0.5}, "labels must be one integer or 2, got float64"),
    ],
)
def test_what_cannot_be_sampled_is_told_in_one_line(options, message):
    model = tiny("gated", (1, 4, 4), classes=3)
    with pytest.raises(UserError, match=message):
        model.sample(**{"n": 2, **options})


@BOTH
def test_an_image_of_another_size_and_labels_without_classes_are_told(kind):
    model = tiny(kind, (1, 4, 4))
    with pytest.raises(UserError, match=r"images must be \(N, C, H, W\) with 1×4×4, got shape"):
        model(mg.zeros(2, 1, 4, 5, dtype="float64"))
    with pytest.raises(UserError, match="labels must be None for a model without classes"):
        model.sample(2, labels=1)
    with pytest.raises(UserError, match="labels must be None for a model without classes"):
        model(mg.zeros(2, 1, 4, 4, dtype="float64"), mg.tensor(np.array([0, 1])))


def test_a_conditional_model_wants_a_label_for_each_image():
    model = tiny("gated", (1, 4, 4), classes=3)
    x = mg.zeros(2, 1, 4, 4, dtype="float64")
    with pytest.raises(UserError, match="labels must be 2 integers, one for each image, got None"):
        model(x)
    with pytest.raises(UserError, match=r"labels must be 2 integers, .* got int64 \(3,\)"):
        model(x, mg.tensor(np.array([0, 1, 2])))
    with pytest.raises(UserError, match="labels must be from 0 to 2, got 3"):
        model(x, mg.tensor(np.array([0, 3])))


@BOTH
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden must be a whole number >= 1, got 0"),
        ({"hidden": 4}, "hidden must be a multiple of the 3 colours, got 4"),
        ({"kernel": 2}, "kernel must be an odd number >= 1, got 2"),
        ({"first_kernel": 1}, "first_kernel must be an odd number >= 3, got 1"),
        ({"shape": (3, 0, 4)}, r"shape must be \(C, H, W\), each at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        tiny(kind, **{"shape": (3, 4, 4), **options})
