"""The configuration reference in Markdown, written from the typed tables themselves, so that it cannot lag behind."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import inspect

from xmppfed.tables import shown, type_words

__all__ = ["markdown"]


def markdown(tables: Iterable[tuple[str, type[msgspec.Struct]]]) -> str:
    """One page: for each `(heading, options)` the docstring of `options`, then each key with what it means,
    its type, its default and an example."""
    return "# Configuration reference\n\n" + "\n".join(_section(heading, options) for heading, options in tables)


def _section(heading: str, options: type[msgspec.Struct]) -> str:
    described = inspect.type_info(options)
    assert isinstance(described, inspect.StructType)
    entries = "\n".join(_entry(field) for field in described.fields)
    return f"## {heading}\n\n{(options.__doc__ or '').strip()}\n\n{entries}"


def _entry(field: inspect.Field) -> str:
    notes = _notes(field.type)
    lines = [f"### `{field.encode_name}`\n"]
    if description := notes.get("description"):
        lines.append(f"{description}\n")
    lines += [f"- Type: {type_words(field.type)}", f"- Default: {_default(field)}"]
    if examples := notes.get("examples"):
        lines.append(f"\n```toml\n{field.encode_name} = {shown(examples[0])}\n```")
    return "\n".join(lines) + "\n"


def _notes(described: inspect.Type) -> dict[str, list[object]]:
    extra = described.extra_json_schema if isinstance(described, inspect.Metadata) else None
    return extra or {}


def _default(field: inspect.Field) -> str:
    if field.required:
        return "none; the key is required"
    if field.default_factory is not msgspec.NODEFAULT:
        return "empty"
    if field.default is None:
        return "not set"
    return f"`{shown(str(field.default) if isinstance(field.default, Path) else field.default)}`"
