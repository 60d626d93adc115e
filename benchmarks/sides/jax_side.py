"""JAX's training step: one jitted function with donated buffers, Adam included.

Parameters are a dictionary by name, in the layout that XLA prefers on a CPU: matrices (in, out),
images (N, H, W, C), kernels (H, W, in, out). They start with the same numbers as on the other
sides. ``convolution``: ``lax`` (``lax.conv_general_dilated``) or ``products`` (pieces of the image
side by side, times a matrix), whichever is faster; XLA's own convolution leaves much of a CPU idle.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle, pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.sides.weights import initial_weight
from benchmarks.workload import Setting, Step

Parameters = dict[str, jax.Array]
IMAGES = ("NHWC", "HWIO", "NHWC")


# --------------------------------------------------------------------------- parameters


def matrix(name: str, inputs: int, outputs: int) -> jax.Array:
    """A dense layer's weight, (in, out)."""
    return jnp.asarray(initial_weight(name, (outputs, inputs)).T.copy())


def vector(name: str, length: int) -> jax.Array:
    """A bias, or the scale of a norm."""
    return jnp.asarray(initial_weight(name, (length,)))


def dense_layers(prefix: str, sizes: Sequence[int], stride: int = 2) -> Parameters:
    """Weights and biases of a chain of dense layers, every ``stride``-th of a Sequential."""
    parameters: Parameters = {}
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        name = f"{prefix}{place * stride}"
        parameters[f"{name}.weight"] = matrix(f"{name}.weight", inputs, outputs)
        parameters[f"{name}.bias"] = vector(f"{name}.bias", outputs)
    return parameters


def kernel(name: str, inputs: int, outputs: int, side: int) -> jax.Array:
    """A convolution's weight, (H, W, in, out)."""
    weight = initial_weight(name, (outputs, inputs, side, side))
    return jnp.asarray(weight.transpose(2, 3, 1, 0).copy())


def transposed_kernel(name: str, inputs: int, outputs: int, side: int) -> jax.Array:
    """A transposed convolution's weight, (H, W, in, out)."""
    weight = initial_weight(name, (inputs, outputs, side, side))
    return jnp.asarray(weight.transpose(2, 3, 0, 1).copy())


# --------------------------------------------------------------------------- layers


def dense(parameters: Parameters, name: str, x: jax.Array) -> jax.Array:
    """(…, in) -> (…, out)."""
    return x @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"]


def chain(
    parameters: Parameters, prefix: str, layers: int, x: jax.Array, activation: Callable[..., Any]
) -> jax.Array:
    """Dense layers as :func:`dense_layers` names them, an activation after each but the last."""
    for place in range(layers):
        x = dense(parameters, f"{prefix}{2 * place}", x)
        x = activation(x) if place < layers - 1 else x
    return x


def patches(x: jax.Array, side: int, stride: int, padding: int, taps: int) -> jax.Array:
    """(N, H, W, C) -> (N, H', W', taps·C): the first ``taps`` pixels under the kernel."""
    height, width = ((n + 2 * padding - side) // stride + 1 for n in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    pieces = []
    for tap in range(taps):
        i, j = divmod(tap, side)
        end = (i + (height - 1) * stride + 1, j + (width - 1) * stride + 1)
        pieces.append(x[:, i : end[0] : stride, j : end[1] : stride])
    return jnp.concatenate(pieces, axis=-1)


def convolve(
    x: jax.Array,
    weight: jax.Array,
    how: str,
    stride: int = 1,
    padding: int = 0,
    taps: int | None = None,
) -> jax.Array:
    """(N, H, W, C) -> (N, H', W', O). ``taps``: only the first ones of the kernel are not zero."""
    side, _, inputs, outputs = weight.shape
    count = side * side if taps is None else taps
    if how == "products":
        if side == 1:
            return x @ weight[0, 0]
        rows = weight.reshape(side * side * inputs, outputs)[: count * inputs]
        return patches(x, side, stride, padding, count) @ rows
    if taps is not None:
        mask = (np.arange(side * side) < taps).reshape(side, side, 1, 1)
        weight = weight * mask
    pads = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(x, weight, (stride, stride), pads, dimension_numbers=IMAGES)


def convolve_transposed(
    x: jax.Array, weight: jax.Array, how: str, stride: int, padding: int
) -> jax.Array:
    """(N, H, W, C) -> (N, (H − 1)·stride + side − 2·padding, …, O)."""
    side, _, inputs, outputs = weight.shape
    if how == "products":
        size = [(n - 1) * stride + side - 2 * padding for n in x.shape[1:3]]
        image = jax.ShapeDtypeStruct((x.shape[0], *size, outputs), x.dtype)
        cut = partial(patches, side=side, stride=stride, padding=padding, taps=side * side)
        # (H, W, in, out) -> (in, H, W, out) -> (in, taps·out)
        columns = weight.transpose(2, 0, 1, 3).reshape(inputs, side * side * outputs)
        (result,) = jax.linear_transpose(cut, image)(x @ columns)
        return result
    pads = ((side - 1 - padding, side - 1 - padding),) * 2
    return lax.conv_general_dilated(
        x,
        weight[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=(stride, stride),
        dimension_numbers=IMAGES,
    )


# --------------------------------------------------------------------------- training


class Moments(NamedTuple):
    """What Adam keeps."""

    count: jax.Array
    first: Any
    second: Any

    @classmethod
    def zeros(cls, parameters: Any) -> Moments:
        """Before the first step."""
        zeros = partial(jax.tree.map, jnp.zeros_like)
        return cls(jnp.zeros((), jnp.int32), zeros(parameters), zeros(parameters))


def adam(
    parameters: Any,
    grads: Any,
    moments: Moments,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    weight_decay: float = 0.0,
) -> tuple[Any, Moments]:
    """New parameters and moments; ``weight_decay`` is decoupled, as in AdamW."""
    (one, two), count = betas, moments.count + 1
    first = jax.tree.map(lambda m, g: one * m + (1 - one) * g, moments.first, grads)
    second = jax.tree.map(lambda v, g: two * v + (1 - two) * g * g, moments.second, grads)
    rate = learning_rate / (1 - one**count)
    root = jnp.sqrt(1 - two**count)

    def update(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        if weight_decay:
            p = p * (1 - learning_rate * weight_decay)
        return p - rate * m / (jnp.sqrt(v) / root + 1e-8)

    return jax.tree.map(update, parameters, first, second), Moments(count, first, second)


def clipped(grads: Any, bound: float) -> Any:
    """Gradients of a common norm of at most ``bound``, as PyTorch does it."""
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in jax.tree.leaves(grads)))
    factor = jnp.minimum(bound / (norm + 1e-6), 1.0)
    return jax.tree.map(lambda g: g * factor, grads)


def repeated(
    update: Callable[..., tuple[Any, jax.Array]],
    state: Any,
    batches: Sequence[Sequence[np.ndarray]],
) -> Step:
    """``state, loss = update(state, *batch)``, jitted, for the next batch of the cycle."""
    jitted = jax.jit(update, donate_argnums=0)
    endless = cycle([[jax.device_put(array) for array in batch] for batch in batches])
    held = [state]

    def run() -> jax.Array:
        held[0], loss = jax.block_until_ready(jitted(held[0], *next(endless)))
        return loss

    return Step(run)


def training_step(
    parameters: Parameters,
    loss_of: Callable[..., jax.Array],
    batches: Sequence[Sequence[np.ndarray]],
    setting: Setting,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.0,
    clip: float | None = None,
) -> Step:
    """A step: gradients of ``loss_of(parameters, *batch)``, then Adam."""
    del setting

    def update(state: tuple[Any, Moments], *batch: jax.Array) -> tuple[Any, jax.Array]:
        parameters, moments = state
        loss, grads = jax.value_and_grad(loss_of)(parameters, *batch)
        if clip is not None:
            grads = clipped(grads, clip)
        return adam(parameters, grads, moments, learning_rate, weight_decay=weight_decay), loss

    return repeated(update, (parameters, Moments.zeros(parameters)), batches)
