"""Helpers for the tests of `minigen.data`: small IDX files, and a web server on this machine."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from minigen.data import mnist

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """The IDX encoding of an array, written from the format's description."""
    header = struct.pack(">HBB", 0, CODES[array.dtype.str[1:]], array.ndim)
    lengths = struct.pack(f">{array.ndim}I", *array.shape)
    return header + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path):
    """Keep tests away from the user's data, cache and proxies."""
    monkeypatch.delenv("MINIGEN_DATA", raising=False)
    monkeypatch.setenv("MINIGEN_CACHE", str(tmp_path / "cache"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def small_mnist(monkeypatch):
    """MNIST of 6 + 3 digits instead of 60,000 + 10,000; val is the last 2 of the 6.

    Returns name -> IDX bytes of the four files; the published checksums are those of these files.
    """
    rng = np.random.default_rng(7)
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (6, 28, 28), np.uint8),
        "train-labels-idx1-ubyte": np.array([5, 0, 4, 1, 9, 2], np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (3, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte": np.array([7, 2, 1], np.uint8),
    }
    files = {name: idx_bytes(array) for name, array in arrays.items()}
    monkeypatch.setattr(mnist, "COUNTS", {"train": 6, "t10k": 3})
    monkeypatch.setattr(mnist, "VAL_COUNT", 2)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(mnist, "MD5", md5)
    return files


@pytest.fixture
def put_files():
    """Write files (name -> bytes) into a folder, gzipped or plain."""

    def put(folder: Path, files: dict[str, bytes], gz: bool = True) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if gz:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
        return folder

    return put


@pytest.fixture
def serve():
    """Serve a folder on 127.0.0.1; returns its address and the list of paths asked for."""
    servers = []

    def start(folder: Path) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                asked.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/", asked

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
