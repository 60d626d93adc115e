"""Descriptions of all layers: how to build one, what to feed it, what it must compute.

``SPECS`` is walked by ``test_every_layer.py``, which fails when ``minigen.nn`` exports a layer
that is not described here. Hypothesis draws the structure (sizes, options) and a seed. What is
right is written in NumPy (``layer_truths.py``); where PyTorch is installed, its layers say it too.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import layer_truths as truths
import numpy as np
from hypothesis import strategies as st

from minigen import nn

try:
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(1)  # small tensors; waiting threads cost more than they help
except ImportError:  # PyTorch is an optional oracle
    torch = None


@dataclasses.dataclass
class LayerCase:
    """One draw: the layer's arguments, and inputs in float64 or integers."""

    args: tuple[Any, ...]
    options: dict[str, Any]
    inputs: tuple[np.ndarray, ...]

    def __repr__(self) -> str:
        shapes = ", ".join(f"{x.dtype}{x.shape}" for x in self.inputs)
        return f"LayerCase({self.args}, {self.options}, inputs {shapes})"


@dataclasses.dataclass
class LayerSpec:
    """A description of one layer.

    Attributes:
        name: its name in ``minigen.nn``.
        cases: draws a :class:`LayerCase` of a given batch length.
        truth: what it computes, in NumPy: see ``layer_truths.py``.
        twin: builds PyTorch's module from the same arguments; by default its class of the same
            name; None if PyTorch has none.
        train: whether to compare in training mode.
        batched: whether there is a batch that may be empty.
        wrong: an input that does not fit ``example``, and what its error must name.
    """

    name: str
    cases: Callable[[int], st.SearchStrategy[LayerCase]]
    truth: Callable[..., Any]
    twin: Callable[..., Any] | str | None = ""
    train: bool = True
    batched: bool = True
    wrong: tuple[int, ...] | None = None

    def build(self, case: LayerCase) -> Any:
        """The layer."""
        return getattr(nn, self.name)(*case.args, **case.options)

    def build_twin(self, case: LayerCase) -> Any:
        """PyTorch's."""
        if callable(self.twin):
            return self.twin(*case.args, **case.options)
        return getattr(torch.nn, self.twin or self.name)(*case.args, **case.options)

    def __repr__(self) -> str:
        return f"<layer {self.name}>"


def _numbers(draw: Any, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    return rng.uniform(-2, 2, shape).astype(np.float32).astype(np.float64)


_few = st.integers(1, 3)
_flag = st.booleans()

# ---------------------------------------------------------------- elementwise


def _elementwise(**options: Any) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        chosen = {name: draw(s) for name, s in options.items()}
        return LayerCase((), chosen, (_numbers(draw, n, 4, draw(_few)),))

    return cases


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ReLU": ("relu", {}),
    "ReLU6": ("relu6", {}),
    "LeakyReLU": ("leaky_relu", {"negative_slope": st.sampled_from([0.01, 0.2])}),
    "ELU": ("elu", {"alpha": st.sampled_from([1.0, 0.5])}),
    "GELU": ("gelu", {"approximate": st.sampled_from(["none", "tanh"])}),
    "GLU": ("glu", {"dim": st.just(1)}),
    "SiLU": ("silu", {}),
    "Sigmoid": ("sigmoid", {}),
    "Tanh": ("tanh", {}),
    "Softplus": ("softplus", {"beta": st.sampled_from([1.0, 2.0])}),
    "SELU": ("selu", {}),
    "Mish": ("mish", {}),
    "Hardtanh": ("hardtanh", {"min_val": st.just(-0.5), "max_val": st.sampled_from([0.5, 1.0])}),
    "Softmax": ("softmax", {"dim": st.sampled_from([1, -1])}),
    "LogSoftmax": ("log_softmax", {"dim": st.sampled_from([1, -1])}),
}


@st.composite
def _learned_slope(draw: Any, n: int) -> LayerCase:
    return LayerCase((draw(st.sampled_from([1, 4])),), {}, (_numbers(draw, n, 4, draw(_few)),))


# ---------------------------------------------------------------- losses


def _pair(target: str = "any", **options: Any) -> Any:
    """Input and target of a loss of two tensors of one shape, and sometimes variances."""

    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        x, t, v = (_numbers(draw, n, 3) for _ in range(3))
        if target == "unit":
            t = np.abs(t) / 2.5
        if target == "units":
            x, t = np.abs(x) / 2.5 + 0.1, np.abs(t) / 2.5
        chosen = {name: draw(s) for name, s in options.items()}
        chosen["reduction"] = draw(st.sampled_from(["mean", "sum", "none"]))
        return LayerCase((), chosen, (x, t, np.abs(v) + 0.1) if target == "variance" else (x, t))

    return cases


def _classified(**options: Any) -> Any:
    """Logits (N, 4) and class indices."""

    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        chosen = {name: draw(s) for name, s in options.items()}
        chosen["reduction"] = draw(st.sampled_from(["mean", "sum", "none"]))
        return LayerCase((), chosen, (_numbers(draw, n, 4), rng.integers(0, 4, (n,))))

    return cases


_PAIR_LOSSES = {
    "MSELoss": ("mse_loss", _pair()),
    "L1Loss": ("l1_loss", _pair()),
    "SmoothL1Loss": ("smooth_l1_loss", _pair(beta=st.sampled_from([0.5, 1.0]))),
    "HuberLoss": ("huber_loss", _pair(delta=st.sampled_from([0.5, 1.0]))),
    "KLDivLoss": ("kl_div", _pair("unit", log_target=st.just(False))),
    "GaussianNLLLoss": (
        "gaussian_nll_loss",
        _pair("variance", full=_flag, eps=st.sampled_from([1e-6, 0.01])),
    ),
    "BCELoss": ("binary_cross_entropy", _pair("units")),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", _pair("unit")),
    "NLLLoss": ("nll_loss", _classified(ignore_index=st.sampled_from([-100, 9]))),
    "CrossEntropyLoss": (
        "cross_entropy",
        _classified(label_smoothing=st.sampled_from([0.0, 0.2]), ignore_index=st.just(-100)),
    ),
}


@st.composite
def _dropout(draw: Any, n: int) -> LayerCase:
    return LayerCase((0.5,), {}, (_numbers(draw, n, 2, 3, 3),))


@st.composite
def _unflatten(draw: Any, n: int) -> LayerCase:
    return LayerCase((1, (2, 3)), {}, (_numbers(draw, n, 6),))


# ---------------------------------------------------------------- dense, convolution


@st.composite
def _linear(draw: Any, n: int) -> LayerCase:
    inner, out = draw(_few), draw(_few)
    middle = draw(st.sampled_from([(), (2,)]))
    return LayerCase((inner, out), {"bias": draw(_flag)}, (_numbers(draw, n, *middle, inner),))


@st.composite
def _embedding(draw: Any, n: int) -> LayerCase:
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return LayerCase((5, draw(_few)), {}, (rng.integers(0, 5, (n, 3)),))


def _convolution(dims: int, transposed: bool = False) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        groups = draw(st.sampled_from([1, 1, 2]))
        c, o, k = groups * draw(_few), groups * draw(_few), draw(_few)
        stride = draw(st.integers(1, 2))
        options = {"stride": stride, "groups": groups, "bias": draw(_flag)}
        options["dilation"] = draw(st.integers(1, 2))
        if transposed:
            options["padding"] = draw(st.integers(0, k // 2))
            options["output_padding"] = draw(st.integers(0, stride - 1))
        else:
            options["rectify"] = draw(st.sampled_from([None, None, 0.0, 0.2]))
            options["padding_mode"] = draw(
                st.sampled_from(["zeros", "reflect", "replicate", "circular"])
            )
            options["padding"] = draw(st.integers(0, 2))
            if stride == 1 and draw(_flag):
                options["padding"] = "same"
        return LayerCase((c, o, k), options, (_numbers(draw, n, c, *(5, 6)[:dims]),))

    return cases


def _convolution_twin(*args: Any, **options: Any) -> Any:
    """PyTorch's with the rectifier before it."""
    base = torch.nn.Conv1d if options.pop("dims") == 1 else torch.nn.Conv2d

    class Rectified(base):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, rectify: float | None, **options: Any) -> None:
            super().__init__(*args, **options)
            self.slope = 1.0 if rectify is None else rectify

        def forward(self, x: Any) -> Any:
            return super().forward(F.leaky_relu(x, self.slope))

    return Rectified(*args, **options)


@st.composite
def _masked(draw: Any, n: int) -> LayerCase:
    colors = draw(st.sampled_from([1, 1, 3]))
    c, o = colors * draw(_few), colors * draw(_few)
    k = draw(st.sampled_from([1, 3, 5]))
    options = {"padding": k // 2, "bias": draw(_flag)}
    if colors == 1 and draw(_flag):
        rng = np.random.default_rng(draw(st.integers(0, 999)))
        shape = draw(st.sampled_from([(k, k), (o, c, k, k), (1, c, k, k)]))
        options["mask"] = rng.integers(0, 2, shape)
    else:
        options.update(mask_type=draw(st.sampled_from(["A", "B"])), colors=colors)
    return LayerCase((c, o, k), options, (_numbers(draw, n, c, 4, 5),))


def _masked_twin(c: int, o: int, k: int, padding: int, bias: bool, **options: Any) -> Any:
    """PyTorch with the mask multiplied in."""
    mask = options.get("mask")
    if mask is None:
        mask = truths.raster_mask(c, o, k, **options)
    mask = np.asarray(mask, float)

    class Masked(torch.nn.Conv2d):
        def forward(self, x: Any) -> Any:
            weight = self.weight * torch.tensor(mask, dtype=self.weight.dtype)
            return F.conv2d(x, weight, self.bias, padding=self.padding)

    return Masked(c, o, k, padding=padding, bias=bias)


@st.composite
def _causal(draw: Any, n: int) -> LayerCase:
    c = draw(_few)
    options = {"dilation": draw(_few), "mask_type": draw(st.sampled_from("AB"))}
    return LayerCase((c, draw(_few), draw(_few)), options, (_numbers(draw, n, c, 6),))


def _causal_twin(c: int, o: int, k: int, dilation: int, mask_type: str) -> Any:
    class Causal(torch.nn.Conv1d):
        def forward(self, x: Any) -> Any:
            if mask_type == "A":
                x = torch.cat([torch.zeros_like(x[:, :, :1]), x[:, :, :-1]], 2)
            x = F.pad(x, ((k - 1) * dilation, 0))
            return F.conv1d(x, self.weight, self.bias, dilation=dilation)

    return Causal(c, o, k, dilation=dilation)


# ---------------------------------------------------------------- images


def _images(args: tuple[Any, ...], channels: int = 2, **options: Any) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        chosen = {name: draw(s) for name, s in options.items()}
        return LayerCase(args, chosen, (_numbers(draw, n, channels, 6, 4),))

    return cases


def _signals(args: tuple[Any, ...], **options: Any) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        chosen = {name: draw(s) for name, s in options.items()}
        return LayerCase(args, chosen, (_numbers(draw, n, 2, 7),))

    return cases


_bool = {"count_include_pad": _flag, "padding": st.integers(0, 1), "ceil_mode": _flag}

# ---------------------------------------------------------------- normalization


@st.composite
def _layer_norm(draw: Any, n: int) -> LayerCase:
    shape = draw(st.sampled_from([(3,), (2, 3)]))
    options = {"elementwise_affine": draw(_flag), "eps": draw(st.sampled_from([1e-5, 1e-2]))}
    return LayerCase((shape,), options, (_numbers(draw, n, 4, *shape),))


@st.composite
def _rms_norm(draw: Any, n: int) -> LayerCase:
    case = draw(_layer_norm(n))
    return dataclasses.replace(case, options={**case.options, "eps": 1e-5})


@st.composite
def _group_norm(draw: Any, n: int) -> LayerCase:
    groups, each = draw(_few), draw(_few)
    options = {"affine": draw(_flag)}
    return LayerCase((groups, groups * each), options, (_numbers(draw, n, groups * each, 3, 2),))


@st.composite
def _instance_norm(draw: Any, n: int) -> LayerCase:
    c = draw(_few)
    return LayerCase((c,), {"affine": draw(_flag)}, (_numbers(draw, n, c, 3, 2),))


def _batch_norm(*places: tuple[int, ...]) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        c = draw(_few)
        options = {
            "affine": draw(_flag),
            "momentum": draw(st.sampled_from([0.1, 0.5, None])),
            "track_running_stats": draw(st.sampled_from([True, True, False])),
        }
        shape = (n + 1, c, *draw(st.sampled_from(places)))
        return LayerCase((c,), options, (_numbers(draw, *shape),))

    return cases


# ---------------------------------------------------------------- attention, recurrence


@st.composite
def _attention(draw: Any, n: int) -> LayerCase:
    heads = draw(_few)
    width = heads * draw(_few)
    options: dict[str, Any] = {"bias": draw(_flag), "batch_first": draw(_flag)}
    shapes = [(n, 3, width), (n, 4, width), (n, 4, width)]
    if draw(_flag):
        options.update(kdim=2, vdim=5)
        shapes[1:] = [(n, 4, 2), (n, 4, 5)]
    if not options["batch_first"]:
        shapes = [(b, a, c) for a, b, c in shapes]
    return LayerCase((width, heads), options, tuple(_numbers(draw, *s) for s in shapes))


@st.composite
def _recurrent(draw: Any, n: int) -> LayerCase:
    size, hidden = draw(_few), draw(_few)
    options = {name: draw(_flag) for name in ("bias", "batch_first", "bidirectional")}
    options["num_layers"] = draw(st.integers(1, 2))
    shape = (n, 3, size) if options["batch_first"] else (3, n, size)
    return LayerCase((size, hidden), options, (_numbers(draw, *shape),))


@st.composite
def _cell(draw: Any, n: int) -> LayerCase:
    size, hidden = draw(_few), draw(_few)
    return LayerCase((size, hidden), {"bias": draw(_flag)}, (_numbers(draw, n, size),))


# ---------------------------------------------------------------- flows


@st.composite
def _channels(draw: Any, n: int) -> LayerCase:
    c = draw(_few)
    shape = draw(st.sampled_from([(n, c), (n, c, 2, 3)]))
    options = {}
    return LayerCase((c,), options, (_numbers(draw, *shape),))


@st.composite
def _mixing(draw: Any, n: int) -> LayerCase:
    case = draw(_channels(n))
    return dataclasses.replace(case, options={"lu": draw(_flag)})


def _coupling(outputs: int) -> Any:
    @st.composite
    def cases(draw: Any, n: int) -> LayerCase:
        c, swap, masked = draw(st.integers(2, 4)), draw(_flag), draw(_flag)
        a, b = ((c + 1) // 2, c // 2) if not swap else (c // 2, (c + 1) // 2)
        options: dict[str, Any] = {"swap": swap}
        if masked:
            a = b = c
            options["mask"] = np.indices((3, 2)).sum(0) % 2
        if outputs == 2:
            options["scale"] = draw(st.sampled_from(["tanh", "sigmoid", "exp"]))
        conditioner = nn.Conv2d(a, outputs * b, 3, padding=1)
        return LayerCase((conditioner,), options, (_numbers(draw, n, c, 3, 2),))

    return cases


@st.composite
def _flow(draw: Any, n: int) -> LayerCase:
    layers = (nn.ActNorm(2), nn.InvertibleConv1x1(2), nn.AffineCoupling(nn.Linear(1, 2)))
    return LayerCase(layers, {}, (_numbers(draw, n, 2),))


@st.composite
def _sequential(draw: Any, n: int) -> LayerCase:
    c = draw(_few)
    layers = (nn.Linear(c, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 2)))
    return LayerCase(layers, {}, (_numbers(draw, n, c),))


def _sequential_twin(first: Any, *_: Any) -> Any:
    return torch.nn.Sequential(
        torch.nn.Linear(first.in_features, 3),
        torch.nn.Tanh(),
        torch.nn.Sequential(torch.nn.Linear(3, 2)),
    )


SPECS = [
    *(
        LayerSpec(name, _elementwise(**options), truths.op(op))
        for name, (op, options) in _ACTIVATIONS.items()
    ),
    LayerSpec("PReLU", _learned_slope, truths.prelu),
    *(
        LayerSpec(name, cases, truths.op(op), batched=False)
        for name, (op, cases) in _PAIR_LOSSES.items()
    ),
    LayerSpec("Identity", _elementwise(), truths.identity),
    LayerSpec("Flatten", _elementwise(), truths.flatten),
    LayerSpec("Unflatten", _unflatten, truths.unflatten),
    LayerSpec("Dropout", _dropout, truths.identity, train=False),
    LayerSpec("Dropout2d", _dropout, truths.identity, train=False, wrong=(3, 2)),
    LayerSpec("Linear", _linear, truths.linear, wrong=(2, 9)),
    LayerSpec("Embedding", _embedding, truths.embedding, wrong=(2, 9)),
    LayerSpec(
        "Conv1d",
        _convolution(1),
        truths.convolution,
        functools.partial(_convolution_twin, dims=1),
        wrong=(2, 9, 6),
    ),
    LayerSpec(
        "Conv2d",
        _convolution(2),
        truths.convolution,
        functools.partial(_convolution_twin, dims=2),
        wrong=(2, 9, 6, 6),
    ),
    LayerSpec("ConvTranspose1d", _convolution(1, True), truths.transposed, wrong=(2, 9, 6)),
    LayerSpec("ConvTranspose2d", _convolution(2, True), truths.transposed, wrong=(2, 9, 6, 6)),
    LayerSpec("MaskedConv2d", _masked, truths.masked, _masked_twin, wrong=(2, 11, 6, 6)),
    LayerSpec("CausalConv1d", _causal, truths.causal, _causal_twin, wrong=(2, 9, 6)),
    LayerSpec(
        "MaxPool2d",
        _images((2,), padding=st.integers(0, 1), ceil_mode=_flag),
        truths.pool("max_pool2d"),
    ),
    LayerSpec("AvgPool2d", _images((2,), **_bool), truths.pool("avg_pool2d")),
    LayerSpec(
        "MaxPool1d",
        _signals((2,), padding=st.integers(0, 1), ceil_mode=_flag),
        truths.pool1d("max"),
    ),
    LayerSpec("AvgPool1d", _signals((2,), **_bool), truths.pool1d("avg")),
    LayerSpec("AdaptiveAvgPool1d", _signals((3,)), truths.op("adaptive_avg_pool1d", "output_size")),
    LayerSpec(
        "AdaptiveAvgPool2d", _images(((3, 2),)), truths.op("adaptive_avg_pool2d", "output_size")
    ),
    LayerSpec("Upsample", _images((), scale_factor=_few, mode=st.just("nearest")), truths.upsample),
    LayerSpec(
        "PixelShuffle", _images((2,), channels=8), truths.op("pixel_shuffle", "upscale_factor")
    ),
    LayerSpec("PixelUnshuffle", _images((2,)), truths.op("pixel_unshuffle", "downscale_factor")),
    LayerSpec("LayerNorm", _layer_norm, truths.layer_norm, wrong=(2, 9)),
    LayerSpec("RMSNorm", _rms_norm, truths.rms_norm, wrong=(2, 9)),
    LayerSpec("GroupNorm", _group_norm, truths.group_norm, wrong=(2, 11, 2)),
    LayerSpec("InstanceNorm2d", _instance_norm, truths.instance_norm, wrong=(2, 9, 3, 3)),
    LayerSpec("BatchNorm1d", _batch_norm((), (3,)), truths.batch_norm, batched=False, wrong=(2, 9)),
    LayerSpec(
        "BatchNorm2d",
        _batch_norm((3, 2), (2, 2)),
        truths.batch_norm,
        batched=False,
        wrong=(2, 9, 3, 3),
    ),
    LayerSpec("MultiheadAttention", _attention, truths.attention, wrong=(2, 3, 11)),
    LayerSpec("LSTM", _recurrent, truths.recurrent("LSTM"), wrong=(2, 3, 9)),
    LayerSpec("GRU", _recurrent, truths.recurrent("GRU"), wrong=(2, 3, 9)),
    LayerSpec("LSTMCell", _cell, truths.cell("LSTM"), wrong=(2, 9)),
    LayerSpec("GRUCell", _cell, truths.cell("GRU"), wrong=(2, 9)),
    LayerSpec("Sequential", _sequential, truths.sequential, _sequential_twin, wrong=(2, 9)),
    LayerSpec("ActNorm", _channels, truths.act_norm, None, wrong=(2, 9)),
    LayerSpec("InvertibleConv1x1", _mixing, truths.invertible_convolution, None, wrong=(2, 9)),
    LayerSpec("AdditiveCoupling", _coupling(1), truths.coupling(1), None, wrong=(2, 1, 5, 5)),
    LayerSpec("AffineCoupling", _coupling(2), truths.coupling(2), None, wrong=(2, 1, 5, 5)),
    LayerSpec("Flow", _flow, truths.flow, None, wrong=(2, 9)),
]

NO_LAYERS = {
    "Module": "the base, in test_module.py",
    "ModuleList": "holds layers and computes nothing, in test_container.py",
    "ModuleDict": "holds layers and computes nothing, in test_container.py",
    "FlowLayer": "the base of flow layers, in test_flow.py",
}
