"""Layers. Names, arguments, initial values and state keys are PyTorch's where it has the layer."""

from minigen.nn import init
from minigen.nn.activation import (
    ELU,
    GELU,
    GLU,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from minigen.nn.container import Identity, ModuleDict, ModuleList, Sequential
from minigen.nn.linear import Flatten, Linear, Unflatten
from minigen.nn.module import LoadReport, Module
from minigen.nn.parameter import Parameter

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LoadReport",
    "LogSoftmax",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "init",
]
