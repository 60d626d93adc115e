"""Losses: how far predictions are from targets. Names and arguments are PyTorch's.

``reduction`` says what becomes of the loss of the single elements: ``mean``, ``sum`` or
``none``. Beware the mean in a bound: the evidence lower bound of a picture is a *sum* over
its pixels, and a mean makes its KL term vanish.
"""

from __future__ import annotations

import math
from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import FLOAT16, functions
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active
from minigen.numeric import number
from minigen.ops._arguments import check_float
from minigen.ops.activation import logistic, softplus
from minigen.ops.choice import or_zero
from minigen.ops.halves import in_float32
from minigen.ops.kernel import kernel
from minigen.ops.normalization import check_vector
from minigen.ops.reduction import log_softmax, mean
from minigen.ops.reduction import sum as sum_over
from minigen.ops.summation import sum_of

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return mean(loss)
    if reduction == "sum":
        return sum_over(loss)
    if reduction == "none":
        return loss
    raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}")


def _same_shape(name: str, input: Tensor, target: Tensor) -> None:
    if not isinstance(target, Tensor):
        raise TypeError(f"{name}: target must be a tensor, got {type(target).__name__}")
    if input.shape != target.shape:
        raise ValueError(f"{name}: input {input.shape} and target {target.shape} must agree")


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """``(input - target)²``."""
    if input.dtype is FLOAT16:
        return in_float32(mse_loss, input, target, reduction=reduction)
    _same_shape("mse_loss", input, target)
    check_float("mse_loss", input)
    return _reduce(functions.square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """``|input - target|``."""
    if input.dtype is FLOAT16:
        return in_float32(l1_loss, input, target, reduction=reduction)
    _same_shape("l1_loss", input, target)
    return _reduce(functions.absolute(input - target), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """With d = |input - target|: ``d²/2β`` if d < β, else ``d - β/2``."""
    if input.dtype is FLOAT16:
        return in_float32(smooth_l1_loss, input, target, reduction=reduction, beta=beta)
    _same_shape("smooth_l1_loss", input, target)
    check_float("smooth_l1_loss", input)
    if number("beta", beta) == 0:
        return l1_loss(input, target, reduction=reduction)
    d = functions.absolute(input - target)
    near = d < beta
    quadratic = functions.square(functions.where(near, d, 0.0)) * (0.5 / beta)
    return _reduce(functions.where(near, quadratic, d - 0.5 * beta), reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """With d = |input - target|: ``d²/2`` if d ≤ δ, else ``δ(d - δ/2)``. Huber 1964."""
    if input.dtype is FLOAT16:
        return in_float32(huber_loss, input, target, reduction, delta)
    _same_shape("huber_loss", input, target)
    if not delta > 0:
        raise ValueError(f"delta must be > 0, got {delta}")
    d = functions.absolute(input - target)
    near = d <= delta
    quadratic = functions.square(functions.where(near, d, 0.0)) * 0.5
    return _reduce(functions.where(near, quadratic, delta * (d - 0.5 * delta)), reduction)


# ---------------------------------------------------------------- distributions


def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """``t·(ln t - input)``, whose sum is KL(t ‖ q) for a distribution t and input = ln q.

    Args:
        input: logarithms of probabilities.
        target: probabilities, or their logarithms with ``log_target``; a t of 0 adds 0.
        reduction: ``batchmean`` (the sum over the length of the first dimension: the mean of the
            divergences), ``mean`` (over all *elements*, which is no divergence), ``sum``, ``none``.
    """
    if input.dtype is FLOAT16:
        options = {"reduction": reduction, "log_target": log_target}
        return in_float32(kl_div, input, target, **options)
    _same_shape("kl_div", input, target)
    if log_target:
        loss = functions.exp(target) * (target - input)
    else:
        loss = functions.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return sum_over(loss) * (1 / input.shape[0]) if input.ndim else loss
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """``½(ln v + (input - target)²/v)``, v = max(var, eps): -ln N(target; input, v) but a constant.

    Args:
        input: means.
        target: of the same shape.
        var: variances ≥ 0, of the same shape (or 1 where they are shared), without the last
            dimension, or one for all. Below ``eps`` they get the gradient at ``eps`` (PyTorch).
        full: with the constant, ½ ln 2π.
        eps: the smallest variance.
        reduction: ``mean``, ``sum`` or ``none``.

    Raises:
        ValueError: shapes do not fit, or (looked at on the CPU) a variance is negative.
    """
    if input.dtype is FLOAT16:
        return in_float32(gaussian_nll_loss, input, target, var, full, eps, reduction)
    _same_shape("gaussian_nll_loss", input, target)
    v = _variances(var, input, eps)
    loss = 0.5 * (functions.log(v) + functions.square(input - target) / v)
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def _variances(var: Tensor | float, input: Tensor, eps: float) -> Tensor:
    """max(var, eps) in a shape that broadcasts to the input's; slope 1 also where eps is larger."""
    if isinstance(var, Tensor):
        v = var
    else:
        v = Tensor(active.backend.xp.full((), var, dtype=input.dtype))
    if v.ndim and v.shape != input.shape:
        if v.shape == input.shape[:-1]:
            v = v.unsqueeze(-1)
        if v.ndim != input.ndim or any(n not in (1, m) for n, m in zip(v.shape, input.shape)):
            raise ValueError(f"gaussian_nll_loss: var {v.shape} does not fit {input.shape}")
    if active.backend.name == "numpy" and v.numel():
        active.backend.run(_refuse_negative, v.data)
    return v + (functions.clip(v, min=eps, max=None) - v).detach()


def _refuse_negative(var: Array) -> None:
    if var.min() < 0:
        raise ValueError(f"gaussian_nll_loss: var must be ≥ 0, got {var.min():.6g}")


# ---------------------------------------------------------------- binary


@kernel
def logit_cross_entropy(b: Any, x: Any, target: Any) -> Any:
    """``max(x, 0) - x·t + ln(1 + e^-|x|)``.

    The first two are x·(1 - t) for x ≥ 0 and -x·t for x < 0. Said so, nothing cancels, and where
    the factor is 0 (the target is what x says) even an infinite x costs nothing.
    """
    xp = b.xp
    out = xp.log1p(xp.exp(-xp.absolute(x)))
    factor = (x >= 0).astype(x.dtype) - target
    out += or_zero(b, factor != 0, x) * factor
    return out


@primitive(name="bce_with_logits")
def _bce_with_logits(b, x, target):
    """``max(x, 0) - x·t + ln(1 + e^-|x|)``."""
    return logit_cross_entropy(b, x, target)


_bce_with_logits.rules(
    x=lambda f, g, x, target: g * (f.sigmoid(x) - target),
    target=lambda f, g, x: -g * x,
)


@kernel
def cross_entropy_rows(b: Any, x: Any, target: Any) -> tuple[Any, Any]:
    """``Σ max(x, 0) - x·t + ln(1 + e^-|x|)`` of each row, (N,), and its slope σ(x) - t, (N, D)."""
    slope = logistic(b, x)
    slope -= target
    return sum_of(b, logit_cross_entropy(b, x, target), 1), slope


def _bce_rows_reference(x: Tensor, target: Tensor) -> Tensor:
    """The definition, in plain ops."""
    return functions.bce_with_logits(x, target).sum(1)


@fused(reference=_bce_rows_reference, name="bce_rows")
def _bce_rows(b, x, target):
    """Each row's sum: (N, D), (N, D) -> (N,); keeps the slope."""
    total, slope = cross_entropy_rows(b, x, target)
    return total, (slope,)


@_bce_rows.backward
def _(b, g, inputs, saved, needs):
    """∂L/∂x = g·(σ(x) - t), ∂L/∂t = -g·x."""
    column = g.reshape(-1, 1)
    return (
        column * saved[0] if needs[0] else None,
        -column * inputs[0] if needs[1] else None,
    )


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``-t·ln σ(x) - (1-t)·ln(1 - σ(x))`` in nats, from the logit x, without overflow.

    Args:
        input: logits, any shape.
        target: probabilities in [0, 1], same shape. Pixels scaled to [-0.5, 0.5] are none.
        weight: a factor for each element.
        reduction: ``mean``, ``sum`` or ``none``.
        pos_weight: a factor for the first term.
    """
    if input.dtype is FLOAT16:
        options = {"reduction": reduction, "pos_weight": pos_weight}
        return in_float32(binary_cross_entropy_with_logits, input, target, weight, **options)
    _same_shape("binary_cross_entropy_with_logits", input, target)
    check_float("binary_cross_entropy_with_logits", input)
    if (
        reduction != "none"
        and weight is None
        and pos_weight is None
        and input.ndim
        and input.numel()
    ):
        rows = (input.numel() // input.shape[-1], input.shape[-1])
        total = sum_over(_bce_rows(input.reshape(rows), target.reshape(rows)))
        return total * (1 / input.numel()) if reduction == "mean" else _reduce(total, reduction)
    if pos_weight is None:
        loss = _bce_with_logits(input, target)
    else:
        loss = pos_weight * target * softplus(-input) + (1 - target) * softplus(input)
    return _reduce(loss if weight is None else loss * weight, reduction)


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """``-t·ln p - (1-t)·ln(1-p)`` from the probability p.

    As in PyTorch, logarithms are cut at -100, and the slope (p - t)/(p(1 - p)) goes on where they
    are: its denominator is at least 1e-12. Better is the loss from logits, which needs no cut.

    Raises:
        ValueError: the shapes differ, or a p lies outside of [0, 1] or is NaN (looked for on the
            CPU; elsewhere it would cost a transfer, and the loss is NaN).
    """
    if input.dtype is FLOAT16:
        return in_float32(binary_cross_entropy, input, target, weight, reduction=reduction)
    _same_shape("binary_cross_entropy", input, target)
    check_float("binary_cross_entropy", input)
    _check_probabilities(input)
    loss = _binary_cross_entropy(input, target)
    return _reduce(loss if weight is None else loss * weight, reduction)


def _check_probabilities(p: Tensor) -> None:
    if active.backend.name == "numpy" and p.numel():
        active.backend.run(_refuse_outside, p.data)


def _refuse_outside(p: Array) -> None:
    low, high = p.min(), p.max()
    if not (low >= 0 and high <= 1):  # NaN is refused as well
        wrong = high if low >= 0 else low
        raise ValueError(f"binary_cross_entropy: input must lie in [0, 1], got {wrong:.6g}")


@primitive(name="binary_cross_entropy")
def _binary_cross_entropy(b, x, target):
    """``-t·max(ln p, -100) - (1-t)·max(ln(1-p), -100)``."""
    xp = b.xp
    is_zero, is_one = x == 0, x == 1  # whose logarithm NumPy warns of
    log = xp.where(is_zero, -100, xp.log(xp.where(is_zero, 1, x)))
    log_rest = xp.where(is_one, -100, xp.log1p(xp.where(is_one, 0, -x)))
    return (target - 1) * xp.maximum(log_rest, -100) - target * xp.maximum(log, -100)


_binary_cross_entropy.rules(
    x=lambda f, g, x, target: g * (x - target) / f.maximum(x * (1 - x), 1e-12),
    target=lambda f, g, x: g * (_cut_log(f, 1 - x) - _cut_log(f, x)),
)


def _cut_log(f: Any, p: Any) -> Any:
    """``max(ln p, -100)``."""
    is_zero = p == 0
    return f.maximum(f.where(is_zero, -100.0, f.log(f.where(is_zero, 1.0, p))), -100.0)


# ---------------------------------------------------------------- classes


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """``-log_probability[target]``: (N, C, …) and (N, …) int -> scalar or (N, …).

    Rows whose target is ``ignore_index`` count nothing; the mean is over the others, weighted.
    """
    if input.dtype is FLOAT16:
        options = {"ignore_index": ignore_index, "reduction": reduction}
        return in_float32(nll_loss, input, target, weight, **options)
    if input.ndim == 1:
        loss = nll_loss(
            input.reshape(1, -1),
            target.reshape(1),
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
        )
        return loss.reshape(())
    check_float("nll_loss", input)
    if target.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: target must hold class indices, got {target.dtype}")
    if input.ndim < 2 or target.shape != (input.shape[0], *input.shape[2:]):
        raise ValueError(
            f"nll_loss: input {input.shape} (N, C, …) does not fit target {target.shape}"
        )
    used = target != ignore_index
    safe = functions.where(used, target, 0)
    from minigen.ops.indexing import gather

    picked = gather(input, 1, safe.unsqueeze(1)).squeeze(1)  # (N, C, …) -> (N, …)
    if weight is None:
        factor = functions.cast(used, dtype=input.dtype)
        loss = -functions.where(used, picked, 0.0)
    else:
        factor = functions.where(used, functions.getitem(weight, index=safe.data), 0.0)
        loss = -functions.where(used, picked * factor, 0.0)
    if reduction == "mean":
        return _weighted_mean(loss, factor)
    return _reduce(loss, reduction)


def _weighted_mean(loss: Tensor, factor: Tensor) -> Tensor:
    """``Σ loss / Σ factor``; over nothing NaN, as in PyTorch, but with the gradient 0."""
    total = sum_over(factor)
    empty = total == 0
    mean_loss = sum_over(loss) / functions.where(empty, 1.0, total)
    return functions.where(empty, math.nan, mean_loss)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``-ln softmax(input)[target]`` in nats.

    Args:
        input: logits (N, C, …), or (C,) for one row.
        target: class indices (N, …), or probabilities of the shape of ``input``.
        weight: (C,) a factor for each class.
        ignore_index: rows with this target count nothing.
        reduction: ``mean`` (over the rows that count, weighted), ``sum`` or ``none``.
        label_smoothing: this share of the target goes to all classes evenly.
    """
    if input.dtype is FLOAT16:
        options = {"reduction": reduction, "label_smoothing": label_smoothing}
        options["ignore_index"] = ignore_index
        return in_float32(cross_entropy, input, target, weight, **options)
    label_smoothing = number("label_smoothing", label_smoothing, high=1.0)
    check_float("cross_entropy", input)
    dim = 0 if input.ndim == 1 else 1
    check_vector("cross_entropy", "weight", weight, input.shape[dim] if input.ndim else 0)
    if target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(
                f"cross_entropy: ignore_index goes with classes; target holds {target.dtype}"
            )
        return _cross_entropy_of_probabilities(
            input, target, weight, reduction, label_smoothing, dim
        )
    if target.shape != input.shape[:dim] + input.shape[dim + 1 :]:
        raise ValueError(
            f"cross_entropy: target {target.shape} does not fit input {input.shape} (N, C, …): it "
            "must hold a class for each row, or as floats a probability for each class"
        )
    if (
        weight is None
        and not label_smoothing
        and input.ndim == 2
        and reduction == "mean"
        and input.numel()
    ):
        _check_classes(target, input.shape[1], ignore_index)
        return _mean_cross_entropy(input, target, ignore_index=ignore_index)
    # What a row holds that counts nothing is nothing to the gradient either, infinite or NaN.
    used = target != ignore_index
    log_p = log_softmax(functions.where(used.unsqueeze(dim), input, 0.0), dim)
    loss = nll_loss(log_p, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return loss
    even = _smooth_term(log_p, target, weight, ignore_index, reduction, dim)
    return (1 - label_smoothing) * loss + label_smoothing * even


def _check_classes(target: Tensor, classes: int, ignore_index: int) -> None:
    """Like any index, a class out of range raises on the CPU (elsewhere it costs a transfer)."""
    if active.backend.name != "numpy" or not target.numel():
        return
    active.backend.run(_refuse_classes, target.data, classes, ignore_index)


def _refuse_classes(t: Array, classes: int, ignore_index: int) -> None:
    if int(t.min()) >= 0 and int(t.max()) < classes:
        return
    wrong = t[((t < 0) | (t >= classes)) & (t != ignore_index)]
    if wrong.size:
        raise IndexError(f"cross_entropy: target must lie in [0, {classes}), got {wrong[0]}")


def _smooth_term(
    log_p: Tensor, target: Tensor, weight: Any, ignore_index: int, reduction: str, dim: int
) -> Tensor:
    """The cross-entropy with the even distribution, on the rows that count."""
    classes = log_p.shape[dim]
    used = target != ignore_index
    counted = functions.cast(used, dtype=log_p.dtype)
    if weight is not None:
        shape = [1] * log_p.ndim
        shape[dim] = classes
        log_p = log_p * weight.reshape(shape)
        safe = functions.where(used, target, 0)
        counted = functions.where(used, functions.getitem(weight, index=safe.data), 0.0)
    even = functions.where(used, sum_over(log_p, dim) * (-1 / classes), 0.0)
    if reduction != "mean":
        return _reduce(even, reduction)
    return _weighted_mean(even, counted)


def _cross_entropy_of_probabilities(
    input: Tensor, target: Tensor, weight: Any, reduction: str, smoothing: float, dim: int
) -> Tensor:
    _same_shape("cross_entropy", input, target)
    classes = input.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    terms = log_softmax(input, dim) * target
    if weight is not None:
        shape = [1] * input.ndim
        shape[dim] = classes
        terms = terms * weight.reshape(shape)
    loss = -sum_over(terms, dim)
    if reduction == "mean":
        return sum_over(loss) * (1 / max(input.numel() // max(classes, 1), 1))
    return _reduce(loss, reduction)


# ---------------------------------------------------------------- the fused kernel


def _mean_cross_entropy_reference(x: Tensor, target: Tensor, *, ignore_index: int) -> Tensor:
    """The definition: the mean of -ln softmax at the target, over rows that count."""
    used = (target != ignore_index).unsqueeze(1)  # (N, 1)
    return nll_loss(
        log_softmax(functions.where(used, x, 0.0), 1), target, ignore_index=ignore_index
    )


@kernel
def cross_entropy_and_gradient(
    b: Any, x: Any, target: Any, *, ignore_index: int
) -> tuple[Any, Any]:
    """The mean, and its gradient (softmax - onehot) · share of the row in the mean: (), (N, C)."""
    xp = b.xp
    used = target != ignore_index
    safe = xp.where(used, target, 0)
    x = or_zero(b, used[:, None], x)  # what an ignored row holds is nothing
    p = x - x.max(axis=1, keepdims=True)  # (N, C)
    rows = xp.arange(x.shape[0])
    chosen = p[rows, safe]
    xp.exp(p, out=p)
    total = sum_of(b, p, 1)
    p /= total[:, None]
    count = used.sum()
    share = (1 / xp.maximum(count, 1)).astype(x.dtype)  # each row's weight in the mean
    loss = sum_of(b, or_zero(b, used, xp.log(total) - chosen)) * share
    loss = xp.where(count == 0, math.nan, loss)  # the mean over no rows
    p[rows, safe] -= 1
    p *= (used * share)[:, None]
    return loss, p


@fused(reference=_mean_cross_entropy_reference, name="mean_cross_entropy")
def _mean_cross_entropy(b, x, target, *, ignore_index):
    """Softmax, logarithm, choice and mean together; keeps the gradient."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: target must hold class indices, got {target.dtype}")
    loss, grad = cross_entropy_and_gradient(b, x, target, ignore_index=ignore_index)
    return loss, (grad,)


@_mean_cross_entropy.backward
def _(b, g, inputs, saved, needs, *, ignore_index):
    """What was kept, times g."""
    return saved[0] * g, None
