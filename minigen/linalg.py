"""Functions of matrices under the names of ``torch.linalg``: ``mg.linalg.slogdet`` and so on."""

from minigen.ops.linalg import cholesky, det, diagonal, inv, matmul, slogdet, solve
from minigen.ops.reduction import norm

__all__ = ["cholesky", "det", "diagonal", "inv", "matmul", "norm", "slogdet", "solve"]
