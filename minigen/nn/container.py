"""Containers: modules in a row, in a list, in a dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minigen.nn.module import Module

__all__ = ["Identity", "ModuleDict", "ModuleList", "Sequential"]


def _need_module(name: str, value: Any) -> Module:
    if not isinstance(value, Module):
        raise TypeError(f"{name} must be a Module, got {type(value).__name__}")
    return value


class Identity(Module):
    """Returns its input; takes any arguments, to stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """``x`` itself."""
        return x


class _Numbered(Module):
    """Modules under the names 0, 1, 2, …"""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Any:
        """Add a module at the end; returns self."""
        place = str(len(self))
        setattr(self, place, _need_module(f"{type(self).__name__}[{place}]", module))
        return self

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self.children())
        if isinstance(index, slice):
            return (
                type(self)(*modules[index])
                if isinstance(self, Sequential)
                else type(self)(modules[index])
            )
        return modules[index]

    def __setitem__(self, index: int, module: Module) -> None:
        place = range(len(self))[index]
        setattr(self, str(place), _need_module(f"{type(self).__name__}[{place}]", module))


class Sequential(_Numbered):
    """Each module's output is the next one's input.

    A module may compute the next one's part as well (``Module.with_next``), where nobody listens in
    between: a dense layer does the activation behind it in the same pass.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Any) -> Any:
        """``x`` through all modules, first to last."""
        modules = list(self.children())
        place = 0
        while place < len(modules):
            module = modules[place]
            both = module.with_next(modules[place + 1]) if place + 1 < len(modules) else None
            x = module(x) if both is None else both(x)
            place += 1 if both is None else 2
        return x


class ModuleList(_Numbered):
    """A list whose modules are found by ``parameters()``, which those in a plain list are not."""

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self


class ModuleDict(Module):
    """A dictionary whose modules are found by ``parameters()``."""

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        taken = hasattr(Module, name) or isinstance(vars(self).get(name), (dict, list, bool))
        if not isinstance(name, str) or not name or "." in name or taken:
            raise ValueError(f"a key of ModuleDict must be a free name without dots, got {name!r}")
        setattr(self, name, _need_module(f"ModuleDict[{name!r}]", module))

    def __getitem__(self, name: str) -> Module:
        return dict(self.named_children())[name]

    def __contains__(self, name: object) -> bool:
        return name in dict(self.named_children())

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self.named_children())

    def keys(self) -> list[str]:
        """The names."""
        return list(self)

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())
