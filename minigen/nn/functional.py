"""``import minigen.nn.functional as F``: the functions of ``mg`` that PyTorch keeps there.

They are the same objects; ``mg.relu`` is ``F.relu``.
"""

from __future__ import annotations

from typing import Any

from minigen.ops.activation import (
    elu,
    gelu,
    glu,
    hardtanh,
    leaky_relu,
    logsigmoid,
    mish,
    prelu,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softplus,
    tanh,
)
from minigen.ops.attention import scaled_dot_product_attention
from minigen.ops.batch_norm import batch_norm
from minigen.ops.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from minigen.ops.distance import cosine_similarity, normalize
from minigen.ops.indexing import embedding, one_hot
from minigen.ops.instance_norm import instance_norm
from minigen.ops.interpolation import interpolate
from minigen.ops.linalg import linear
from minigen.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    gaussian_nll_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from minigen.ops.normalization import group_norm, layer_norm, rms_norm
from minigen.ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    pixel_shuffle,
    pixel_unshuffle,
)
from minigen.ops.random import dropout
from minigen.ops.reduction import log_softmax, softmax
from minigen.ops.refusal import name_what_is_no_tensor
from minigen.ops.shape import pad
from minigen.ops.unfold import fold, unfold

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "conv1d",
    "conv2d",
    "conv_transpose1d",
    "conv_transpose2d",
    "cosine_similarity",
    "cross_entropy",
    "dropout",
    "elu",
    "embedding",
    "fold",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "group_norm",
    "hardtanh",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool1d",
    "max_pool2d",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
    "scaled_dot_product_attention",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "unfold",
]


name_what_is_no_tensor(globals())


def __getattr__(name: str) -> Any:
    from minigen.nearest import missing

    raise missing("mg.nn.functional", name, {"mg.nn.functional.": __all__})
