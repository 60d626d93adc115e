"""minigen: generative models from scratch on NumPy and CuPy.

``import minigen as mg`` gives tensors, their functions under PyTorch's names, and the
packages ``mg.nn`` and ``mg.optim``. Only NumPy is imported; CuPy, Matplotlib and the rest
are loaded when something first needs them.
"""

from minigen import linalg, nn, optim
from minigen.autograd.fused import fused
from minigen.autograd.gradients import grad
from minigen.autograd.graph import graph
from minigen.autograd.mode import detect_anomaly, enable_grad, is_grad_enabled, no_grad
from minigen.autograd.primitive import primitive
from minigen.autograd.tensor import Tensor
from minigen.backends import BackendUnavailable, use
from minigen.capture import CaptureError, capture
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
from minigen.ops.einsum import *
from minigen.ops.elementwise import *
from minigen.ops.indexing import *
from minigen.ops.linalg import *
from minigen.ops.loss import *
from minigen.ops.masking import *
from minigen.ops.norm import *
from minigen.ops.normalization import *
from minigen.ops.pooling import *
from minigen.ops.prod import *
from minigen.ops.random import *
from minigen.ops.reduction import *
from minigen.ops.shape import *
from minigen.ops.time_first import *
from minigen.ops.unfold import *

__version__ = "0.1.0"
