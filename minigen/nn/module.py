"""Module: a piece of a model, with everything it knows found by looking at its attributes.

A model is a tree. A module's attributes say what it is made of:

* an attribute that is a :class:`Parameter` is something to learn,
* an attribute that is a :class:`Module` is a branch,
* a tensor given to ``register_buffer`` is state that is kept but not learned (the running mean
  of a batch norm),
* everything else (sizes, options) is the module's own business.

Nothing is registered behind the scenes: ``parameters()`` walks the tree and reads the
attributes. A name in the tree is the path to it, ``encoder.0.weight``, and ``state_dict()`` is
the flat dictionary from these names to values, with the names that PyTorch uses, so that its
checkpoints load here and ours load there::

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden = nn.Linear(784, 100)
            self.out = nn.Linear(100, 10)

        def forward(self, x):
            return self.out(mg.relu(self.hidden(x)))     # (N, 784) -> (N, 10)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from minigen.autograd.gradients import forget_gradients
from minigen.autograd.tensor import Tensor
from minigen.autograd.writes import note_write
from minigen.nn.parameter import Parameter
from minigen.nn.state import check_state
from minigen.thread_state import current

if TYPE_CHECKING:
    from minigen.nn.summary import Summary

__all__ = ["LoadReport", "Module"]


class LoadReport(NamedTuple):
    """What did not match when a state was loaded with ``strict=False``."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of every layer and model; see the top of this file.

    A subclass calls ``super().__init__()`` first and defines ``forward``. The module is then
    called like a function.

    Attributes:
        training: True after ``train()``, False after ``eval()``. Dropout and batch norm look.
    """

    training: bool

    def __init__(self) -> None:
        self.training = True
        self._buffers: dict[str, bool] = {}  # name -> is it part of state_dict()?
        self._forward_pre_hooks: list[Callable[[Any, tuple[Any, ...]], None]] = []
        self._forward_hooks: list[Callable[[Any, tuple[Any, ...], Any], Any]] = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass that is called defines it."""
        raise TypeError(f"{type(self).__name__} has no forward method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """``forward``, with the hooks before and after it."""
        recorder = current().recorder
        if recorder is not None:
            recorder.guard(self, "training")
        if not self.is_hooked:
            return self.forward(*args, **kwargs)
        for before in list(self._forward_pre_hooks):
            before(self, args)
        output = self.forward(*args, **kwargs)
        for after in list(self._forward_hooks):
            changed = after(self, args, output)
            output = output if changed is None else changed
        return output

    @property
    def is_hooked(self) -> bool:
        """Whether somebody looks at what goes in or comes out."""
        return bool(self._forward_pre_hooks or self._forward_hooks)

    def with_next(self, following: Module) -> Callable[[Any], Any] | None:
        """What computes ``following(self(x))`` in one go, or None: then each runs by itself."""
        return None

    # ------------------------------------------------------------------ what it is made of

    def __copy__(self) -> Self:
        """Another module with the same parts (``copy.copy``): what is added to it is its own."""
        twin = type(self).__new__(type(self))
        twin.__dict__.update(
            {k: copy(v) if isinstance(v, (dict, list)) else v for k, v in vars(self).items()}
        )
        return twin

    def __setattr__(self, name: str, value: Any) -> None:
        if "_buffers" not in self.__dict__ and isinstance(value, (Tensor, Module)):
            raise AttributeError(
                f"call super().__init__() in {type(self).__name__} before setting {name}"
            )
        if type(value) in (list, tuple, dict):
            parts = value.values() if type(value) is dict else value
            if any(isinstance(part, (Module, Parameter)) for part in parts):
                raise TypeError(
                    f"{name} of {type(self).__name__} is a {type(value).__name__}, whose "
                    f"parameters no optimizer would find; use nn.ModuleList or single attributes"
                )
        held = self.__dict__.get(name)
        if isinstance(held, Parameter) and not (value is None or isinstance(value, Parameter)):
            raise TypeError(
                f"{name} of {type(self).__name__} is a parameter and must stay a Parameter or "
                f"None, got {type(value).__name__}; {name}.copy_(values) changes its values"
            )
        object.__setattr__(self, name, value)

    def register_buffer(self, name: str, value: Tensor | None, persistent: bool = True) -> None:
        """Keep ``value`` as ``self.name``: state that is not learned.

        Args:
            name: the attribute's name.
            value: a tensor, or None for a buffer that this module does without.
            persistent: whether ``state_dict()`` has it.
        """
        if not (value is None or isinstance(value, Tensor)) or isinstance(value, Parameter):
            raise TypeError(f"buffer {name} must be a tensor or None, got {type(value).__name__}")
        self._buffers[name] = persistent
        setattr(self, name, value)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules that are attributes of this one, with their names."""
        for name, value in list(vars(self).items()):
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        """The modules that are attributes of this one."""
        return (child for _, child in self.named_children())

    def named_modules(
        self, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, with their paths (its own is "")."""
        seen: set[int] = set()

        def walk(module: Module, path: str) -> Iterator[tuple[str, Module]]:
            if remove_duplicate and id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module.named_children():
                yield from walk(child, f"{path}.{name}" if path else name)

        return walk(self, prefix)

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Path and parameter; one that several modules share comes once, under its first name."""
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, value in list(vars(module).items()):
                if isinstance(value, Parameter) and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Everything to learn, each parameter once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Path and buffer, the ones that are not persistent too."""
        seen: set[int] = set()
        modules = self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name in module._buffers:
                value = getattr(module, name)
                if value is not None and not (remove_duplicate and id(value) in seen):
                    seen.add(id(value))
                    yield (f"{path}.{name}" if path else name), value

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call ``function(module)`` for every module of the tree, children first."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    # ------------------------------------------------------------------ switches

    def train(self, mode: bool = True) -> Self:
        """Set ``training`` in the whole tree."""
        if type(mode) is not bool:
            raise TypeError(f"mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """``train(False)``: dropout passes through, batch norm uses its running statistics."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameters require a gradient; False freezes the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters; ``set_to_none=False`` fills them with zeros."""
        forget_gradients(self.parameters(), set_to_none)

    def to_dtype(self, dtype: Any) -> Self:
        """Convert all floating-point parameters and buffers; an optimizer follows."""
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"dtype must be floating-point, got {dtype}")
        for holder in (*self.parameters(), *self.buffers()):
            if holder.dtype.kind == "f" and holder.dtype != dtype:
                holder.data = holder.data.astype(dtype)
                if holder.grad is not None:
                    holder.grad = Tensor(holder.grad.data.astype(dtype))
        return self

    def half(self) -> Self:
        """Convert to float16."""
        return self.to_dtype(np.float16)

    def float(self) -> Self:
        """Convert to float32."""
        return self.to_dtype(np.float32)

    def double(self) -> Self:
        """Convert to float64."""
        return self.to_dtype(np.float64)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Tensor]:
        """Path → value of every parameter and persistent buffer, in PyTorch's order and names.

        The tensors share the module's memory, as in PyTorch: copy what should outlive the next
        step. A parameter that is shared appears under each of its names.
        """
        state: dict[str, Tensor] = {}
        for path, module in self.named_modules(remove_duplicate=False):
            prefix = f"{path}." if path else ""
            for name, value in vars(module).items():
                if isinstance(value, Parameter):
                    state[prefix + name] = value.detach()
            for name, persistent in module._buffers.items():
                if persistent and getattr(module, name) is not None:
                    state[prefix + name] = getattr(module, name).detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Overwrite parameters and buffers with the values of ``state_dict``.

        Args:
            state_dict: path → tensor, NumPy array, PyTorch CPU tensor, or number. Values are
                cast to the dtype that the module has.
            strict: refuse missing and unexpected keys.

        Returns:
            The missing and the unexpected keys.

        Raises:
            UserError: what does not fit, in one line. Nothing has been written then.
        """
        own = self.state_dict()
        values, missing, unexpected = check_state(type(self).__name__, own, state_dict, strict)
        for key, value in values.items():
            note_write(own[key].data)
            own[key].data[...] = value
        for module in self.modules():
            module.state_loaded()
        return LoadReport(missing, unexpected)

    def state_loaded(self) -> None:
        """Called after a state was loaded; a module that caches something forgets it here."""

    # ------------------------------------------------------------------ hooks and descriptions

    def register_forward_pre_hook(
        self, hook: Callable[[Any, tuple[Any, ...]], None]
    ) -> Callable[[], None]:
        """Call ``hook(module, args)`` before every forward. Returns a function that removes it."""
        self._forward_pre_hooks.append(hook)
        return lambda: self._forward_pre_hooks.remove(hook)

    def register_forward_hook(
        self, hook: Callable[[Any, tuple[Any, ...], Any], Any]
    ) -> Callable[[], None]:
        """Call ``hook(module, args, output)`` after every forward; it may return another output.

        Returns a function that removes the hook.
        """
        self._forward_hooks.append(hook)
        return lambda: self._forward_hooks.remove(hook)

    def multiply_adds(self, args: tuple[Any, ...], output: Any) -> int:
        """Multiplications-with-addition of one forward, this module's own; see ``summary``."""
        return 0

    def summary(self, *inputs: Any, dtype: Any = np.float32) -> Summary:
        """A table of layers, output shapes, parameters and multiply-adds: ``print`` it.

        Args:
            inputs: for each argument of ``forward`` a tensor, or the shape of one, the batch's
                length included: ``model.summary((1, 784))``.
            dtype: of the zeros that stand for a shape.
        """
        from minigen.nn.summary import summarize

        return summarize(self, inputs, dtype)

    def extra_repr(self) -> str:
        """The sizes and options that ``repr`` shows between the parentheses."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        body = "".join(f"\n  {line}" for line in filter(None, [self.extra_repr(), *lines]))
        return f"{type(self).__name__}({body}\n)"
