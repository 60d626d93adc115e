"""Descriptions of normalization and attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import DISTINCT, NONZERO, UNIT, Case, Spec, arrays, shapes, torch

# ---------------------------------------------------------------- normalization


def _standard(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    mean, variance = x.mean(dims, keepdims=True), x.var(dims, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


def _scaled(x: Any, *wb: Any) -> Any:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * wb[0].reshape(shape) + wb[1].reshape(shape) if wb else x


@st.composite
def _normalized(draw: Any, kind: str) -> Case:
    """Enough values in each set that the variance is far from 0."""
    n, c = draw(st.integers(2, 3)), draw(st.sampled_from([2, 4]))
    rest = draw(st.sampled_from([(3,), (2, 3)]))
    if kind == "batch" and draw(st.booleans()):
        rest, n = (), 5
    if kind in ("layer", "group") and draw(st.integers(0, 4)) == 0:
        n = 0
    x = draw(arrays((n, c, *rest), DISTINCT))
    options: dict[str, Any] = {"eps": draw(st.sampled_from([1e-5, 0.1]))}
    weights = (c,)
    if kind == "layer":
        count = draw(st.integers(1, x.ndim - 1))
        weights = options["normalized_shape"] = x.shape[x.ndim - count :]
    if kind == "group":
        options["num_groups"] = draw(st.sampled_from([1, 2]))
    if draw(st.booleans()):
        return Case((x, draw(arrays(weights, UNIT)), draw(arrays(weights))), options)
    return Case((x,), options)


def _np_layer(x: Any, *wb: Any, normalized_shape: Any, eps: float) -> Any:
    out = _standard(x, tuple(range(-len(normalized_shape), 0)), eps)
    return out * wb[0] + wb[1] if wb else out


def _np_group(x: Any, *wb: Any, num_groups: int, eps: float) -> Any:
    grouped = x.reshape(x.shape[0], num_groups, math.prod(x.shape[1:]) // num_groups)
    return _scaled(_standard(grouped, (2,), eps).reshape(x.shape), *wb)


def _evaluated(function: Any) -> Any:
    """Batch norm in evaluation: running statistics are inputs."""
    return lambda x, mean, variance, w, b, eps: function(x, mean, variance, w, b, False, 0.1, eps)


@st.composite
def _evaluation(draw: Any) -> Case:
    case = draw(_normalized("batch"))
    x = case.arrays[0]
    vectors = [draw(arrays((x.shape[1],), UNIT)) for _ in range(4)]
    return Case((x, *vectors), case.options)


def _np_evaluation(x: Any, mean: Any, variance: Any, w: Any, b: Any, eps: float) -> Any:
    return _scaled(_scaled(x - _scaled(np.ones_like(x), mean, 0 * mean),
                           1 / np.sqrt(variance + eps), 0 * mean), w, b)  # fmt: skip


@st.composite
def _root_mean_square(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=1, min_side=1, max_side=3)), NONZERO))
    shape = x.shape[draw(st.integers(0, x.ndim - 1)) :]
    xs = (x,) if draw(st.booleans()) else (x, draw(arrays(shape)))
    return Case(xs, {"normalized_shape": shape, "eps": draw(st.sampled_from([1e-5, 0.1]))})


def _np_rms(x: Any, w: Any = 1.0, *, normalized_shape: Any, eps: float) -> Any:
    dims = tuple(range(-len(normalized_shape), 0))
    return x / np.sqrt((x**2).mean(dims, keepdims=True) + eps) * w


@st.composite
def _running_instance(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(min_dims=3, max_dims=4, min_side=1, max_side=3))))
    return Case((x, *[draw(arrays((x.shape[1],), UNIT)) for _ in range(4)]))


def _torch_layer(x: Any, *wb: Any, normalized_shape: Any, eps: float) -> Any:
    return torch.nn.functional.layer_norm(x, normalized_shape, *(wb or (None, None)), eps=eps)


def _torch_running_instance(x: Any, *others: Any) -> Any:
    """PyTorch's own has no gradient by the running statistics."""
    mean, variance, w, b = (y.reshape(-1, *[1] * (x.ndim - 2)) for y in others)
    return (x - mean) / (variance + 1e-3).sqrt() * w + b


NORMALIZATION = [
    Spec("layer_norm", _normalized("layer"), numpy=_np_layer, torch=_torch_layer,
         call=lambda x, *wb, normalized_shape, eps: mg.layer_norm(
             x, normalized_shape, *wb, eps=eps), ops=("layer_norm",)),
    Spec("group_norm", _normalized("group"), numpy=_np_group, ops=("standardize",),
         call=lambda x, *wb, num_groups, eps: mg.group_norm(x, num_groups, *wb, eps=eps),
         torch=lambda x, *wb, num_groups, eps: torch.nn.functional.group_norm(
             x, num_groups, *wb, eps=eps)),
    Spec("instance_norm", _normalized("instance"),
         call=lambda x, *wb, eps: mg.instance_norm(x, None, None, *(wb or (None, None)), eps=eps),
         numpy=lambda x, *wb, eps: _scaled(_standard(x, tuple(range(2, x.ndim)), eps), *wb),
         torch=lambda x, *wb, eps: torch.nn.functional.instance_norm(
             x, None, None, *(wb or (None, None)), eps=eps)),
    Spec("rms_norm", _root_mean_square(), numpy=_np_rms,
         call=lambda x, *w, normalized_shape, eps: mg.rms_norm(x, normalized_shape, *w, eps=eps),
         torch=lambda x, *w, normalized_shape, eps: torch.nn.functional.rms_norm(
             x, normalized_shape, *w, eps=eps)),
    Spec("instance_norm", _running_instance(),
         numpy=lambda x, mean, variance, w, b: _np_evaluation(x, mean, variance, w, b, 1e-3),
         call=lambda *xs: mg.instance_norm(*xs, False, 0.1, 1e-3),
         torch=_torch_running_instance),
    Spec("batch_norm", _normalized("batch"), ops=("normalize_batch",),
         call=lambda x, *wb, eps: mg.batch_norm(
             x, None, None, *(wb or (None, None)), training=True, eps=eps),
         numpy=lambda x, *wb, eps: _scaled(_standard(x, (0, *range(2, x.ndim)), eps), *wb),
         torch=lambda x, *wb, eps: torch.nn.functional.batch_norm(
             x, None, None, *(wb or (None, None)), training=True, eps=eps)),
    Spec("batch_norm", _evaluation(), call=_evaluated(mg.batch_norm), numpy=_np_evaluation,
         torch=lambda x, mean, variance, w, b, eps: (
             (x - mean.reshape(1, -1, *[1] * (x.ndim - 2)))
             / (variance + eps).sqrt().reshape(1, -1, *[1] * (x.ndim - 2))
             * w.reshape(1, -1, *[1] * (x.ndim - 2)) + b.reshape(1, -1, *[1] * (x.ndim - 2)))),
]  # fmt: skip

# ---------------------------------------------------------------- attention


@st.composite
def _attention(draw: Any) -> Case:
    lead = draw(shapes(max_dims=2, max_side=2))
    t, s, d, e = (draw(st.integers(1, 4)) for _ in range(4))
    options: dict[str, Any] = {"scale": draw(st.sampled_from([None, 0.7, -0.7, 0.0]))}
    mask = draw(st.sampled_from(["none", "causal", "boolean", "numbers"]))
    xs = [draw(arrays((*lead, n, m))) for n, m in [(t, d), (s, d), (s, e)]]
    options["is_causal"] = mask == "causal"
    if mask == "boolean":
        rng = np.random.default_rng(draw(st.integers(0, 99)))
        seen = rng.uniform(size=(t, s)) < 0.6
        seen[np.arange(t), rng.integers(0, s, t)] = True  # every query sees something
        xs.append(seen)
    if mask == "numbers":
        xs.append(draw(arrays((*lead, t, s))))
    return Case(tuple(xs), options)


def _np_attention(q: Any, k: Any, v: Any, mask: Any = None, *, scale: Any, is_causal: bool) -> Any:
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = np.tri(*scores.shape[-2:], dtype=bool)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    weights = np.exp(scores)
    return weights / weights.sum(-1, keepdims=True) @ v


@st.composite
def _packed(draw: Any) -> Case:
    n, t, heads, d = (draw(st.integers(1, 3)) for _ in range(4))
    options = {"scale": draw(st.sampled_from([None, 0.7, -0.7, 0.0])), "num_heads": heads}
    options["is_causal"] = draw(st.booleans())
    return Case((draw(arrays((n, t, 3 * heads * d))),), options)


def _np_packed(qkv: Any, *, num_heads: int, **options: Any) -> Any:
    n, t, _ = qkv.shape
    q, k, v = qkv.reshape(n, t, 3, num_heads, -1).transpose(2, 0, 3, 1, 4)
    return _np_attention(q, k, v, **options).transpose(0, 2, 1, 3).reshape(n, t, -1)


def _torch_packed(qkv: Any, *, num_heads: int, scale: Any, is_causal: bool) -> Any:
    """With a mask of its own: PyTorch's kernel for a causal one has no second derivative."""
    n, t, _ = qkv.shape
    q, k, v = qkv.reshape(n, t, 3, num_heads, -1).permute(2, 0, 3, 1, 4)
    mask = torch.ones(t, t, dtype=torch.bool)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        out = torch.nn.functional.scaled_dot_product_attention(
            q, k, v, mask.tril() if is_causal else mask, scale=scale
        )
    return out.transpose(1, 2).reshape(n, t, -1)


def _torch_attention(*arrays: Any, **options: Any) -> Any:
    """PyTorch's, by its plain formula: the others have no second derivative."""
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return torch.nn.functional.scaled_dot_product_attention(*arrays, **options)


ATTENTION = [
    Spec("packed_attention", _packed(), numpy=_np_packed, torch=_torch_packed,
         ops=("packed_attention",)),
    Spec("scaled_dot_product_attention", _attention(), numpy=_np_attention,
         torch=_torch_attention, ops=("attention",)),
]  # fmt: skip


SPECS = [*NORMALIZATION, *ATTENTION]
