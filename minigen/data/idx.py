"""The IDX file format, in which MNIST is published.

A file is a header and raw numbers, all big-endian (the description on MNIST's own page)::

    offset  bytes  meaning
    0       2      zero
    2       1      type: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64
    3       1      number of axes n
    4       4·n    length of each axis, uint32
    4+4n    …      the numbers, last axis fastest

A header is a promise, not a fact: it is compared with what the caller expects before anything is
allocated, and with the bytes that are really there afterwards.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from minigen.errors import UserError

DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK = 1 << 20


@contextmanager
def open_maybe_gzip(path: str | os.PathLike[str]) -> Iterator[io.BufferedIOBase]:
    """Open a file to read bytes, gunzipped if it is gzip; its content decides, not its name.

    A file that cannot be read, or whose gzip stream is damaged, raises UserError.
    """
    try:
        with open(path, "rb") as raw:
            is_gzip = raw.read(2) == GZIP_MAGIC
            raw.seek(0)
            if is_gzip:
                with gzip.GzipFile(fileobj=raw) as unzipped:
                    yield unzipped
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path} is a damaged or truncated gzip file: {error}") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"{path} cannot be read: {reason}") from None


def read_idx(
    path: str | os.PathLike[str],
    dtype: npt.DTypeLike | None = None,
    shape: tuple[int, ...] | None = None,
) -> npt.NDArray[Any]:
    """Read an IDX file, plain or gzip, into an array in native byte order.

    dtype, shape: what the caller accepts; a header that says otherwise is refused before the data
    are read.  Raises UserError, one line that names the file, for every way in which it is wrong.
    """
    path = Path(path)
    with open_maybe_gzip(path) as stream:
        stored, found_shape = _read_header(stream, path)
        found = stored.newbyteorder("=")
        if (dtype is not None and found != np.dtype(dtype)) or shape not in (None, found_shape):
            accepted = " ".join(
                str(part) for part in (dtype and np.dtype(dtype), shape) if part is not None
            )
            raise UserError(f"{path} must hold {accepted}, its header says {found} {found_shape}")
        size = math.prod(found_shape) * stored.itemsize
        # One byte more than promised, to notice a file that goes on; in chunks, so that a false
        # promise of terabytes costs no more memory than the file has bytes.
        content = bytearray()
        while len(content) <= size:
            chunk = stream.read(min(CHUNK, size + 1 - len(content)))
            if not chunk:
                break
            content += chunk
    if len(content) != size:
        amount = f"only {len(content)}" if len(content) < size else "more"
        fault = "is truncated" if len(content) < size else "is too long"
        raise UserError(
            f"{path} {fault}: its header promises {size} bytes of {found} {found_shape}, "
            f"it has {amount}"
        )
    return np.frombuffer(content, stored).reshape(found_shape).astype(found, copy=False)


def _read_header(stream: io.BufferedIOBase, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or magic[3] == 0:
        codes = ", ".join(f"{code:02x}" for code in DTYPES)
        raise UserError(
            f"{path} is not an IDX file: it starts with bytes '{magic.hex(' ')}', accepted are "
            f"00 00, a type code ({codes}) and the number of axes, plain or gzip"
        )
    axes = magic[3]
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise UserError(
            f"{path} is truncated: its header needs {4 + 4 * axes} bytes, "
            f"it has only {4 + len(lengths)}"
        )
    return DTYPES[magic[2]], struct.unpack(f">{axes}I", lengths)
