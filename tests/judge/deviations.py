"""What differs from PyTorch on purpose, or is not here: the one list, with reasons.

``DEVIATIONS[name]`` maps a pattern (a regular expression, searched in the verdict) to the reason.
An entry that no longer meets a verdict fails its test, so the list cannot grow stale. What stands
under a function also goes for the method and the operator of its name.
"""

from __future__ import annotations

NOT_HERE = "no model of this house needs it"

ONE_VALUE = {"as a Tensor|both Tensors": "a tensor of one value is a number here, whichever way"}

DEVIATIONS: dict[str, dict[str, str]] = {
    "optim.Adam": ONE_VALUE,
    "optim.AdamW": ONE_VALUE,
    "max_pool2d()": {"no argument 'return_indices'": "there is no unpooling to use them"},
    "nn.MaxPool2d": {"argument 'return_indices'": "there is no unpooling to use them"},
    "nn.MaxPool2d()": {"no argument 'return_indices'": "there is no unpooling to use them"},
    "scaled_dot_product_attention()": {"no argument 'enable_gqa'": NOT_HERE},
    "scatter": {"argument 'reduce'": "scatter_add adds; PyTorch has no gradient for the others"},
}

NOT_TAKEN = {
    "out": "results are new tensors: what the tape has kept must not be overwritten",
    "inplace": "results are new tensors: what the tape has kept must not be overwritten",
    "device": "a tensor lies in the memory of the active backend (mg.use)",
    "layout": "tensors are dense",
    "pin_memory": "transfers are the backend's affair",
    "memory_format": "memory may lie channels-last underneath; no op asks which",
    "implicit": "PyTorch's own, for its broadcasting",
    "sparse_grad": "gradients are dense",
    "size_average": "PyTorch itself has replaced it by reduction",
    "reduce": "PyTorch itself has replaced it by reduction",
    "sparse": "gradients are dense",
    "foreach": "parameters lie in one flat buffer: there is one implementation",
    "fused": "parameters lie in one flat buffer: there is one implementation",
    "capturable": "mg.capture records every optimizer",
    "differentiable": "a step of an optimizer is not recorded on the tape",
}
"""Arguments of PyTorch's that nothing here takes, and why."""

LAYERS_DO_NOT_TAKE = {"dtype": "a layer is made in float32; .double() and .to_dtype() change it"}
"""Arguments that PyTorch's layers take and minigen's do not."""
