"""Sounds as pictures: waveforms, and spectrograms, which show what the ear hears.

A spectrogram cuts a sound into short pieces and asks of each how strong every frequency is in it
(short-time Fourier transform). Vowels show as horizontal bands, the formants; the voice's pitch as
fine lines across; an s as a cloud at the top. Noise without words has none of that.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.plots.figure import COLOURS, INK, new_figure, save_figure

__all__ = ["save_spectrograms", "save_waveforms", "spectrogram"]

Sound = npt.NDArray[Any]
Pairs = Sequence[tuple[Sound, Sound]]

FULL = 32768.0  # 16-bit amplitude that counts as 1
FLOOR = -80.0  # dB; what is quieter is drawn black


def spectrogram(sound: Sound, window: int = 256, hop: int = 64) -> npt.NDArray[np.float64]:
    """The strength of each frequency over time, in decibel: (T,) → (window/2 + 1, pieces).

    Pieces of `window` samples, one every `hop`, each faded in and out (Hann window). 0 dB is a
    full-scale sine. A sound shorter than one piece is filled up with silence.
    """
    x = sound.astype(np.float64) / FULL
    x = np.concatenate([x, np.zeros(max(window - len(x), 0))])
    pieces = np.lib.stride_tricks.sliding_window_view(x, window)[::hop]  # (pieces, window)
    fade = np.hanning(window + 1)[:-1]
    strength = np.abs(np.fft.rfft(pieces * fade, axis=1)) / (fade.sum() / 2)
    decibel = 20 * np.log10(np.maximum(strength, 1e-10))
    return np.asarray(decibel.T)  # (pieces, frequencies) -> (frequencies, pieces)


def save_spectrograms(
    path: str | os.PathLike[str],
    pairs: Pairs,
    names: Sequence[str],
    rate: int,
    title: str | None = None,
) -> None:
    """Spectrograms in two rows, real sounds above generated ones, to one scale.

    Args:
        path: the PNG to write.
        pairs: for each column a real and a generated sound, (T,) of 16-bit amplitudes.
        names: what stands above each column.
        rate: samples per second.
        title: a line above.
    """
    figure, grid = _columns(pairs, names, title)
    for column, pair in enumerate(pairs):
        for row, sound in enumerate(pair):
            axes = grid[row, column]
            axes.imshow(
                spectrogram(sound), origin="lower", aspect="auto", cmap="magma",
                vmin=FLOOR, vmax=-15, extent=(0, len(sound) / rate, 0, rate / 2000),
            )  # fmt: skip
            axes.set_xlim(0, _longest(pairs) / rate)
            axes.set_facecolor("black")
            if column == 0:
                axes.set_ylabel(("real", "generated")[row] + ", kHz", fontsize=8, color=INK)
    save_figure(figure, path)


def save_waveforms(
    path: str | os.PathLike[str],
    pairs: Pairs,
    names: Sequence[str],
    rate: int,
    title: str | None = None,
) -> None:
    """Amplitudes over time, real sounds above generated ones; arguments as `save_spectrograms`."""
    figure, grid = _columns(pairs, names, title)
    top = max(np.abs(sound.astype(np.float64)).max() for pair in pairs for sound in pair) / FULL
    for column, pair in enumerate(pairs):
        for row, sound in enumerate(pair):
            axes = grid[row, column]
            seconds = np.arange(len(sound)) / rate
            axes.plot(seconds, sound / FULL, color=COLOURS[row], linewidth=0.4)
            axes.set_xlim(0, _longest(pairs) / rate)
            axes.set_ylim(-max(top, 1e-3), max(top, 1e-3))
            if column == 0:
                axes.set_ylabel(("real", "generated")[row], fontsize=8, color=INK)
    save_figure(figure, path)


def _columns(pairs: Pairs, names: Sequence[str], title: str | None) -> tuple[Any, Any]:
    """A figure with two rows of axes, labelled at the left and the bottom only."""
    count = len(pairs)
    figure = new_figure(80 + 150 * count, 380)
    grid = figure.subplots(2, count, squeeze=False)
    figure.subplots_adjust(
        left=60 / (80 + 150 * count), right=0.99, bottom=0.1, top=0.84, wspace=0.08, hspace=0.12
    )
    for row in range(2):
        for column in range(count):
            axes = grid[row, column]
            axes.tick_params(
                labelsize=7, length=2, colors=INK, labelleft=column == 0, labelbottom=row == 1
            )
            axes.spines[["top", "right"]].set_visible(False)
            if row == 0:
                axes.set_title(names[column], fontsize=9, color=INK)
            elif column == 0:
                axes.set_xlabel("seconds", fontsize=8, color=INK)
    if title:
        left = 60 / (80 + 150 * count)
        figure.suptitle(title, fontsize=11, color=INK, x=left, ha="left")
    return figure, grid


def _longest(pairs: Pairs) -> int:
    return max(len(sound) for pair in pairs for sound in pair)
