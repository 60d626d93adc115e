"""WAV files: there and back, 8 bits, stereo, and files that are none."""

import io
import struct
import wave

import numpy as np
import pytest

from minigen.data.wav import read_wav, wav_samples, write_wav
from minigen.errors import UserError


def wav_bytes(data: bytes, channels: int = 1, width: int = 2, rate: int = 8000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(data)
    return buffer.getvalue()


def test_what_is_written_is_read_again_bit_for_bit(tmp_path):
    sound = np.random.default_rng(0).integers(-32768, 32768, 999).astype(np.int16)
    write_wav(tmp_path / "x.wav", sound, 11025)
    got, rate = read_wav(tmp_path / "x.wav")
    assert (rate, got.dtype) == (11025, np.int16)
    np.testing.assert_array_equal(got, sound)
    with wave.open(str(tmp_path / "x.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getnframes()) == (1, 2, 999)


def test_eight_bits_are_widened_round_their_middle():
    samples, _ = wav_samples(wav_bytes(bytes([128, 0, 255, 129]), width=1), "x")
    np.testing.assert_array_equal(samples, [0, -32768, 32512, 256])


def test_two_channels_become_their_mean():
    pairs = struct.pack("<6h", 100, 200, -32768, -32768, 32767, 32767)
    samples, _ = wav_samples(wav_bytes(pairs, channels=2), "x")
    np.testing.assert_array_equal(samples, [150, -32768, 32767])


WHOLE = wav_bytes(np.arange(50, dtype="<i2").tobytes())


def compressed() -> bytes:
    content = bytearray(WHOLE)
    content[20:22] = struct.pack("<H", 7)  # the format's number: µ-law instead of PCM
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"must be an uncompressed WAV file \(PCM\): it ends too early"),
        (b"ID3 this is music" * 9, "must be an uncompressed WAV file"),
        (compressed(), "must be an uncompressed WAV file"),
        (WHOLE[:30], "must be an uncompressed WAV file"),
        (WHOLE[:-20], "is cut off: 50 samples announced, 40 there"),
        (wav_bytes(b""), "must hold at least one sample, got none"),
        (wav_bytes(bytes(30), width=3), "8 or 16 bits and one or two channels, got 24 bits and 1"),
        (wav_bytes(bytes(30), channels=3), "got 16 bits and 3 channels"),
    ],
)
def test_what_is_no_such_file_is_named_in_one_line(tmp_path, content, message):
    (tmp_path / "bad.wav").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_wav(tmp_path / "bad.wav")
    assert "bad.wav" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_samples_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none.wav: No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(TypeError, match=r"samples must be \(T,\) int16, got \(2, 3\) float64"):
        write_wav(tmp_path / "x.wav", np.zeros((2, 3)), 8000)
    with pytest.raises(UserError, match="cannot write"):
        write_wav(tmp_path / "no" / "x.wav", np.zeros(3, np.int16), 8000)
