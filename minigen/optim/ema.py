"""Exponential moving average of a model: smoother than the weights of any single step.

    average ← d · average + (1 - d) · value

for every parameter *and* every floating-point buffer (the running statistics of a batch norm:
averaged weights with the statistics of other weights make bad pictures). Integer buffers, such
as counters, are copied. Generative adversarial networks are sampled from such an average
(Yazıcı et al. 2019, "The unusual effectiveness of averaging in GAN training").
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigen.autograd.writes import note_write
from minigen.backends import active, repeat
from minigen.errors import UserError
from minigen.numeric import number, plain_number
from minigen.ops.kernel import kernel
from minigen.optim.flat import blocks

if TYPE_CHECKING:
    from minigen.nn.module import Module

__all__ = ["EMA"]

_BUFFERS = ("average", "copy")


@kernel
def average_step(b: Any, average: Any, value: Any, *, decay: float) -> None:
    """``average ← decay·average + (1 - decay)·value`` in place on 1-D arrays."""
    xp = b.xp
    scratch = xp.empty_like(average[: next(blocks(average.size)).stop])
    for part in blocks(average.size):
        a = average[part]
        t = xp.multiply(value[part], 1 - decay, out=scratch[: a.size])
        xp.multiply(a, decay, out=a)
        xp.add(a, t, out=a)


class EMA:
    """The moving average of a model; see the top of this file.

    Args:
        model: the model that is trained. Only looked at.
        decay: d, in [0, 1): about 1/(1 - d) steps are remembered.
        buffers: ``average`` floating-point buffers like parameters, or ``copy`` them (right
            where a buffer is a moving average already and should not lag twice).

    Attributes:
        model: the average: a copy of the model in eval mode, whose parameters do not require
            a gradient. It starts as the model is.
        updates: how often ``update`` was called.
    """

    def __init__(self, model: Module, decay: float = 0.999, buffers: str = "average") -> None:
        decay = number("decay", decay, below=1.0)
        if buffers not in _BUFFERS:
            raise ValueError(f"buffers must be one of {', '.join(_BUFFERS)}, got {buffers!r}")
        self.source = model
        self.decay = decay
        self.buffers = buffers
        self.updates = 0
        self.model = copy.deepcopy(model).requires_grad_(False).eval()

    def update(self, decay: float | None = None) -> None:
        """Take the model's values of this step in; ``decay`` overrides d this once."""
        if decay is None and active.recorder is not None:
            active.recorder.guard(self, "decay")
        d = number("decay", self.decay if decay is None else decay, below=1.0)
        parameters, buffers = (
            dict(self.source.named_parameters()),
            dict(self.source.named_buffers()),
        )
        averages, kept = dict(self.model.named_parameters()), dict(self.model.named_buffers())
        _check_same(averages, parameters)
        _check_same(kept, buffers)
        for name, parameter in parameters.items():
            _average(averages[name], parameter, d)
        for name, buffer in buffers.items():
            is_averaged = self.buffers == "average" and buffer.dtype.kind == "f"
            _average(kept[name], buffer, d if is_averaged else 0.0)
        for twin in self.model.modules():
            twin.state_loaded()
        repeat(self._count)

    def _count(self) -> None:
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """``updates`` and the average's own state under ``model.…``."""
        state: dict[str, Any] = {"updates": self.updates}
        state.update({f"model.{key}": value for key, value in self.model.state_dict().items()})
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where ``state_dict()`` was taken.

        Raises:
            UserError: what does not fit, in one line. Nothing has been written then.
        """
        if not isinstance(state_dict, Mapping) or "updates" not in state_dict:
            raise UserError("the state of an EMA must have the key updates")
        updates = plain_number(state_dict["updates"])
        if updates is None or updates != updates // 1 or updates < 0:
            raise UserError(f"updates must be an integer ≥ 0, got {state_dict['updates']!r}")
        foreign = [key for key in state_dict if not str(key).startswith("model.")]
        if foreign != ["updates"]:
            names = ", ".join(str(key) for key in foreign if key != "updates")
            raise UserError(f"the state of an EMA has the keys updates and model.…, got {names}")
        self.model.load_state_dict(
            {key.removeprefix("model."): v for key, v in state_dict.items() if key != "updates"}
        )
        self.updates = int(updates)


def _check_same(averages: Mapping[str, Any], values: Mapping[str, Any]) -> None:
    """The model still has the tensors that it had when its average was begun."""
    for name in {**averages, **values}:
        was, now = (
            f"{x.dtype} {x.shape}" if (x := tensors.get(name)) is not None else "missing"
            for tensors in (averages, values)
        )
        if was != now:
            raise ValueError(
                f"{name} of the model is {now} and of its average {was}; change the average's "
                f"model alike, or begin another one"
            )


def _average(average: Any, value: Any, decay: float) -> None:
    """One tensor's share; d = 0 copies."""
    if not average.numel():
        return
    kept, now = average.data, value.data
    note_write(kept)
    if not decay:
        kept[...] = now
    elif kept.flags.c_contiguous:
        average_step(active.backend, kept.reshape(-1), now.reshape(-1), decay=decay)
    else:  # its reshape(-1) would be a copy, and the average would stand still
        kept *= decay
        kept += (1 - decay) * now
