"""µ-law: the published facts, and that levels and amplitudes go there and back."""

import numpy as np
import pytest

from minigen.data.mulaw import LEVELS, SILENCE, decode, encode


def test_every_level_comes_back():
    levels = np.arange(LEVELS)
    np.testing.assert_array_equal(encode(decode(levels)), levels)
    assert decode(levels).dtype == np.int16
    assert encode(decode(levels)).dtype == np.uint8


def test_levels_rise_with_the_amplitude_and_all_are_used():
    levels = encode(np.arange(-32768, 32768).astype(np.int16)).astype(int)
    assert (np.diff(levels) >= 0).all()
    np.testing.assert_array_equal(np.unique(levels), np.arange(256))


def test_silence_is_the_level_of_zero_and_loud_ends_are_the_ends():
    np.testing.assert_array_equal(encode(np.array([0, -32768, 32767], np.int16)), [SILENCE, 0, 255])
    assert abs(int(decode(np.array([SILENCE]))[0])) <= 3


def test_the_companded_value_is_the_equation_of_the_paper():
    # f(1/2) = ln(1 + 255/2)/ln 256 = 0.8757…; (f + 1)/2 · 255 = 239.2; mirrored for -1/2: 15.8
    np.testing.assert_array_equal(encode(np.array([16384, -16384], np.int16)), [239, 16])
    # f(1/100) = ln(3.55)/ln 256 = 0.2285: level 156.6
    assert encode(np.array([328], np.int16))[0] == 157


def test_an_amplitude_moves_by_at_most_half_the_distance_of_two_levels():
    amplitudes = np.arange(-32768, 32768).astype(np.int16)
    moved = np.abs(decode(encode(amplitudes)).astype(float) - amplitudes)
    assert (moved <= 0.023 * np.abs(amplitudes.astype(float)) + 3).all()
    assert (moved[np.abs(amplitudes.astype(int)) < 100] <= 5).all()


def test_other_kinds_of_numbers_are_refused():
    with pytest.raises(TypeError, match="amplitudes must be int16, got float64"):
        encode(np.zeros(3))
    with pytest.raises(TypeError, match="levels must be integers, got float64"):
        decode(np.zeros(3))
    with pytest.raises(ValueError, match="levels must lie in 0 … 255, got 0 … 256"):
        decode(np.array([0, 256]))
    assert decode(np.zeros((2, 0), int)).shape == (2, 0)
