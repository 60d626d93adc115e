"""WAV files: sound as plain numbers (PCM), read and written with Python's own `wave`.

Sound here is int16, one channel. Files of 8 bits are widened, the two channels of a stereo file
become their mean. What a file claims is held against what is in it: a recording that stops halfway
is an error, not a short recording.
"""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError
from minigen.files import write_bytes

__all__ = ["read_wav", "wav_samples", "write_wav"]

Sound = npt.NDArray[np.int16]


def read_wav(path: str | os.PathLike[str]) -> tuple[Sound, int]:
    """The samples (T,) int16 of a file, and its rate in samples per second.

    Raises:
        UserError: one line that names the file and the fault.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    return wav_samples(content, str(path))


def wav_samples(content: bytes, name: str) -> tuple[Sound, int]:
    """The samples (T,) int16 and the rate of a WAV file's bytes; `name` is for errors."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width = file.getnchannels(), file.getsampwidth()
            rate, frames = file.getframerate(), file.getnframes()
            data = file.readframes(frames)
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise UserError(f"{name} must be an uncompressed WAV file (PCM): {reason}") from None
    if width not in (1, 2) or channels not in (1, 2):
        raise UserError(
            f"{name} must have 8 or 16 bits and one or two channels, "
            f"got {8 * width} bits and {channels} channels"
        )
    if len(data) != frames * channels * width:
        raise UserError(
            f"{name} is cut off: {frames} samples announced, "
            f"{len(data) // (channels * width)} there"
        )
    if frames == 0:
        raise UserError(f"{name} must hold at least one sample, got none")
    if width == 1:  # unsigned, silence at 128
        samples = (np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256
    else:
        samples = np.frombuffer(data, "<i2").astype(np.int16)
    if channels == 2:
        pairs = samples.reshape(-1, 2).astype(np.int32)  # (2T,) -> (T, 2)
        samples = (pairs.sum(axis=1) // 2).astype(np.int16)  # (T, 2) -> (T,)
    return samples, rate


def write_wav(path: str | os.PathLike[str], samples: npt.NDArray[Any], rate: int) -> None:
    """Write (T,) int16 as 16-bit mono, atomically.

    Raises:
        TypeError: the samples are not (T,) int16.
        UserError: the file cannot be written.
    """
    if samples.ndim != 1 or samples.dtype != np.int16:
        raise TypeError(f"samples must be (T,) int16, got {samples.shape} {samples.dtype}")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    write_bytes(path, buffer.getvalue())
