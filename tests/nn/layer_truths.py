"""What every layer computes, written in NumPy.

A truth is ``truth(state, inputs, *args, **options)``: the layer's arrays by name, the inputs, and
the arguments that the layer was built with; it returns the outputs. What a layer writes down for
later (the running statistics of a batch norm), its truth writes into ``state``. The functions
of ops come from their own descriptions in ``op_specs``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from op_specs import SPECS as OPS
from op_specs.convolution import np_conv, np_conv_transpose
from op_specs.images import np_interpolate
from op_specs.recurrent import gru, lstm

State = dict[str, np.ndarray]


def op(name: str, *names: str) -> Callable[..., Any]:
    """The layer is that op; ``names`` are the layer's positional arguments in the op's words."""
    definition = next(spec.numpy for spec in OPS if spec.name == name and spec.differentiable)
    return lambda state, inputs, *args, **options: definition(
        *inputs, **dict(zip(names, args)), **options
    )


def identity(state: State, inputs: Any, *args: Any) -> Any:
    """Nothing happens: dropout in evaluation too."""
    return inputs[0]


def flatten(state: State, inputs: Any) -> Any:
    x = inputs[0]
    return x.reshape(x.shape[0], math.prod(x.shape[1:]))


def unflatten(state: State, inputs: Any, dim: int, sizes: tuple[int, ...]) -> Any:
    x = inputs[0]
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


# ---------------------------------------------------------------- dense, convolution


def linear(state: State, inputs: Any, *sizes: int, bias: bool = True) -> Any:
    return inputs[0] @ state["weight"].T + (state["bias"] if bias else 0)


def embedding(state: State, inputs: Any, *sizes: int) -> Any:
    return state["weight"][inputs[0]]


def convolution(
    state: State,
    inputs: Any,
    *sizes: int,
    rectify: float | None,
    padding_mode: str,
    padding: Any,
    dilation: int,
    bias: bool,
    **options: Any,
) -> Any:
    """The rectifier, then padding by hand, then a convolution without any."""
    x, weight = inputs[0], state["weight"]
    if rectify is not None:
        x = np.where(x > 0, x, rectify * x)
    sides = [(padding, padding)] * (x.ndim - 2)
    if padding == "same":
        total = [dilation * (k - 1) for k in weight.shape[2:]]
        sides = [(t // 2, t - t // 2) for t in total]
    mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    if x.size:  # np.pad cannot repeat the values of an empty batch
        x = np.pad(x, [(0, 0), (0, 0), *sides], mode=mode[padding_mode])
    else:
        x = np.zeros((*x.shape[:2], *[n + a + b for n, (a, b) in zip(x.shape[2:], sides)]))
    return np_conv(x, weight, state["bias"] if bias else None, dilation=dilation, **options)


def transposed(state: State, inputs: Any, *sizes: int, bias: bool, **options: Any) -> Any:
    bias_or_none = state["bias"] if bias else None
    return np_conv_transpose(inputs[0], state["weight"], bias_or_none, **options)


def masked(
    state: State,
    inputs: Any,
    c: int,
    o: int,
    k: int,
    padding: int,
    bias: bool,
    mask: Any = None,
    mask_type: str = "A",
    colors: int = 1,
) -> Any:
    """A convolution with its mask multiplied in; the masks A and B tap by tap."""
    if mask is None:
        mask = raster_mask(c, o, k, mask_type, colors)
    bias_or_none = state["bias"] if bias else None
    return np_conv(inputs[0], state["weight"] * mask, bias_or_none, padding=padding)


def raster_mask(c: int, o: int, k: int, mask_type: str, colors: int) -> np.ndarray:
    """(o, c, k, k): rows above, pixels to the left, and at the pixel itself colours before."""
    mask = np.zeros((o, c, k, k))
    mask[:, :, : k // 2] = 1
    mask[:, :, k // 2, : k // 2] = 1
    for i, j in np.ndindex(o, c):
        before, own = j * colors // c, i * colors // o
        mask[i, j, k // 2, k // 2] = before < own or (before == own and mask_type == "B")
    return mask


def causal(state: State, inputs: Any, c: int, o: int, k: int, dilation: int, mask_type: str) -> Any:
    """``y_t = b + Σ_j W_j x_{t − (k − 1 − j)·dilation}``, of type A one step earlier still."""
    x = inputs[0]
    late = 1 if mask_type == "A" else 0
    y = np.zeros((x.shape[0], o, x.shape[2])) + state["bias"][:, None]
    for t in range(x.shape[2]):
        for j in range(k):
            source = t - (k - 1 - j) * dilation - late
            if source >= 0:
                y[:, :, t] += x[:, :, source] @ state["weight"][:, :, j].T
    return y


# ---------------------------------------------------------------- images


def pool(name: str) -> Callable[..., Any]:
    """A pooling layer of square windows that lie side by side."""
    definition = op(name)

    def truth(state: State, inputs: Any, k: int, padding: int, **options: Any) -> Any:
        both = {"kernel_size": (k, k), "stride": None, "padding": (padding, padding)}
        return definition(state, inputs, **both, **options)

    return truth


def pool1d(kind: str) -> Callable[..., Any]:
    """The same along one dimension."""
    definition = op(f"{kind}_pool1d")

    def truth(state: State, inputs: Any, k: int, **options: Any) -> Any:
        return definition(state, inputs, kernel_size=k, stride=None, **options)

    return truth


def upsample(state: State, inputs: Any, **options: Any) -> Any:
    return np_interpolate(inputs[0], **options)


# ---------------------------------------------------------------- normalization


def standardized(x: np.ndarray, dims: tuple[int, ...], eps: float = 1e-5) -> np.ndarray:
    """Mean 0 and variance (nearly) 1 over ``dims``."""
    mean, variance = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


def by_channel(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(C,) so that it broadcasts against (N, C, …)."""
    return vector.reshape(1, -1, *[1] * (x.ndim - 2))


def scaled(state: State, x: np.ndarray) -> np.ndarray:
    """The scale and shift of each channel, if the layer has them."""
    if "weight" not in state:
        return x
    return x * by_channel(state["weight"], x) + by_channel(state["bias"], x)


def layer_norm(state: State, inputs: Any, shape: Any, elementwise_affine: bool, eps: float) -> Any:
    y = standardized(inputs[0], tuple(range(-len(shape), 0)), eps)
    return y * state["weight"] + state["bias"] if elementwise_affine else y


def group_norm(state: State, inputs: Any, groups: int, channels: int, affine: bool) -> Any:
    x = inputs[0]
    grouped = x.reshape(x.shape[0], groups, math.prod(x.shape[1:]) // groups)
    return scaled(state, standardized(grouped, (2,)).reshape(x.shape))


def rms_norm(state: State, inputs: Any, shape: Any, elementwise_affine: bool, eps: float) -> Any:
    x = inputs[0]
    size = (x**2).mean(tuple(range(-len(shape), 0)), keepdims=True)
    return x / np.sqrt(size + eps) * (state["weight"] if elementwise_affine else 1)


def prelu(state: State, inputs: Any, parameters: int) -> Any:
    x, weight = inputs[0], state["weight"].reshape(-1, 1)  # beside (N, C, L)
    return np.where(x > 0, x, weight * x)


def instance_norm(state: State, inputs: Any, channels: int, affine: bool) -> Any:
    return scaled(state, standardized(inputs[0], (2, 3)))


def batch_norm(
    state: State,
    inputs: Any,
    channels: int,
    affine: bool,
    momentum: float | None,
    track_running_stats: bool,
) -> Any:
    """In training: by the batch's statistics, which the running ones follow."""
    x = inputs[0]
    dims = (0, *range(2, x.ndim))
    if track_running_stats:
        state["num_batches_tracked"] = state["num_batches_tracked"] + 1
        share = 1 / state["num_batches_tracked"] if momentum is None else momentum
        for name, new in (("running_mean", x.mean(dims)), ("running_var", x.var(dims, ddof=1))):
            state[name] = (1 - share) * state[name] + share * new
    return scaled(state, standardized(x, dims))


# ---------------------------------------------------------------- attention, recurrence


def attention(
    state: State,
    inputs: Any,
    width: int,
    heads: int,
    bias: bool,
    batch_first: bool,
    hidden: Any = None,
    **widths: int,
) -> Any:
    """The output, and the weights averaged over the heads; one sample and one head at a time.

    ``hidden``, (N, h, T, S), is True where a query may not look.
    """
    query, key, value = inputs if batch_first else [x.swapaxes(0, 1) for x in inputs]
    if "in_proj_weight" in state:
        weights = np.split(state["in_proj_weight"], 3)
    else:
        weights = [state[f"{name}_proj_weight"] for name in "qkv"]
    biases = np.split(state["in_proj_bias"], 3) if bias else [0.0, 0.0, 0.0]
    projected = [x @ w.T + b for x, w, b in zip((query, key, value), weights, biases)]
    size = width // heads
    joined = np.zeros(query.shape)
    average = np.zeros((query.shape[0], query.shape[1], key.shape[1]))
    for n in range(query.shape[0]):
        for h in range(heads):
            own = slice(h * size, (h + 1) * size)
            q, k, v = (x[n, :, own] for x in projected)
            looks = np.exp(q @ k.T / math.sqrt(size))
            if hidden is not None:
                looks = np.where(hidden[n, h], 0, looks)
            looks /= looks.sum(1, keepdims=True)
            joined[n, :, own] = looks @ v
            average[n] += looks / heads
    out = joined @ state["out_proj.weight"].T + (state["out_proj.bias"] if bias else 0)
    return out if batch_first else out.swapaxes(0, 1), average


def _run(kind: str, x: Any, first: Any, weights: Any, biases: Any) -> tuple[Any, list[Any]]:
    """One direction of one layer: (T, N, in) and the first states -> (T, N, H), the last ones."""
    (w_ih, w_hh), (b_ih, b_hh) = weights, biases
    if kind == "LSTM":
        outputs, c = lstm(x @ w_ih.T + b_ih + b_hh, *first, w_hh)
        return outputs, [outputs[-1], c]
    outputs = gru(x @ w_ih.T + b_ih, *first, w_hh, b_hh)
    return outputs, [outputs[-1]]


def recurrent(kind: str) -> Callable[..., Any]:
    """LSTM or GRU: layer on layer, a second direction reads backwards.

    After the sequence the inputs may hold the first states, (layers · directions, N, H) each.
    """

    def truth(
        state: State,
        inputs: Any,
        size: int,
        hidden: int,
        bias: bool,
        batch_first: bool,
        bidirectional: bool,
        num_layers: int,
    ) -> Any:
        x = inputs[0].swapaxes(0, 1) if batch_first else inputs[0]
        runs = num_layers * (1 + bidirectional)
        zeros = np.zeros((runs, x.shape[1], hidden))
        first = inputs[1:] or [zeros, zeros][: 2 if kind == "LSTM" else 1]
        last: list[list[Any]] = []
        for layer in range(num_layers):
            outputs = []
            for back in ("", "_reverse")[: 1 + bidirectional]:
                names = [f"{part}_l{layer}{back}" for part in ("weight_ih", "weight_hh")]
                weights = [state[name] for name in names]
                names = [f"{part}_l{layer}{back}" for part in ("bias_ih", "bias_hh")]
                biases = [state[name] if bias else 0.0 for name in names]
                begin = [states[len(last)] for states in first]
                one, states = _run(kind, x[::-1] if back else x, begin, weights, biases)
                outputs.append(one[::-1] if back else one)
                last.append(states)
            x = np.concatenate(outputs, 2)
        ends = [np.stack(states) for states in zip(*last)]  # (layers · directions, N, H) each
        return (x.swapaxes(0, 1) if batch_first else x), *ends

    return truth


def cell(kind: str) -> Callable[..., Any]:
    """One step of :func:`recurrent`."""

    def truth(state: State, inputs: Any, *sizes: int, bias: bool) -> Any:
        weights = [state["weight_ih"], state["weight_hh"]]
        biases = [state[name] if bias else 0.0 for name in ("bias_ih", "bias_hh")]
        zeros = np.zeros((inputs[0].shape[0], weights[1].shape[1]))
        first = [zeros, zeros] if kind == "LSTM" else [zeros]
        return _run(kind, inputs[0][None], first, weights, biases)[1]

    return truth


# ---------------------------------------------------------------- flows: (z, log |det ∂z/∂x|)


def _same_for_all(x: np.ndarray, log_det: float) -> np.ndarray:
    """One log-determinant per pixel -> one per sample, (N,)."""
    return np.full(x.shape[0], log_det * math.prod(x.shape[2:]))


def act_norm(state: State, inputs: Any, *sizes: int) -> Any:
    """The first batch in training sets bias and scale so that z has mean 0 and deviation 1."""
    x = inputs[0]
    if x.size and not state["initialized"]:
        dims = (0, *range(2, x.ndim))
        state["bias"] = -x.mean(dims)
        state["log_scale"] = -np.log(x.std(dims))
        state["initialized"] = np.array(True)
    z = (x + by_channel(state["bias"], x)) * np.exp(by_channel(state["log_scale"], x))
    return z, _same_for_all(x, state["log_scale"].sum())


def invertible_convolution(state: State, inputs: Any, c: int, lu: bool) -> Any:
    x = inputs[0]
    matrix = lu_product(state, c) if lu else state["weight"]
    z = np.einsum("oc,nc...->no...", matrix, x)
    return z, _same_for_all(x, np.log(np.abs(np.linalg.det(matrix))))


def lu_product(state: State, c: int) -> np.ndarray:
    """``P L (U + diag(s))``."""
    lower = np.tril(state["lower"], -1) + np.eye(c)
    upper = np.triu(state["upper"], 1) + np.diag(state["sign_s"] * np.exp(state["log_s"]))
    return state["permutation"] @ lower @ upper


def coupling(outputs: int) -> Callable[..., Any]:
    """Additive (1 output of the conditioner) or affine (2); the conditioner is a convolution."""

    def truth(
        state: State,
        inputs: Any,
        conditioner: Any,
        swap: bool,
        mask: Any = None,
        scale: str = "exp",
    ) -> Any:
        x = inputs[0]
        weight, bias = state["conditioner.weight"], state["conditioner.bias"]
        condition = lambda a: np_conv(a, weight, bias, padding=1)
        return couple(x, condition, outputs, swap, mask, scale)

    return truth


LOG_SCALES = {
    "tanh": lambda r: 2 * np.tanh(r / 2),
    "sigmoid": lambda r: np.log(1 / (1 + np.exp(-r - 2))),
    "exp": lambda r: r,
}


def couple(
    x: np.ndarray,
    condition: Callable[[np.ndarray], np.ndarray],
    outputs: int,
    swap: bool = False,
    mask: Any = None,
    scale: str = "tanh",
) -> Any:
    """``z = x`` where the data stay, ``x·exp(s) + t`` where they move; ``log det = Σ s``.

    Without a mask the first half of the channels stays (the larger, if they are odd), with
    ``swap`` the second. With a mask, where it is 1; with ``swap``, where it is 0.
    """
    c = x.shape[1]
    half = (c + 1) // 2
    stays = np.broadcast_to((np.arange(c) < half).reshape(-1, *[1] * (x.ndim - 2)), x.shape)
    if mask is not None:
        stays = np.broadcast_to(np.asarray(mask) == 1, x.shape)
    if swap:
        stays = ~stays
    t, s = np.zeros(x.shape), np.zeros(x.shape)
    if mask is None:
        kept, moved = (slice(half, c), slice(half)) if swap else (slice(half), slice(half, c))
        said = np.split(condition(x[:, kept]), outputs, 1)
    else:
        moved = slice(c)
        said = np.split(condition(np.where(stays, x, 0)), outputs, 1)
    t[:, moved] = said[0]
    if outputs == 2:
        s[:, moved] = LOG_SCALES[scale](said[1])
    z = np.where(stays, x, x * np.exp(s) + t)
    return z, np.where(stays, 0, s).sum(tuple(range(1, x.ndim)))


# ---------------------------------------------------------------- layers made of layers


def _part(state: State, name: str) -> State:
    """The state of the layer that is called ``name``."""
    return {k.removeprefix(f"{name}."): v for k, v in state.items() if k.startswith(f"{name}.")}


def flow(state: State, inputs: Any, *layers: Any) -> Any:
    """ActNorm, then a mix of the channels, then an affine coupling by a dense layer."""
    first, second, third = (_part(state, name) for name in "012")
    z, log_det = act_norm(first, inputs)
    state.update({f"0.{name}": value for name, value in first.items()})
    z, more = invertible_convolution(second, [z], 2, lu=True)
    dense = _part(third, "conditioner")
    z, most = couple(z, lambda a: linear(dense, [a]), 2)
    return z, log_det + more + most


def sequential(state: State, inputs: Any, *layers: Any) -> Any:
    """Dense, tanh, dense."""
    hidden = np.tanh(linear(_part(state, "0"), inputs))
    return linear(_part(state, "2.0"), [hidden])
