"""minigen: generative models from scratch on NumPy and CuPy.

``import minigen as mg`` gives tensors, their functions under PyTorch's names, and the
packages ``mg.nn`` and ``mg.optim``. Only NumPy is imported; CuPy, Matplotlib and the rest
are loaded when something first needs them.
"""

from typing import Any as _Any

from minigen import linalg, nn, optim
from minigen.autograd.fused import fused
from minigen.autograd.gradients import grad
from minigen.autograd.graph import graph
from minigen.autograd.mode import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import BackendUnavailable, use
from minigen.capture import CaptureError, capture
from minigen.dtypes import *
from minigen.ops import methods as _methods  # gives tensors their named methods
from minigen.ops.activation import *
from minigen.ops.attention import *
from minigen.ops.batch_norm import *
from minigen.ops.comparison import *
from minigen.ops.convolution import *
from minigen.ops.coupling import *
from minigen.ops.creation import *
from minigen.ops.dense import *
from minigen.ops.diagonal import *
from minigen.ops.distance import *
from minigen.ops.einsum import *
from minigen.ops.elementwise import *
from minigen.ops.indexing import *
from minigen.ops.instance_norm import *
from minigen.ops.interpolation import *
from minigen.ops.linalg import *
from minigen.ops.loss import *
from minigen.ops.masking import *
from minigen.ops.norm import *
from minigen.ops.normalization import *
from minigen.ops.pooling import *
from minigen.ops.prod import *
from minigen.ops.random import *
from minigen.ops.reduction import *
from minigen.ops.refusal import name_what_is_no_tensor as _name_what_is_no_tensor
from minigen.ops.shape import *
from minigen.ops.special import *
from minigen.ops.time_first import *
from minigen.ops.unfold import *
from minigen.serialization import load, save

__version__ = "0.1.0"

_name_what_is_no_tensor(globals())


def __getattr__(name: str) -> _Any:
    """A name that is not here: a package that is loaded now, or one line with the nearest name."""
    if name in ("data", "metrics", "models", "plots", "recipes", "testing", "training"):
        import importlib

        return importlib.import_module(f"minigen.{name}")
    from minigen.nearest import missing, public

    raise missing(
        "mg",
        name,
        {
            "mg.": public(globals()),
            "mg.nn.": nn.__all__,
            "mg.nn.functional.": nn.functional.__all__,
            "mg.linalg.": linalg.__all__,
            "mg.optim.": optim.__all__,
            "x.": public(vars(Tensor)),
        },
    )
