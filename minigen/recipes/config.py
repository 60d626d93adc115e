"""Hyper-parameters: one dataclass per model, whose fields are also the command line's `--set` keys.

    @dataclass(frozen=True, kw_only=True)
    class VAEConfig(Config):
        latent: int = option(20, "dimension of z", minimum=1)
        hidden: tuple[int, ...] = option((512, 256), "widths of the encoder's layers", minimum=1)

A field says its type, its default, what it means and what it accepts; from that one line come the
parser (`--set latent=2 hidden=64,32`), the check, the help text and `config.json`. There is no
second list of names to keep in step.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from minigen.errors import UserError, unknown_name

__all__ = ["Config", "as_text", "option"]

Self = TypeVar("Self", bound="Config")

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A field of a `Config`.

    Args:
        default: its value when nobody says otherwise.
        help: what it is, one line.
        minimum: the smallest value accepted (for a tuple: of every entry).
        above: the value must be greater than this.
        maximum: the greatest value accepted.
        choices: the accepted words, for a string.
    """
    accepts = {"minimum": minimum, "above": above, "maximum": maximum, "choices": choices}
    return dataclasses.field(default=default, metadata={"help": help, **accepts})


@dataclass(frozen=True, kw_only=True)
class Config:
    """The base of all configurations: the options that every recipe has.

    Building one checks it: a `UserError` names the option, the value and what is accepted.
    """

    steps: int = option(1000, "training steps", minimum=1)
    batch_size: int = option(128, "examples per step", minimum=1)
    evaluate_every: int = option(500, "steps between measurements on the val split", minimum=1)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check(field, _types(type(self))[field.name], getattr(self, field.name))

    @classmethod
    def names(cls) -> list[str]:
        """The options' names, in the order of their definition."""
        return [field.name for field in dataclasses.fields(cls)]

    @classmethod
    def parse(cls, assignments: Iterable[str]) -> dict[str, Any]:
        """`["latent=2", "hidden=64,32"]` → `{"latent": 2, "hidden": (64, 32)}`.

        Raises:
            UserError: for text without `=`, an unknown name (with the nearest known one), a name
                given twice, or a value that its type does not accept.
        """
        values: dict[str, Any] = {}
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for text in assignments:
            name, equals, value = text.partition("=")
            name = name.strip().replace("-", "_")
            if not equals or not name:
                raise UserError(f"--set takes key=value, got {text!r}")
            if name not in fields:
                raise unknown_name("--set key", name, fields)
            if name in values:
                raise UserError(f"--set {name} is given twice")
            values[name] = _parse(fields[name], _types(cls)[name], value.strip())
        return values

    def with_values(self: Self, values: Mapping[str, Any]) -> Self:
        """A copy with some options changed, checked."""
        return dataclasses.replace(self, **values)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; tuples become lists."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls: type[Self], values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            UserError: for an unknown name, or a value of another type.
        """
        for name in values:
            if name not in cls.names():
                raise UserError(f"config: {name!r} is no option of this model")
        restored: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**restored)

    @classmethod
    def describe(cls) -> list[tuple[str, str, str, str]]:
        """(name, type, default, help) of every option, as text."""
        rows = []
        for field in dataclasses.fields(cls):
            kind = "|".join(field.metadata["choices"] or ()) or _type_name(_types(cls)[field.name])
            rows.append((field.name, kind, as_text(field.default), field.metadata["help"]))
        return rows


def _types(cls: type[Config]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _alternatives(kind: Any) -> tuple[Any, bool]:
    """`int | None` → (int, True); `int` → (int, False)."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        inner = [one for one in typing.get_args(kind) if one is not type(None)]
        return inner[0], len(inner) < len(typing.get_args(kind))
    return kind, False


def _type_name(kind: Any) -> str:
    kind, optional = _alternatives(kind)
    if typing.get_origin(kind) is tuple:
        name = f"{typing.get_args(kind)[0].__name__},…"
    else:
        name = kind.__name__
    return f"{name}|none" if optional else name


def _accepts(field: dataclasses.Field[Any], kind: Any) -> str:
    """What an option accepts, in words: `a whole number >= 1`."""
    kind, optional = _alternatives(kind)
    meta = field.metadata
    if meta["choices"]:
        words = " or ".join(meta["choices"])
    elif kind is bool:
        words = "true or false"
    elif typing.get_origin(kind) is tuple:
        one = "whole numbers" if typing.get_args(kind)[0] is int else "numbers"
        words = f"{one} with commas between"
    else:
        words = {int: "a whole number", float: "a number", str: "a word"}[kind]
    limits = [
        f"{sign} {meta[name]:g}"
        for name, sign in (("above", ">"), ("minimum", ">="), ("maximum", "<="))
        if meta[name] is not None
    ]
    words = " ".join([words, " and ".join(limits)]).strip()
    return f"{words}, or none" if optional else words


def _parse(field: dataclasses.Field[Any], kind: Any, text: str) -> Any:
    """Text → value of the field's type; the limits are `_check`'s business."""
    inner, optional = _alternatives(kind)
    try:
        if optional and text.lower() == "none":
            return None
        if typing.get_origin(inner) is tuple:
            entry = typing.get_args(inner)[0]
            return tuple(entry(part) for part in text.split(",") if part.strip())
        if inner is bool:
            return {**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}[text.lower()]
        return inner(text)
    except (ValueError, KeyError) as error:
        raise UserError(f"{field.name} must be {_accepts(field, kind)}, got {text!r}") from error


def _check(field: dataclasses.Field[Any], kind: Any, value: Any) -> None:
    inner, optional = _alternatives(kind)
    if optional and value is None:
        return
    entries, entry_type = (value,), inner
    if typing.get_origin(inner) is tuple:
        entry_type = typing.get_args(inner)[0]
        entries = value if isinstance(value, tuple) else (None,)
    meta = field.metadata
    for entry in entries:
        if entry_type is float and type(entry) is int:  # 1 is a fine learning rate
            entry = float(entry)
        good = type(entry) is entry_type
        if good and entry_type is float:
            good = math.isfinite(entry)
        if good and entry_type in (int, float):
            good = (
                (meta["minimum"] is None or entry >= meta["minimum"])
                and (meta["above"] is None or entry > meta["above"])
                and (meta["maximum"] is None or entry <= meta["maximum"])
            )
        if good and meta["choices"]:
            good = entry in meta["choices"]
        if not good:
            raise UserError(f"{field.name} must be {_accepts(field, kind)}, got {as_text(value)}")


def as_text(value: Any) -> str:
    """A value as `--set` would take it: `512,256`, `true`, `none`, `0.001`."""
    if isinstance(value, tuple):
        return ",".join(str(entry) for entry in value)
    return str(value).lower() if isinstance(value, bool | None) else str(value)
