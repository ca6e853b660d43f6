"""Frozen dataclasses with checked types and plain JSON, read back strictly: unknown and missing fields are errors."""

import dataclasses
import difflib
import types
import typing
from functools import cache
from typing import Any, Literal, Self

ADDED_LATER = {"added_later": True}
"""Metadata of a field that older records do not have: `field(default=None, metadata=ADDED_LATER)`. While it is None it is
not written, so that older records, and hashes of them, stay what they were."""


@dataclasses.dataclass(frozen=True)
class StrictRecord:
    """Base of a frozen dataclass whose fields are checked (and lists made tuples, ints made floats) on construction.

    Subclasses add `validate()` for what types cannot say. Raises ValueError naming the field.
    """

    def __post_init__(self):
        for name, hint in _hints(type(self)).items():
            value = _checked(hint, getattr(self, name), f"{type(self).__name__}.{name}")
            object.__setattr__(self, name, value)
        self.validate()

    def validate(self) -> None:
        """Consistency between fields; raises ValueError."""

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        values = {field: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            field.name: _plain(value)
            for field, value in values.items()
            if value is not None or not field.metadata.get("added_later")
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Raises ValueError naming the field for anything unknown, missing, of the wrong type or inconsistent."""
        return _record(cls, data, cls.__name__)

    @classmethod
    def class_of(cls, data: dict[str, Any], where: str) -> tuple[Any, dict[str, Any]]:
        """Return the class that a dict is of, and its fields: this class, unless a base chooses among its kinds."""
        return cls, data


@cache
def _hints(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _plain(value: Any) -> Any:
    if isinstance(value, StrictRecord):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _record(cls: type[StrictRecord], data: Any, where: str) -> Any:
    if isinstance(data, cls):
        return data
    if not isinstance(data, dict):
        raise ValueError(f"{where} must be a {cls.__name__} or its dict, got {type(data).__name__}.")
    cls, data = cls.class_of(data, where)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if unknown := sorted(set(data) - set(fields)):
        close = difflib.get_close_matches(unknown[0], fields, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{where} has no field {unknown[0]!r}; it has {sorted(fields)}.{hint}")
    missing = [
        name
        for name, field in fields.items()
        if name not in data and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where} lacks the field(s) {missing}.")
    return cls(**data)


def _checked(hint: Any, value: Any, where: str) -> Any:
    """`value` as `hint` asks for it, or ValueError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if getattr(value, "ndim", None) == 0:  # a numpy scalar
        value = value.item()
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        options = {typing.get_origin(option) or option: option for option in arguments if option is not type(None)}
        fitting = [options[kind] for kind in options if isinstance(kind, type) and isinstance(value, kind)]
        fitting += [float] if float in options and isinstance(value, int) else []
        return _checked([*fitting, *options.values()][0], value, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} must be one of {list(arguments)}, got {value!r}.")
        return value
    if origin is tuple:
        if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
            raise ValueError(f"{where} must be a sequence, got {value!r}.")
        return tuple(_checked(arguments[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if isinstance(hint, type) and issubclass(hint, StrictRecord):
        return _record(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{where} must be {hint.__name__}, got {value!r}.")
    return value
