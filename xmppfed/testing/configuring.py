"""The configuration of a server of a test: a safe one, and what the test changes in it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any, TypeAlias

__all__ = ["Settings", "merged", "toml"]

Settings: TypeAlias = str | Mapping[str, Any]
"""Keys of the configuration file, as TOML text or as a dictionary in which None removes what is there."""


def merged(base: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """`base` with the settings laid over it, table by table."""
    changes = tomllib.loads(settings) if isinstance(settings, str) else settings
    result = {name: value for name, value in base.items() if changes.get(name, value) is not None}
    for name, value in changes.items():
        if isinstance(value, Mapping):
            below = base.get(name)
            result[name] = merged(below if isinstance(below, Mapping) else {}, value)
        elif value is not None:
            result[name] = value
    return result


def toml(values: Mapping[str, Any]) -> str:
    """The values as a TOML file."""
    return "".join(f"{_text(name)} = {_value(value)}\n" for name, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)} = {_value(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike in both


def _text(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
