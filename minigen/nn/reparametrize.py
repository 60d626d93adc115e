"""Weight and spectral normalization: a layer whose weight is computed anew at every forward.

Both replace the parameter ``weight`` of a layer by others, under PyTorch's names, and compute
``layer.weight`` from them just before each forward::

    layer = nn.spectral_norm(nn.Conv2d(64, 64, 3))

After the forward ``layer.weight`` keeps the value (off the tape), for whoever wants to look.

* Weight normalization (Salimans and Kingma 2016): ``w = g · v/‖v‖``, so that length and
  direction are learned apart. ``weight_g``, ``weight_v``.
* Spectral normalization (Miyato et al. 2018): ``w = W/σ(W)``, σ the largest singular value,
  so that the layer is 1-Lipschitz. σ is followed by power iteration: in training, each forward
  does ``v ← Wᵀu/‖Wᵀu‖``, ``u ← Wv/‖Wv‖``; σ = uᵀWv. ``weight_orig``, and the buffers
  ``weight_u``, ``weight_v``, which are part of the state. In evaluation they stay.
"""

from __future__ import annotations

from typing import Any, TypeVar

from minigen.autograd.mode import no_grad
from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.linalg import matmul
from minigen.ops.norm import norm
from minigen.ops.random import Generator, default_generator

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class _Computed:
    """The hooks that compute ``module.<name>`` before a forward and take it off the tape after."""

    def __init__(self, name: str) -> None:
        self.name = name

    def weight(self, module: Module) -> Tensor:
        """The weight, from the parameters that stand for it."""
        raise TypeError(f"{type(self).__name__} computes no weight")

    def before(self, module: Module, args: tuple[Any, ...]) -> None:
        """Forward pre-hook."""
        setattr(module, self.name, self.weight(module))

    def after(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook: a tensor on the tape could be neither copied nor freed."""
        setattr(module, self.name, getattr(module, self.name).detach())

    def attach(self, module: Module) -> None:
        """Begin, with the value of now."""
        with no_grad():
            setattr(module, self.name, self.weight(module))
        module.register_forward_pre_hook(self.before)
        module.register_forward_hook(self.after)


def _take(function: str, module: Module, name: str) -> Parameter:
    """Remove the parameter from the module and return it."""
    parameter = getattr(module, name, None)
    if not isinstance(parameter, Parameter):
        raise ValueError(f"{function}: {type(module).__name__} has no parameter called {name!r}")
    delattr(module, name)
    return parameter


def _remove(function: str, module: Module, name: str, kind: type[_Computed]) -> None:
    """Take the hooks off and put the value back as an ordinary parameter."""
    for hook in module._forward_pre_hooks:
        owner = getattr(hook, "__self__", None)
        if isinstance(owner, kind) and owner.name == name:
            break
    else:
        raise ValueError(f"{function}: {type(module).__name__} has no such {name!r}")
    with no_grad():
        value = owner.weight(module).data.copy()
    module._forward_pre_hooks.remove(owner.before)
    module._forward_hooks.remove(owner.after)
    delattr(module, name)
    for ending in ("_g", "_v", "_orig", "_u"):
        if hasattr(module, name + ending):
            delattr(module, name + ending)
            module._buffers.pop(name + ending, None)
    setattr(module, name, Parameter(Tensor(value)))


# ---------------------------------------------------------------- weight normalization


class _WeightNorm(_Computed):
    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = dim

    def length(self, v: Tensor) -> Tensor:
        """‖v‖ of each slice along ``dim``, with the other dimensions as 1; of all if None."""
        if self.dim is None:
            return norm(v)
        return norm(v, dim=tuple(d for d in range(v.ndim) if d != self.dim), keepdim=True)

    def weight(self, module: Module) -> Tensor:
        """g · v/‖v‖."""
        v = getattr(module, f"{self.name}_v")
        return v * (getattr(module, f"{self.name}_g") / self.length(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn length and direction of ``module.<name>`` apart; returns the module.

    Args:
        module: a layer.
        name: which of its parameters.
        dim: each slice along it has a length of its own; None for one length in all.
    """
    weight = _take("weight_norm", module, name)
    if dim is not None:
        if not -weight.ndim <= dim < weight.ndim:
            raise ValueError(
                f"weight_norm: dim must lie in [{-weight.ndim}, {weight.ndim - 1}], got {dim}"
            )
        dim %= weight.ndim
    computed = _WeightNorm(name, dim)
    with no_grad():
        length = computed.length(weight)
    setattr(module, f"{name}_g", Parameter(length, weight.requires_grad))
    setattr(module, f"{name}_v", weight)
    computed.attach(module)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make ``module.<name>`` an ordinary parameter again, with its present value."""
    _remove("remove_weight_norm", module, name, _WeightNorm)
    return module


# ---------------------------------------------------------------- spectral normalization


class _SpectralNorm(_Computed):
    def __init__(self, name: str, iterations: int, eps: float, dim: int) -> None:
        super().__init__(name)
        self.iterations, self.eps, self.dim = iterations, eps, dim

    def matrix(self, weight: Tensor) -> Tensor:
        """(…, n, …) -> (n, rest), n the length of ``dim``."""
        order = [self.dim, *(d for d in range(weight.ndim) if d != self.dim)]
        return weight.permute(*order).reshape(weight.shape[self.dim], -1)

    def normalize(self, x: Tensor) -> Tensor:
        """x/max(‖x‖, eps)."""
        return x / norm(x).clamp(min=self.eps)

    def iterate(self, matrix: Tensor, u: Tensor, v: Tensor, times: int) -> None:
        """Power iteration, in place."""
        with no_grad():
            for _ in range(times):
                v.copy_(self.normalize(matmul(matrix.detach().mT, u)))
                u.copy_(self.normalize(matmul(matrix.detach(), v)))

    def weight(self, module: Module) -> Tensor:
        """W/σ, σ = uᵀWv with u and v as constants."""
        original = getattr(module, f"{self.name}_orig")
        u, v = getattr(module, f"{self.name}_u"), getattr(module, f"{self.name}_v")
        matrix = self.matrix(original)
        if module.training:
            self.iterate(matrix, u, v, self.iterations)
            # The next forward writes into the buffers; this one's graph keeps copies.
            u, v = u.clone(), v.clone()
        sigma = matmul(u, matmul(matrix, v))
        return original / sigma


def spectral_norm(
    module: M,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    generator: Generator | None = None,
) -> M:
    """Divide ``module.<name>`` by its largest singular value; returns the module.

    Args:
        module: a layer.
        name: which of its parameters.
        n_power_iterations: for each forward in training.
        eps: against a division by 0.
        dim: the dimension of outputs; 1 for transposed convolutions and 0 otherwise if None.
        generator: where the first u and v come from.
    """
    from minigen.nn.conv import _Transposed

    positive("spectral_norm", n_power_iterations=n_power_iterations)
    weight = _take("spectral_norm", module, name)
    if weight.ndim < 2:
        raise ValueError(f"spectral_norm: {name} must be a matrix, got shape {weight.shape}")
    if dim is None:
        dim = 1 if isinstance(module, _Transposed) else 0
    computed = _SpectralNorm(name, n_power_iterations, eps, dim)
    draw = generator or default_generator()
    setattr(module, f"{name}_orig", weight)
    with no_grad():
        matrix = computed.matrix(weight)
        for end, length in (("u", matrix.shape[0]), ("v", matrix.shape[1])):
            start = computed.normalize(draw.normal(length, dtype=weight.dtype))
            module.register_buffer(f"{name}_{end}", start)
        u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
        computed.iterate(matrix, u, v, 15)  # begin near the answer
    computed.attach(module)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make ``module.<name>`` an ordinary parameter again, with its present value."""
    was_training = module.training
    module.training = False
    try:
        _remove("remove_spectral_norm", module, name, _SpectralNorm)
    finally:
        module.training = was_training
    return module
