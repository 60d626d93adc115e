"""Inputs by hand, for what PyTorch's own tables leave out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.testing import make_tensor
from torch.testing._internal.common_dtype import floating_types
from torch.testing._internal.common_modules import FunctionInput, ModuleInput
from torch.testing._internal.opinfo.core import ErrorInput, OpInfo, SampleInput

# ---------------------------------------------------------------- ops


def _fold(info: Any, device: str, dtype: Any, requires_grad: bool, **_: Any) -> Iterator[Any]:
    for shape, args, options in [
        ((2, 12, 6), ((3, 4), 2), {}),
        ((12, 6), ((3, 4), 2), {}),
        ((1, 8, 4), ((4, 4), (2, 2)), {"stride": 2}),
        ((2, 9, 16), (4, 3), {"padding": 1}),
        ((1, 4, 4), ((5, 5), 2), {"dilation": 3, "stride": (1, 1)}),
    ]:
        x = make_tensor(shape, device=device, dtype=dtype, requires_grad=requires_grad)
        yield SampleInput(x, args=args, kwargs=options)


def _fold_errors(info: Any, device: str, **_: Any) -> Iterator[ErrorInput]:
    for shape, args in [((2, 12, 5), ((3, 4), 2)), ((2, 11, 6), ((3, 4), 2)), ((4,), ((3, 4), 2))]:
        yield ErrorInput(SampleInput(torch.ones(shape), args=args), error_regex="")


def _rand(info: Any, device: str, dtype: Any, requires_grad: bool, **_: Any) -> Iterator[Any]:
    for shape in [(), (3,), (2, 0, 4)]:
        yield SampleInput(shape, kwargs={"dtype": dtype})
    yield SampleInput(2, args=(3,), kwargs={"dtype": dtype})


def _randperm(info: Any, device: str, dtype: Any, requires_grad: bool, **_: Any) -> Iterator[Any]:
    for n in (0, 1, 7):
        yield SampleInput(n)


def _tensor(info: Any, device: str, dtype: Any, requires_grad: bool, **_: Any) -> Iterator[Any]:
    for data in [1, 2.5, True, [1, 2], [[1.5, 2], [3, 4]], [True, False], [], [[1], [True]]]:
        yield SampleInput(data)
        yield SampleInput(data, kwargs={"dtype": dtype})


OPS = [
    OpInfo(
        "nn.functional.fold",
        dtypes=floating_types(),
        sample_inputs_func=_fold,
        error_inputs_func=_fold_errors,
        supports_out=False,
    ),
    *(
        OpInfo(
            name,
            dtypes=floating_types(),
            sample_inputs_func=function,
            supports_autograd=False,
            supports_out=False,
        )
        for name, function in (("rand", _rand), ("randperm", _randperm), ("tensor", _tensor))
    ),
]
"""Entries as in ``op_db``, for functions that are not in it."""

# ---------------------------------------------------------------- layers

CONTAINERS = {"Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"}
"""Layers that hold others and compute nothing."""


def _layer(*args: Any, shape: tuple[int, ...], **options: Any) -> Callable[..., Any]:
    return lambda dtype: ModuleInput(
        FunctionInput(*args, **options),
        FunctionInput(make_tensor(shape, device="cpu", dtype=dtype, requires_grad=True)),
    )


_MODULES: dict[str, list[Callable[..., Any]]] = {
    "Dropout": [_layer(shape=(3, 4)), _layer(0.2, shape=(3,)), _layer(p=1.0, shape=(2, 3))],
    "Dropout2d": [_layer(shape=(2, 3, 4, 4)), _layer(0.2, shape=(2, 3, 1, 4))],
    "Flatten": [
        _layer(shape=(2, 3, 4)),
        _layer(0, shape=(2, 3, 4)),
        _layer(start_dim=1, end_dim=2, shape=(2, 3, 4, 5)),
        _layer(0, -1, shape=()),
    ],
    "Identity": [_layer(shape=(2, 3)), _layer(54, unused=True, shape=())],
    "PixelShuffle": [_layer(2, shape=(1, 8, 3, 2)), _layer(3, shape=(2, 2, 9, 2, 1))],
    "PixelUnshuffle": [_layer(2, shape=(1, 2, 4, 6)), _layer(3, shape=(3, 6, 3))],
    "Sequential": [_layer(shape=(2, 3))],
    "Unflatten": [_layer(1, (2, 3), shape=(2, 6)), _layer(-1, (2, -1), shape=(3, 4, 6))],
    "Upsample": [
        _layer(scale_factor=2, shape=(1, 2, 3, 4)),
        _layer(scale_factor=(2, 1.5), shape=(1, 2, 3, 4)),
        _layer(4, shape=(1, 2, 3, 3)),
        _layer(size=(5, 2), mode="bilinear", shape=(1, 2, 3, 4)),
        _layer(scale_factor=2, mode="bilinear", align_corners=True, shape=(1, 2, 3, 4)),
    ],
}


def _modules(name: str) -> Callable[[torch.dtype], Iterator[ModuleInput]]:
    return lambda dtype: (make(dtype) for make in _MODULES[name])


MODULES = {name: _modules(name) for name in _MODULES}
"""By layer: its inputs in a dtype."""
