"""What differs from PyTorch on purpose, or is not here: the one list, with reasons.

``DEVIATIONS[name]`` maps a pattern (a regular expression, searched in the verdict) to the reason.
An entry that no longer meets a verdict fails its test, so the list cannot grow stale. What stands
under a function also goes for the method and the operator of its name.
"""

from __future__ import annotations

NOT_HERE = "no model of this house needs it"
NUMBERS = "arithmetic takes numbers as well, first or second; PyTorch wants a tensor there"
POOLED_INDICES = "there is no unpooling to use them"
GUESSED_DIM = "PyTorch guesses the dimension where none is named, and warns; here none is guessed"
NO_LIMIT = "the gradient 0 at a kink is a choice; PyTorch's next derivative of it is NaN"
SAME_SHAPE = "a target that broadcasts is nearly always a mistake"
NAN_BY_LAYOUT = "the slope of NaN; PyTorch's depends on how the numbers lie in memory"
FLOATS_ONLY = "convolution is defined on floats; of integers it would overflow unseen"
SAFE_FILES = "files are safetensors: nothing in them is executed"
NO_NUCLEAR = "the norms that need singular values are not here: NumPy has no gradient for them"
EPS = "below 0 it is no safeguard, but makes NaN of a small variance"

_NUMBERS = {"accepted.*(must be Tensor, not int|invalid combination of arguments)": NUMBERS}
_TABLE = {"no argument '(padding_idx|max_norm|norm_type|scale_grad_by_freq)'": NOT_HERE}
_LOSS = {"no argument 'weight'": NOT_HERE}
_BIAS = {"argument 'bias'": "affine=False leaves out both"}
_RESCALE = {"no argument '(recompute_scale_factor|antialias)'": NOT_HERE}
_INTERPOLATE = {"recompute_scale_factor|antialias|must have shape|nearest-exact|area": NOT_HERE}
_RATES = {"as a Tensor|both Tensors": "a tensor of one value is a number here, whichever way"}
_SINGULAR = {"(ord|p) must be .*got ('nuc'|-?2)": NO_NUCLEAR}
_INTEGERS = {"must be a floating-point tensor, got int64": FLOATS_ONLY}
_BATCH_NORM = {**_BIAS, "more than one value per channel": "of no values there are no statistics"}
_RECURRENT = {
    "accepted; PyTorch: RNN input dtype": "two dtypes meet as in arithmetic, in a layer as well",
    "accepted; PyTorch: (bias|batch_first) should be of type bool": "taken as Python's if does",
}

_NAN = "what is no number has no sign and no slope: a NaN is not hidden behind a 0"

DEVIATIONS: dict[str, dict[str, str]] = {
    "Tensor.__rpow__": {"Integers to negative integer powers": "PyTorch gives 0 for ½"},
    "Tensor.norm": _SINGULAR,
    "abs": {"gradient 1 of 0: nan for 0.0": _NAN},
    "add": {"alpha must be a number.*got bool": "a factor is a number"},
    "atan2": {**_NUMBERS, "gradient 2.*for nan": NO_LIMIT},
    "batch_norm": {r"input must have shape \(N, C, …\), got \(0,\)": "there are no channels"},
    "cdist": {"positional arguments": "there is one way"},
    "cdist()": {"no argument 'compute_mode'": "there is one way"},
    "conv1d": _INTEGERS,
    "conv2d": _INTEGERS,
    "conv_transpose1d": _INTEGERS,
    "conv_transpose2d": _INTEGERS,
    "einsum()": {
        "no argument 'path'": "the interpreter's own; the operands are contracted in turn"
    },
    "embedding()": _TABLE,
    "eq": _NUMBERS,
    "gaussian_nll_loss": {"must agree": SAME_SHAPE},
    "ge": _NUMBERS,
    "group_norm": {"eps must be a number ≥ 0": EPS},
    "gt": _NUMBERS,
    "hardtanh": {"gradient 1 of 0.*for 0.0 at": NAN_BY_LAYOUT},
    "huber_loss()": _LOSS,
    "interpolate": _INTERPOLATE,
    "interpolate()": _RESCALE,
    "inv()": {"'A'|'input'": "called as mg.det is; in mg.linalg the argument is PyTorch's A"},
    "l1_loss()": _LOSS,
    "layer_norm": {
        "eps must be a number ≥ 0": EPS,
        r"gradient 1 of 1: 0.0 for -2.7\d*e-05": "a row of one value: PyTorch's is rounding",
    },
    "le": _NUMBERS,
    "linalg.matrix_norm": _SINGULAR,
    "linalg.norm": {**_SINGULAR, "gradient 2.*for nan": NO_LIMIT},
    "load()": {"no argument '(map_location|pickle_module|weights_only|mmap)'": SAFE_FILES},
    "logaddexp": {
        **_NUMBERS,
        "gradient [12].*for nan": "of two equal infinities each has half of the slope",
    },
    "logical_and": _NUMBERS,
    "logical_or": _NUMBERS,
    "logit": {"gradient 2.*0.0 for nan": "where it is NaN, nothing follows from it"},
    "logsumexp": {"at least one element along dim": "a sum of nothing has no logarithm to give"},
    "lt": _NUMBERS,
    "max_pool1d": {
        r"accepted.*tensor\(\[\]": "no channels, no windows",
    },
    "maximum": _NUMBERS,
    "minimum": _NUMBERS,
    "mish": {"gradient 2.*0.0 for nan": "far from 0 it is straight; PyTorch's formula overflows"},
    "mse_loss()": _LOSS,
    "ne": _NUMBERS,
    "nn.BatchNorm1d": _BATCH_NORM,
    "nn.BatchNorm1d()": _BIAS,
    "nn.BatchNorm2d": _BATCH_NORM,
    "nn.BatchNorm2d()": _BIAS,
    "nn.ConvTranspose1d()": {"no argument 'padding_mode'": "PyTorch's takes nothing but 'zeros'"},
    "nn.ConvTranspose2d()": {"no argument 'padding_mode'": "PyTorch's takes nothing but 'zeros'"},
    "nn.Embedding()": _TABLE,
    "nn.GRU": _RECURRENT,
    "nn.GroupNorm": _BIAS,
    "nn.GroupNorm()": _BIAS,
    "nn.Hardtanh()": {"no argument '(min|max)_value'": "PyTorch itself has replaced them"},
    "nn.InstanceNorm2d": {**_BIAS, "track_running_stats must be False": NOT_HERE},
    "nn.InstanceNorm2d()": _BIAS,
    "nn.LSTM": {**_RECURRENT, "argument 'proj_size'": NOT_HERE},
    "nn.LSTM()": {"no argument 'proj_size'": NOT_HERE},
    "nn.LogSoftmax()": {"'dim' is -1, not None": GUESSED_DIM},
    "nn.MaxPool1d": {"argument 'return_indices'": POOLED_INDICES},
    "nn.MaxPool1d()": {"no argument 'return_indices'": POOLED_INDICES},
    "nn.MaxPool2d": {"argument 'return_indices'": POOLED_INDICES},
    "nn.MaxPool2d()": {"no argument 'return_indices'": POOLED_INDICES},
    "nn.MultiheadAttention": {"argument 'add_bias_kv'": NOT_HERE},
    "nn.MultiheadAttention()": {"no argument '(add_bias_kv|add_zero_attn)'": NOT_HERE},
    "nn.Softmax()": {"'dim' is -1, not None": GUESSED_DIM},
    "nn.Upsample()": _RESCALE,
    "nn.NLLLoss": {"expected scalar type": "two dtypes meet as in arithmetic, in a loss as well"},
    "nn.functional.embedding()": _TABLE,
    "nn.functional.huber_loss()": _LOSS,
    "nn.functional.interpolate()": _RESCALE,
    "nn.functional.l1_loss()": _LOSS,
    "nn.functional.log_softmax()": {"'dim' is required, not None": GUESSED_DIM},
    "nn.functional.mse_loss()": _LOSS,
    "nn.functional.scaled_dot_product_attention()": {"no argument 'enable_gqa'": NOT_HERE},
    "nn.functional.softmax()": {"'dim' is required, not None": GUESSED_DIM},
    "norm": _SINGULAR,
    "normalize": {"gradient 2.*0.000": "rounding of p = 1/2 in float32"},
    "operator lshift": {"unsupported operand": NOT_HERE},
    "operator rshift": {"unsupported operand": NOT_HERE},
    "optim.Adam": _RATES,
    "optim.AdamW": _RATES,
    "sign": {"value: nan for 0.0": _NAN},
    "pow": {
        "gradient 1 of 1: -inf for inf": "at the base 0 the slope is -∞, whatever the zero's sign",
        **_NUMBERS,
        "Integers to negative integer powers": "PyTorch gives 0 for ½",
    },
    "remainder": _NUMBERS,
    "rms_norm": {"eps must be a number ≥ 0": EPS},
    "save()": {"no argument '(pickle_module|pickle_protocol)'": SAFE_FILES},
    "scaled_dot_product_attention()": {"no argument 'enable_gqa'": NOT_HERE},
    "scatter": {"argument 'reduce'": "scatter_add adds; PyTorch has no gradient for the others"},
    "selu": {"gradient 1 of 0: nan for": NAN_BY_LAYOUT},
    "elu": {"gradient 1 of 0: nan for": NAN_BY_LAYOUT},
    "relu6": {"gradient 1 of 0.*for 0.0 at": NAN_BY_LAYOUT},
    "xlogy": {"gradient 1 of 1: 0.0 for nan": "0 · ln 0 is 0, and so is its slope"},
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
