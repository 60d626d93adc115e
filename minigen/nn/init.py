"""Initial values of weights. Each function overwrites its tensor in place and returns it.

A layer that adds up ``fan_in`` products of unit variance must scale its weights by
``1/√fan_in``, or signals grow or die from layer to layer. Names and formulas are PyTorch's;
randomness comes from ``generator``, or from the default one.

* Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural
  networks" (xavier): variance 2/(fan_in + fan_out).
* He et al. 2015, "Delving deep into rectifiers" (kaiming): variance gain²/fan_in.
* Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning" (orthogonal).
"""

from __future__ import annotations

import math

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.backends import Array, active
from minigen.numeric import is_number, number, shown
from minigen.ops.random import Generator, default_generator

__all__ = [
    "calculate_fan_in_and_fan_out",
    "calculate_gain",
    "constant_",
    "fan_in_uniform_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _write(tensor: Tensor, values: Array | float) -> Tensor:
    """Overwrite a leaf, whether or not it requires a gradient: nothing was computed with it."""
    if tensor.node is not None:
        raise RuntimeError(f"tensor must be a leaf, got the result of {tensor.node.op.name}")
    note_write(tensor.data)
    tensor.data[...] = values
    return tensor


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Uniform draws from [a, b)."""
    a, b = number("a", a, -math.inf), number("b", b, -math.inf)
    draws = (generator or default_generator()).uniform(tensor.shape, dtype=tensor.dtype)
    return _write(tensor, draws.data * (b - a) + a)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Normal draws with this mean and standard deviation."""
    mean, std = number("mean", mean, -math.inf), number("std", std)
    draws = (generator or default_generator()).normal(tensor.shape, dtype=tensor.dtype)
    return _write(tensor, draws.data * std + mean)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere."""
    if not is_number(val):
        raise TypeError(f"val must be a number, got {shown(val)}")
    return _write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return _write(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return _write(tensor, 1.0)


def calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output adds up, and how many outputs an input reaches.

    The weight is (out, in, *kernel); both counts include the kernel's places.
    """
    if tensor.ndim < 2:
        raise ValueError(f"fans need a weight of two or more dimensions, got shape {tensor.shape}")
    places = math.prod(tensor.shape[2:])
    return tensor.shape[1] * places, tensor.shape[0] * places


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of a signal through this nonlinearity.

    Args:
        nonlinearity: ``linear``, ``conv1d``, ``conv2d``, ``sigmoid``, ``tanh``, ``relu``,
            ``leaky_relu`` or ``selu``.
        param: the negative slope of ``leaky_relu`` (0.01).
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else number("param", param, -math.inf)
        return math.sqrt(2 / (1 + slope**2))
    gains = {"tanh": 5 / 3, "relu": math.sqrt(2), "selu": 3 / 4}
    gains.update(dict.fromkeys(["linear", "conv1d", "conv2d", "sigmoid"], 1.0))
    if nonlinearity not in gains:
        accepted = ", ".join(sorted([*gains, "leaky_relu"]))
        raise ValueError(f"nonlinearity must be one of {accepted}, got {nonlinearity!r}")
    return gains[nonlinearity]


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """U(-√3·σ, √3·σ) with σ = gain/√fan; ``a`` is the negative slope of the leaky ReLU."""
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """N(0, σ²) with σ = gain/√fan; ``a`` is the negative slope of the leaky ReLU."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return number("gain", gain) * math.sqrt(2 / max(sum(calculate_fan_in_and_fan_out(tensor)), 1))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """U(-√3·σ, √3·σ) with σ = gain·√(2/(fan_in + fan_out))."""
    bound = math.sqrt(3) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """N(0, σ²) with σ = gain·√(2/(fan_in + fan_out))."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows (or columns, if there are more rows), times ``gain``.

    Trailing dimensions are flattened: (out, in, *kernel) is an out × in·kernel matrix.
    """
    if tensor.ndim < 2:
        raise ValueError(f"orthogonal_ needs two or more dimensions, got shape {tensor.shape}")
    if not tensor.numel():
        return tensor
    rows, columns = tensor.shape[0], tensor.numel() // tensor.shape[0]
    draws = (generator or default_generator()).normal(rows, columns, dtype=np.float64)
    host = active.backend.to_host(draws.data)
    q, r = np.linalg.qr(host if rows >= columns else host.T)
    q *= np.sign(np.diag(r))  # makes the distribution uniform (Mezzadri 2007)
    matrix = gain * (q if rows >= columns else q.T)
    return _write(tensor, active.backend.asarray(matrix.reshape(tensor.shape), tensor.dtype))


def fan_in_uniform_(tensor: Tensor, fan_in: int, generator: Generator | None = None) -> Tensor:
    """U(-1/√fan_in, 1/√fan_in): what PyTorch's layers start with (kaiming_uniform_, a = √5)."""
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return uniform_(tensor, -bound, bound, generator)
