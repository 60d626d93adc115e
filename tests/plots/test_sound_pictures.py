"""Spectrograms: a sine is one line at its frequency and 0 dB; pictures of any lengths are drawn."""

import numpy as np
import pytest

from minigen.plots import save_spectrograms, save_waveforms
from minigen.plots.sound import spectrogram


@pytest.mark.parametrize("frequency", [500, 1000, 3000])
def test_a_full_scale_sine_is_a_line_of_0_db_at_its_frequency(frequency):
    rate = 8000
    sine = 32767 * np.sin(2 * np.pi * frequency / rate * np.arange(4000))
    strength = spectrogram(sine.astype(np.int16))
    assert strength.shape == (129, (4000 - 256) // 64 + 1)
    row = frequency * 256 // rate
    assert (strength.argmax(axis=0) == row).all()
    np.testing.assert_allclose(strength[row], 0, atol=0.01)
    assert strength[row + 5].max() < -60


def test_silence_and_sounds_shorter_than_a_piece_are_fine():
    assert spectrogram(np.zeros(10, np.int16)).shape == (129, 1)
    assert (spectrogram(np.zeros(1000, np.int16)) <= -200).all()


def test_pictures_show_sounds_of_different_lengths(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [(rng.integers(-9, 9, n).astype(np.int16), np.zeros(50, np.int16)) for n in (10, 900)]
    for save in (save_spectrograms, save_waveforms):
        save(tmp_path / "x.png", pairs, ["0", "1"], 8000, "title")
        content = (tmp_path / "x.png").read_bytes()
        assert content.startswith(b"\x89PNG")
        save(tmp_path / "y.png", pairs[:1], ["0"], 8000)
        assert (tmp_path / "y.png").read_bytes() != content
