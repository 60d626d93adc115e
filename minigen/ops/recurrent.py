"""Recurrent networks over a whole sequence: the loop over time inside one op.

Step by step on the tape, a sequence of 784 would cost a dozen nodes for each step and, for
every slice of the input, a gradient as large as all of the input. Here the loop runs on raw
arrays, forward and backward, and the weight's gradient is a single matrix product over all
steps at the end. The references below are the definitions.

What does not depend on the state, the product of the inputs with their weights, is done
outside for all steps at once: ``gates`` comes in as (T, N, gates·H).
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.ops.activation import logistic
from minigen.ops.linalg import matmul
from minigen.ops.product import product
from minigen.ops.shape import concatenate, split
from minigen.ops.summation import sum_rows

__all__ = ["gru_sequence", "lstm_sequence"]


def _steps(x: Tensor) -> list[Tensor]:
    return [functions.getitem(x, index=t) for t in range(x.shape[0])]


# ---------------------------------------------------------------- LSTM


def _lstm_reference(gates: Tensor, h: Tensor, c: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """The definition (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    (i, f, g, o) = gates_t + h Wᵀ;  c ← σ(f)·c + σ(i)·tanh(g);  h ← σ(o)·tanh(c)
    """
    outputs = []
    for gates_t in _steps(gates):
        i, f, g, o = split(gates_t + matmul(h, weight.transpose(0, 1)), weight.shape[1], 1)
        c = functions.sigmoid(f) * c + functions.sigmoid(i) * functions.tanh(g)
        h = functions.sigmoid(o) * functions.tanh(c)
        outputs.append(h.unsqueeze(0))
    return concatenate(outputs), c


@fused(reference=_lstm_reference)
def lstm_sequence(b, gates, h, c, weight):
    """(T, N, 4H), (N, H), (N, H), (4H, H) -> all h (T, N, H) and the last c (N, H)."""
    xp = b.xp
    length, n, _ = gates.shape
    size = weight.shape[1]
    sigma = gates.copy()  # becomes σ(i), σ(f), tanh(g), σ(o) of every step
    hs = xp.empty((length, n, size), dtype=gates.dtype)
    cs = xp.empty((length + 1, n, size), dtype=gates.dtype)
    cs[0] = c
    tanhs = xp.empty_like(hs)  # tanh(c)
    for t in range(length):
        z = sigma[t]
        z += product(b, h, weight.T)
        i, f, g, o = (z[:, k * size : (k + 1) * size] for k in range(4))
        for gate in (z[:, : 2 * size], o):
            gate[...] = logistic(b, gate)
        xp.tanh(g, out=g)
        xp.multiply(f, cs[t], out=cs[t + 1])
        cs[t + 1] += i * g
        xp.tanh(cs[t + 1], out=tanhs[t])
        h = xp.multiply(o, tanhs[t], out=hs[t])
    return (hs, cs[length].copy()), (sigma, cs, tanhs)


@lstm_sequence.backward
def _(b, g, inputs, saved, needs, *, out):
    """Backpropagation through time; all weight gradients in one product at the end."""
    xp = b.xp
    _, h0, _, weight = inputs
    sigma, cs, tanhs = saved
    length, n, size = tanhs.shape
    g_hs, g_c = g
    g_z = xp.empty_like(sigma)
    g_h = xp.zeros((n, size), dtype=sigma.dtype)
    g_c = xp.zeros((n, size), dtype=sigma.dtype) if g_c is None else g_c.copy()
    for t in reversed(range(length)):
        i, f, cell, o = (sigma[t][:, k * size : (k + 1) * size] for k in range(4))
        if g_hs is not None:
            g_h = g_h + g_hs[t]
        g_c += g_h * o * (1 - tanhs[t] * tanhs[t])
        z = g_z[t]
        z[:, :size] = g_c * cell * i * (1 - i)
        z[:, size : 2 * size] = g_c * cs[t] * f * (1 - f)
        z[:, 2 * size : 3 * size] = g_c * i * (1 - cell * cell)
        z[:, 3 * size :] = g_h * tanhs[t] * o * (1 - o)
        g_c *= f
        g_h = product(b, z, weight)
    return g_z, g_h, g_c, _weight_gradient(b, g_z, h0, out[0]) if needs[3] else None


def _weight_gradient(b: Any, g_z: Any, h0: Any, hs: Any) -> Any:
    """``Σ_t g_zₜᵀ hₜ₋₁``: (T, N, G), (N, H), (T, N, H) -> (G, H)."""
    size = h0.shape[-1]
    before = b.xp.concatenate([h0[None], hs[:-1]]).reshape(-1, size)  # (T, N, H) -> (T·N, H)
    return product(b, g_z.reshape(-1, g_z.shape[-1]).T, before)


# ---------------------------------------------------------------- GRU


def _gru_reference(gates: Tensor, h: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The definition (Cho et al. 2014, in the form that PyTorch and cuDNN use).

    (hᵣ, h_z, hₙ) = h Wᵀ + b;  r = σ(xᵣ + hᵣ);  z = σ(x_z + h_z);  n = tanh(xₙ + r·hₙ)
    h ← (1 - z)·n + z·h
    """
    outputs = []
    size = weight.shape[1]
    for gates_t in _steps(gates):
        state = matmul(h, weight.transpose(0, 1))
        state = state if bias is None else state + bias
        (x_r, x_z, x_n), (h_r, h_z, h_n) = split(gates_t, size, 1), split(state, size, 1)
        r, z = functions.sigmoid(x_r + h_r), functions.sigmoid(x_z + h_z)
        candidate = functions.tanh(x_n + r * h_n)
        h = (1 - z) * candidate + z * h
        outputs.append(h.unsqueeze(0))
    return concatenate(outputs)


@fused(reference=_gru_reference)
def gru_sequence(b, gates, h, weight, bias):
    """(T, N, 3H), (N, H), (3H, H), (3H,) or None -> all h, (T, N, H)."""
    xp = b.xp
    length, n, _ = gates.shape
    size = weight.shape[1]
    sigma = gates.copy()  # becomes r, z, n of every step
    from_state = xp.empty((length, n, size), dtype=gates.dtype)  # hₙ
    hs = xp.empty_like(from_state)
    for t in range(length):
        state = product(b, h, weight.T)
        if bias is not None:
            state += bias
        both, candidate = sigma[t][:, : 2 * size], sigma[t][:, 2 * size :]
        both += state[:, : 2 * size]
        both[...] = logistic(b, both)
        r, z = both[:, :size], both[:, size:]
        from_state[t] = state[:, 2 * size :]
        candidate += r * from_state[t]
        xp.tanh(candidate, out=candidate)
        following = xp.subtract(h, candidate, out=hs[t])  # n + z·(h - n)
        following *= z
        following += candidate
        h = following
    return hs, (sigma, from_state)


@gru_sequence.backward
def _(b, g, inputs, saved, needs, *, out):
    """Backpropagation through time; all weight gradients in one product at the end."""
    xp = b.xp
    _, h0, weight, _ = inputs
    sigma, from_state = saved
    length, n, size = from_state.shape
    g_x = xp.empty_like(sigma)  # by the gates that came in
    g_s = xp.empty_like(sigma)  # by h Wᵀ + b
    g_h = xp.zeros((n, size), dtype=sigma.dtype)
    for t in reversed(range(length)):
        r, z, candidate = (sigma[t][:, k * size : (k + 1) * size] for k in range(3))
        g_h = g_h + g[t]
        before = h0 if t == 0 else out[t - 1]
        g_n = g_h * (1 - z) * (1 - candidate * candidate)
        g_x[t][:, :size] = g_n * from_state[t] * r * (1 - r)
        g_x[t][:, size : 2 * size] = g_h * (before - candidate) * z * (1 - z)
        g_x[t][:, 2 * size :] = g_n
        g_s[t] = g_x[t]
        g_s[t][:, 2 * size :] *= r
        g_h = g_h * z + product(b, g_s[t], weight)
    g_weight = _weight_gradient(b, g_s, h0, out) if needs[2] else None
    g_bias = sum_rows(b, g_s.reshape(length * n, 3 * size)) if needs[3] else None
    return g_x, g_h, g_weight, g_bias
