"""The shipped extractor: which one it is, what it sees, and that looking changes nothing."""

import numpy as np
import pytest

import minigen as mg
from minigen.data import load
from minigen.data.resize import pad_to, resize
from minigen.errors import UserError
from minigen.metrics import features
from minigen.metrics.features import (
    EXTRACTOR,
    FILE,
    FeatureExtractor,
    feature_extractor,
    save_extractor,
)
from minigen.metrics.image_scores import unit_images
from minigen.metrics.lenet import LeNet


@pytest.fixture
def images():
    """Twenty digits of 8×8, enlarged to 28×28."""
    return resize(unit_images(load("digits", "test"), 20), 28)


@pytest.fixture(autouse=True)
def fresh():
    features._load.cache_clear()


def test_the_name_in_the_code_is_that_of_the_weights_in_the_file():
    assert feature_extractor().name == EXTRACTOR
    assert FILE.stat().st_size < 300_000
    assert EXTRACTOR in FILE.with_suffix(".md").read_text()


def test_other_weights_have_another_name_and_equal_ones_the_same(tmp_path):
    mg.manual_seed(0)
    network = LeNet()
    name = save_extractor(tmp_path / "a.safetensors", network)
    again = feature_extractor(tmp_path / "a.safetensors")
    assert again.name == name == FeatureExtractor(network).name != EXTRACTOR
    with mg.no_grad():
        bias = network.logits.bias
        bias.copy_(bias.detach() + 1.0)
    assert FeatureExtractor(network).name != name


@pytest.mark.usefixtures("backend")
def test_it_reads_the_enlarged_digits_which_it_has_never_seen(backend):
    digits = load("digits", "val")
    found = feature_extractor().labels(resize(unit_images(digits), 28))
    assert (found == digits.labels).mean() > 0.6  # other pens, other pixels; chance is 0.1


@pytest.mark.usefixtures("backend")
def test_features_and_probabilities_are_float64_on_the_host(images):
    extractor = feature_extractor()
    found, probabilities = extractor.features(images), extractor.probabilities(images)
    assert (type(found), found.dtype, found.shape) == (np.ndarray, np.float64, (20, 84))
    assert probabilities.shape == (20, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), extractor.labels(images))


def test_an_image_has_the_same_features_in_every_batch(images, monkeypatch):
    whole = feature_extractor().features(images)
    monkeypatch.setattr(features, "BATCH", 7)
    np.testing.assert_allclose(feature_extractor().features(images), whole, rtol=1e-4, atol=1e-5)


def test_colours_a_frame_and_other_sizes_are_brought_to_28_grey_pixels(images):
    extractor = feature_extractor()
    np.testing.assert_array_equal(extractor.prepare(pad_to(images, 32)), images)
    grey = extractor.prepare(np.repeat(images, 3, axis=1))
    np.testing.assert_allclose(grey, images, atol=1e-6)
    small = unit_images(load("digits", "test"), 20)
    np.testing.assert_array_equal(extractor.prepare(small), images)


def test_each_colour_of_a_stacked_image_is_read_on_its_own(images):
    extractor = feature_extractor()
    stacked = np.concatenate([images[:5], images[5:10], images[10:15]], axis=1)  # (5, 3, 28, 28)
    labels = extractor.labels(images[:15]).reshape(3, 5).T
    np.testing.assert_array_equal(extractor.channel_labels(stacked), labels)


def test_loading_leaves_the_default_generator_as_it_was():
    mg.manual_seed(5)
    before = mg.default_generator().state()
    feature_extractor()
    assert mg.default_generator().state() == before


def test_weights_come_back_as_they_were_in_half_precision(tmp_path):
    network = LeNet((3, 16, 16), classes=4)
    save_extractor(tmp_path / "x.safetensors", network)
    again = feature_extractor(tmp_path / "x.safetensors").network
    assert (again.shape, again.classes) == ((3, 16, 16), 4)
    for name, value in network.state_dict().items():
        half = value.numpy().astype(np.float16)
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), half)


def test_what_are_no_images_is_refused(images):
    extractor = feature_extractor()
    for wrong, message in (
        (2 * images - 1, r"images must lie in \[0, 1\], got -1 … 1"),
        (images * np.nan, r"images must lie in \[0, 1\], got nan"),
        (images[:, 0], r"images must have shape \(N, C, H, W\), N >= 1, got \(20, 28, 28\)"),
        (images[:0], "N >= 1"),
    ):
        with pytest.raises(UserError, match=message):
            extractor.features(wrong)


def test_a_missing_damaged_or_foreign_file_is_named_in_one_line(tmp_path):
    damaged, foreign = tmp_path / "damaged.safetensors", tmp_path / "foreign.safetensors"
    damaged.write_bytes(FILE.read_bytes()[:1000])
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(3)}, foreign)
    for path, message in (
        (tmp_path / "none.safetensors", "cannot read"),
        (damaged, "is damaged or is no safetensors file"),
        (foreign, "is no feature extractor"),
    ):
        with pytest.raises(UserError, match=message) as caught:
            feature_extractor(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
