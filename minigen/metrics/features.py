"""The features in which samples of digits are compared: those of one LeNet, trained once.

A distance between sets of images is worth what its features are worth. The usual ones are those of
the Inception network, 24 million parameters trained on photographs; here it is a LeNet of 61,706
that minigen trained on MNIST (`minigen.metrics.lenet`). It lies in the package in half precision,
`lenet-mnist.safetensors`, so that everybody measures with the same one; `lenet-mnist.md` beside it
tells how it was made and how often it errs.

**Names.** `extractor.name` is `lenet_` and six digits of the SHA-256 of the weights. It is part of
every score's name, `fid_lenet_…`: a number of another network is another score, and neither is an
Inception score.

**Images** are (N, C, H, W) in [0, 1], and are brought to the 28×28 grey pixels that the network
knows: three colours become their mean; a frame of two pixels (32×32: MNIST padded) is cut off;
every other size is resized bilinearly.
"""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import minigen as mg
from minigen.backends import active
from minigen.data.resize import centre_crop, resize
from minigen.errors import UserError
from minigen.files import write_bytes
from minigen.metrics.lenet import LeNet

__all__ = ["EXTRACTOR", "FeatureExtractor", "feature_extractor", "save_extractor"]

FILE = Path(__file__).with_name("lenet-mnist.safetensors")
EXTRACTOR = "lenet_3c34c8"
"""The name of the extractor in the package, for names of metrics that are needed before it is."""

FORMAT = "minigen feature extractor 1"
PADDED = 32  # pixels each way of MNIST with a frame of two
BATCH = 500

Array = npt.NDArray[Any]


class FeatureExtractor:
    """A trained LeNet as a function of images on the host.

    Args:
        network: the classifier. It is put into evaluation mode.
    """

    def __init__(self, network: LeNet) -> None:
        self.network = network.eval()
        self.name = f"lenet_{_digest(_weights(network))[:6]}"

    def features(self, images: Array) -> npt.NDArray[np.float64]:
        """The last hidden layer: (N, C, H, W) in [0, 1] → (N, 84)."""
        return self._apply(self.network.features, images)

    def probabilities(self, images: Array) -> npt.NDArray[np.float64]:
        """The classifier's opinion: (N, C, H, W) in [0, 1] → (N, classes), rows sum to 1."""
        return self._apply(lambda x: mg.softmax(self.network(x), dim=-1), images)

    def labels(self, images: Array) -> npt.NDArray[np.int64]:
        """The most probable class: (N, C, H, W) in [0, 1] → (N,)."""
        return self.probabilities(images).argmax(axis=1)

    def channel_labels(self, images: Array) -> npt.NDArray[np.int64]:
        """The most probable class in each colour, for stacked digits: (N, C, H, W) → (N, C)."""
        images = np.asarray(images)
        if images.ndim != 4:
            raise UserError(f"images must have shape (N, C, H, W), got {images.shape}")
        count, channels, *size = images.shape
        return self.labels(images.reshape(-1, 1, *size)).reshape(count, channels)

    def prepare(self, images: Array) -> npt.NDArray[np.float32]:
        """The images as the network sees them: (N, C, H, W) → (N, 1, 28, 28) float32.

        Raises UserError for other shapes, numbers outside [0, 1], and NaN.
        """
        images = np.asarray(images, dtype=np.float32)
        channels, height, width = self.network.shape
        if images.ndim != 4 or 0 in images.shape:
            raise UserError(f"images must have shape (N, C, H, W), N >= 1, got {images.shape}")
        low, high = float(images.min()), float(images.max())
        if not (low > -1e-3 and high < 1 + 1e-3):  # NaN fails as well
            raise UserError(f"images must lie in [0, 1], got {low:g} … {high:g}")
        if images.shape[1] != channels and channels == 1:
            images = images.mean(axis=1, keepdims=True)
        if images.shape[1] != channels:
            raise UserError(f"images must have {channels} channels, got {images.shape[1]}")
        if images.shape[2:] == (height, width):
            return images
        if images.shape[2:] == (PADDED, PADDED) and (height, width) == (28, 28):
            return centre_crop(images, (height, width))
        return resize(images, (height, width))

    def _apply(self, function: Any, images: Array) -> npt.NDArray[np.float64]:
        """`function` of all images, some at a time, on the active backend."""
        images = self.prepare(images)
        parts = []
        with mg.no_grad():
            for start in range(0, len(images), BATCH):
                x = mg.tensor(np.ascontiguousarray(images[start : start + BATCH]))
                parts.append(function(x).numpy())
        return np.concatenate(parts).astype(np.float64)


def feature_extractor(path: str | os.PathLike[str] | None = None) -> FeatureExtractor:
    """The extractor inside the package, or one that `save_extractor` wrote to `path`.

    It lives on the backend that is active now. Loading draws no random numbers that anything else
    would have drawn.

    Raises UserError, one line, for a missing, damaged or foreign file.
    """
    return _load(Path(path) if path is not None else FILE, active.backend.name)


@functools.lru_cache(maxsize=8)
def _load(path: Path, backend: str) -> FeatureExtractor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged or is no safetensors file: {error}") from None
    if metadata.get("format") != FORMAT:
        raise UserError(f"{path} is no feature extractor: its format is not '{FORMAT}'")
    # A new network draws initial weights, which are overwritten at once; the draws must not be
    # missing where a training goes on after looking at its samples.
    generator = mg.default_generator()
    before = generator.state()
    channels, height, width = (int(number) for number in metadata["shape"].split(","))
    network = LeNet((channels, height, width), int(metadata["classes"]))
    generator.load_state(before)
    network.load_state_dict(weights)
    return FeatureExtractor(network)


def save_extractor(path: str | os.PathLike[str], network: LeNet, note: str = "") -> str:
    """Write a trained network in half precision, atomically; return the extractor's name.

    note: what it was trained on and how well, kept in the file.
    """
    from safetensors.numpy import save

    weights = _weights(network)
    metadata = {
        "format": FORMAT,
        "shape": ",".join(map(str, network.shape)),
        "classes": str(network.classes),
        "note": note,
    }
    write_bytes(path, save(weights, metadata))
    return f"lenet_{_digest(weights)[:6]}"


def _weights(network: LeNet) -> dict[str, npt.NDArray[np.float16]]:
    """Path → weights in half precision: enough for a classifier, and half of the file."""
    state = network.state_dict()
    return {name: np.ascontiguousarray(state[name].numpy(), np.float16) for name in sorted(state)}


def _digest(weights: dict[str, npt.NDArray[np.float16]]) -> str:
    """SHA-256 of names and numbers, whatever order they come in."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode() + str(weights[name].shape).encode())
        digest.update(weights[name].astype("<f2").tobytes())
    return digest.hexdigest()
