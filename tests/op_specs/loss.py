"""Descriptions of losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg

from .core import REAL, UNIT, Case, Domain, Spec, arrays, integer_arrays, shapes, torch

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])


def _reduced(loss: np.ndarray, reduction: str) -> np.ndarray:
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](loss)


@st.composite
def _pairs(draw: Any, left: Domain = REAL, right: Domain = REAL, **options: Any) -> Case:
    shape = draw(shapes(min_side=1, max_side=3))
    drawn = {name: draw(strategy) for name, strategy in options.items()}
    return Case(
        (draw(arrays(shape, left)), draw(arrays(shape, right))),
        {"reduction": draw(REDUCTIONS), **drawn},
    )


@st.composite
def _apart(draw: Any, gap: tuple[float, float], **options: Any) -> Case:
    """Input and target whose distance stays within ``gap``: away from the kinks of |x|."""
    case = draw(_pairs(REAL, Domain(*gap), **options))
    x, distance = case.arrays
    side = np.where(np.sin(37 * x) > 0, 1.0, -1.0)
    return Case((x, np.asarray(x + side * distance)), case.options)


def _np_smooth(x: Any, t: Any, reduction: str, beta: float) -> Any:
    d = np.abs(x - t)
    loss = np.where(d < beta, 0.5 * d**2 / beta, d - 0.5 * beta) if beta else d
    return _reduced(loss, reduction)


def _np_huber(x: Any, t: Any, reduction: str, delta: float) -> Any:
    d = np.abs(x - t)
    return _reduced(np.where(d <= delta, 0.5 * d**2, delta * (d - 0.5 * delta)), reduction)


@st.composite
def _divergence(draw: Any) -> Case:
    log_target = draw(st.booleans())
    case = draw(_pairs(REAL, REAL if log_target else UNIT, log_target=st.just(log_target)))
    if draw(st.booleans()) and case.arrays[0].ndim:
        return Case(case.arrays, {**case.options, "reduction": "batchmean"})
    return case


def _np_kl(x: Any, t: Any, reduction: str, log_target: bool) -> Any:
    loss = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
    return loss.sum() / len(x) if reduction == "batchmean" else _reduced(loss, reduction)


@st.composite
def _gaussian(draw: Any) -> Case:
    """Variances for each element, for each row, or one for all; some below eps."""
    case = draw(_pairs(full=st.booleans(), eps=st.sampled_from([1e-6, 0.5])))
    shape = case.arrays[0].shape
    shapes_of_var = [shape, ()]
    if len(shape) > 1:  # (PyTorch takes (n,) beside (n, n) for rows, and (n, 1) for the same)
        shapes_of_var += [shape[:-1], (*shape[:-1], 1)]
    var = draw(arrays(draw(st.sampled_from(shapes_of_var)), Domain(0.3, 3.0, avoid=(0.5,))))
    if case.options["eps"] == 0.5:  # the slope below eps is that at eps: no finite difference
        var = np.asarray(np.maximum(var, 0.6))
    return Case((*case.arrays, var), case.options)


def _np_gaussian(x: Any, t: Any, var: Any, reduction: str, full: bool, eps: float) -> Any:
    if var.ndim and var.shape == x.shape[:-1]:
        var = var[..., None]
    v = np.maximum(var, eps)
    loss = 0.5 * (np.log(v) + (x - t) ** 2 / v) + (0.5 * np.log(2 * np.pi) if full else 0)
    return _reduced(loss, reduction)


def _torch_gaussian(x: Any, t: Any, var: Any, **options: Any) -> Any:
    """PyTorch takes no single number for all, and guesses what (n,) means beside (n, n)."""
    rows = var.ndim and var.shape == x.shape[:-1]
    var = (var.unsqueeze(-1) if rows else var).expand(x.shape)
    return torch.nn.functional.gaussian_nll_loss(x, t, var, **options)


def constants(function: Any) -> Any:
    """Arrays among the options (class weights) become tensors without a gradient."""

    def call(*xs: mg.Tensor, **options: Any) -> Any:
        kept = {
            k: mg.tensor(v, dtype=xs[0].dtype) if isinstance(v, np.ndarray) else v
            for k, v in options.items()
        }
        return function(*xs, **kept)

    return call


def torch_constants(name: str) -> Any:
    """The same for the function of PyTorch."""

    def call(*xs: Any, **options: Any) -> Any:
        kept = {
            k: torch.from_numpy(np.array(v)) if isinstance(v, np.ndarray) else v
            for k, v in options.items()
        }
        return getattr(torch.nn.functional, name)(*xs, **kept)

    return call


def _np_bce_logits(
    x: Any, t: Any, reduction: str, weight: Any = None, pos_weight: Any = None
) -> Any:
    p = 1 / (1 + np.exp(-x))
    loss = -(t * np.log(p) * (1 if pos_weight is None else pos_weight) + (1 - t) * np.log(1 - p))
    return _reduced(loss if weight is None else loss * weight, reduction)


@st.composite
def _weighted_pairs(draw: Any) -> Case:
    case = draw(_pairs(Domain(-4, 4), UNIT))
    shape = case.arrays[0].shape
    factors = {name: draw(arrays(shape, UNIT)) for name in ("weight", "pos_weight")}
    return Case(case.arrays, {**case.options, **factors})


PAIRS = [
    Spec("mse_loss", _pairs(), torch="nn.functional.mse_loss",
         numpy=lambda x, t, reduction: _reduced((x - t) ** 2, reduction)),
    Spec("l1_loss", _apart((0.1, 1)), torch="nn.functional.l1_loss",
         numpy=lambda x, t, reduction: _reduced(np.abs(x - t), reduction)),
    Spec("smooth_l1_loss", _apart((0.1, 0.4), beta=st.sampled_from([0.0, 0.5, 1.0])),
         torch="nn.functional.smooth_l1_loss", numpy=_np_smooth),
    Spec("smooth_l1_loss", _apart((1.1, 2.0), beta=st.sampled_from([0.5, 1.0])),
         torch="nn.functional.smooth_l1_loss", numpy=_np_smooth),
    Spec("huber_loss", _apart((0.1, 0.4), delta=st.sampled_from([0.5, 1.0])),
         torch="nn.functional.huber_loss", numpy=_np_huber),
    Spec("huber_loss", _apart((1.1, 2.0), delta=st.sampled_from([0.5, 1.0])),
         torch="nn.functional.huber_loss", numpy=_np_huber),
    Spec("kl_div", _divergence(), torch="nn.functional.kl_div", numpy=_np_kl),
    Spec("gaussian_nll_loss", _gaussian(), torch=_torch_gaussian,
         numpy=_np_gaussian),
    Spec("binary_cross_entropy_with_logits", _pairs(Domain(-5, 5, avoid=(0.0,)), UNIT),
         torch="nn.functional.binary_cross_entropy_with_logits", numpy=_np_bce_logits,
         ops=("bce_with_logits", "bce_rows")),
    Spec("binary_cross_entropy_with_logits", _weighted_pairs(), numpy=_np_bce_logits,
         call=constants(mg.binary_cross_entropy_with_logits),
         torch=torch_constants("binary_cross_entropy_with_logits")),
    Spec("binary_cross_entropy", _pairs(UNIT, UNIT), torch=lambda x, t, reduction:
         torch.nn.functional.binary_cross_entropy(x, t.detach(), reduction=reduction)
         + _target_term(x, t, reduction),
         numpy=lambda x, t, reduction: _reduced(
             -(t * np.log(x) + (1 - t) * np.log(1 - x)), reduction), ops=("binary_cross_entropy",)),
]  # fmt: skip


def _target_term(x: Any, t: Any, reduction: str) -> Any:
    """Zero, with the gradient by the target, which PyTorch's function does not give."""
    loss = -((t - t.detach()) * (torch.log(x) - torch.log(1 - x)))
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


# ---------------------------------------------------------------- classes


@st.composite
def _classes(draw: Any, probabilities: bool = False, weighted: bool = False) -> Case:
    """Logits (N, C, …) or (C,), class indices (some of them ignored) or probabilities."""
    classes = draw(st.integers(1, 4))
    rest = draw(shapes(max_dims=2, max_side=3, min_side=1))
    lead = draw(st.sampled_from([(), (1,), (4,)]))
    shape = (*lead, classes, *rest) if lead else (classes,)
    target_shape = (*lead, *rest) if lead else ()
    options: dict[str, Any] = {"reduction": draw(REDUCTIONS)}
    if probabilities:
        target = draw(arrays(shape, UNIT))
    else:
        target = draw(integer_arrays(target_shape, 0, classes))
        ignore = draw(st.sampled_from([-100, 0, 7]))
        options["ignore_index"] = ignore
        if ignore == 7 and target.ndim and target.shape[0] > 1:
            target = target.copy()
            target[0] = 7
        if np.all(target == ignore):  # the mean over no rows is NaN
            options["ignore_index"] = -100
    if weighted:
        options["weight"] = draw(arrays((classes,), UNIT))
    return Case((draw(arrays(shape, Domain(-4, 4))), target), options)


@st.composite
def _smoothed(draw: Any, **kind: bool) -> Case:
    case = draw(_classes(**kind))
    smoothing = draw(st.sampled_from([0.0, 0.0, 0.2]))
    return Case(case.arrays, {**case.options, "label_smoothing": smoothing})


def _np_cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    is_log: bool = False,
) -> Any:
    """Row by row, as the documentation of PyTorch defines it."""
    axis = 0 if x.ndim == 1 else 1
    classes = x.shape[axis]
    rows = np.moveaxis(x, axis, -1)
    log_p = rows if is_log else rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    w = np.ones(classes) if weight is None else weight
    if target.dtype.kind == "f":
        t = np.moveaxis(target, axis, -1) * (1 - label_smoothing) + label_smoothing / classes
        loss = -(t * w * log_p).sum(-1)
        total = loss.size
    else:
        used = target != ignore_index
        safe = np.where(used, target, 0)
        t = np.eye(classes)[safe] * (1 - label_smoothing) + label_smoothing / classes
        loss = -(t * w * log_p).sum(-1) * used
        total = (w[safe] * used).sum()
    if reduction == "mean":
        return loss.sum() / total
    return _reduced(loss, reduction)


def _np_nll(x: Any, target: Any, weight: Any = None, **options: Any) -> Any:
    return _np_cross_entropy(x, target, weight, is_log=True, **options)


CLASSES = [
    Spec(
        name,
        cases,
        call=constants(getattr(mg, name)),
        numpy=truth,
        torch=torch_constants(name),
        ops=ops,
    )
    for name, truth, cases, ops in [
        ("nll_loss", _np_nll, _classes(), ()),
        ("nll_loss", _np_nll, _classes(weighted=True), ()),
        ("cross_entropy", _np_cross_entropy, _classes(), ("mean_cross_entropy",)),
        ("cross_entropy", _np_cross_entropy, _smoothed(weighted=True), ()),
    ]
] + [
    Spec(
        "cross_entropy",
        _smoothed(probabilities=True),
        call=constants(mg.cross_entropy),
        numpy=_np_cross_entropy,
        torch=torch_constants("cross_entropy"),
    ),
]

SPECS = [*PAIRS, *CLASSES]
