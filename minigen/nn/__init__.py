"""Layers. Names, arguments, initial values and state keys are PyTorch's where it has the layer."""

from typing import Any as _Any

from minigen.nn import functional, init
from minigen.nn.activation import (
    ELU,
    GELU,
    GLU,
    SELU,
    Hardtanh,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minigen.nn.attention import MultiheadAttention
from minigen.nn.batchnorm import BatchNorm1d, BatchNorm2d
from minigen.nn.container import Identity, ModuleDict, ModuleList, Sequential
from minigen.nn.conv import CausalConv1d, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d
from minigen.nn.coupling import AdditiveCoupling, AffineCoupling
from minigen.nn.dropout import Dropout, Dropout2d
from minigen.nn.embedding import Embedding
from minigen.nn.flow import ActNorm, Flow, FlowLayer, InvertibleConv1x1
from minigen.nn.linear import Flatten, Linear, Unflatten
from minigen.nn.loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from minigen.nn.masked import MaskedConv2d, autoregressive_mask
from minigen.nn.module import LoadReport, Module
from minigen.nn.normalization import GroupNorm, InstanceNorm2d, LayerNorm, RMSNorm
from minigen.nn.parameter import Parameter
from minigen.nn.recurrent import GRU, LSTM, GRUCell, LSTMCell
from minigen.nn.reparametrize import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from minigen.nn.resampling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AvgPool1d,
    AvgPool2d,
    MaxPool1d,
    MaxPool2d,
    PixelShuffle,
    PixelUnshuffle,
    Upsample,
)

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "ActNorm",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdditiveCoupling",
    "AffineCoupling",
    "AvgPool1d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "CausalConv1d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Dropout2d",
    "Embedding",
    "Flatten",
    "Flow",
    "FlowLayer",
    "GRUCell",
    "GaussianNLLLoss",
    "GroupNorm",
    "Hardtanh",
    "HuberLoss",
    "Identity",
    "InstanceNorm2d",
    "InvertibleConv1x1",
    "KLDivLoss",
    "L1Loss",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LoadReport",
    "LogSoftmax",
    "MSELoss",
    "MaskedConv2d",
    "MaxPool1d",
    "MaxPool2d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "Parameter",
    "PixelShuffle",
    "PixelUnshuffle",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "Upsample",
    "autoregressive_mask",
    "functional",
    "init",
    "remove_spectral_norm",
    "remove_weight_norm",
    "spectral_norm",
    "weight_norm",
]


def __getattr__(name: str) -> _Any:
    from minigen.nearest import missing

    raise missing("mg.nn", name, {"mg.nn.": __all__, "mg.nn.functional.": functional.__all__})
