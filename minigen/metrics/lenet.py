"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, section II): a small classifier of small images.

It generates nothing. It is an *instrument*: scores of samples (Fréchet distance, precision, recall,
which digits there are) compare features rather than pixels, and the features are this network's
last hidden layer. Therefore it stands among the metrics; `recipes/lenet.py` trains it, and
`metrics/features.py` reads the trained one that comes with minigen.

    x (N, C, 28, 28)
      → 6 maps, 5×5, padded by 2, ReLU, maximum of 2×2        (N, 6, 14, 14)
      → 16 maps, 5×5, ReLU, maximum of 2×2                    (N, 16, 5, 5)
      → 120, ReLU → 84, ReLU                                  (N, 84)      the features
      → 10 logits                                             (N, 10)

61,706 parameters for 28×28 grey images. Against the paper: maxima for trainable means, ReLU for
tanh, every map sees every map, and a softmax for the radial basis functions.
"""

from __future__ import annotations

from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["FEATURES", "SMALLEST", "LeNet"]

FEATURES = 84
SMALLEST = 12  # pixels each way: less leaves nothing after two convolutions and two poolings


class LeNet(nn.Module):
    """The classifier; images (N, C, H, W), float, pixels in [0, 1].

    Args:
        shape: (C, H, W) of an image; H and W at least `SMALLEST`.
        classes: number of classes.
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10) -> None:
        super().__init__()
        channels, height, width = shape
        if min(height, width) < SMALLEST or channels < 1:
            raise ValueError(
                f"shape must be (C, H, W) with H and W at least {SMALLEST}, got {tuple(shape)}"
            )
        if classes < 2:
            raise ValueError(f"classes must be at least 2, got {classes}")
        self.shape = (channels, height, width)
        self.classes = classes
        rows, columns = (side // 2 - 4 for side in (height, width))  # after the second convolution
        self.maps = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(
            nn.Linear(16 * (rows // 2) * (columns // 2), 120),
            nn.ReLU(),
            nn.Linear(120, FEATURES),
            nn.ReLU(),
        )
        self.logits = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer: (N, C, H, W) → (N, 84), ≥ 0."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"x must have shape (N, {str(self.shape)[1:]}, got {tuple(x.shape)}")
        return self.hidden(self.maps(x))  # (N, C, H, W) -> (N, 16·h·w) -> (N, 84)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the classes: (N, C, H, W) → (N, classes)."""
        return self.logits(self.features(x))
