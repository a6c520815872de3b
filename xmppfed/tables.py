"""One TOML table turned into one typed value, with errors a person can act on.

msgspec names neither the table nor the value it stumbled over, so each named table is converted by itself, and its
complaint is rewritten to say: file, full key, what was found, what was wanted, what to do.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from xmppfed.errors import ConfigError

__all__ = ["Options", "Table", "read", "shown", "type_words"]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every typed table: immutable, by keyword only, and without room for unknown keys."""


S = TypeVar("S", bound=msgspec.Struct)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_COMPLAINT = re.compile(r"(?P<what>.*?)(?P<got>, got `[^`]*`)?(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]")
_FIELD = re.compile(r"\.(?P<name>[^.\[]+)(?:\[\d+\])*")
_WORDS: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.StrType: "a string",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.NoneType: "nothing",
}


@dataclass(frozen=True)
class Table:
    """A table of the configuration: its file, its key (`services.http`; empty at the top level) and its content."""

    file: Path
    key: str
    values: Mapping[str, Any]

    def key_of(self, name: str) -> str:
        """The full key of `name` in this table, quoted as TOML wants it."""
        quoted = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
        return f"{self.key}.{quoted}" if self.key else quoted

    def error(self, name: str, found: object, wanted: str, advice: str) -> ConfigError:
        """The error about `name`, for the caller to raise. `found` is the value, and is written as TOML would."""
        return self._complaint(self.key_of(name), shown(found), wanted, advice)

    def table(self, name: str) -> Table:
        """The table `name` inside this one; empty where the file has none. Raises ConfigError if it is no table."""
        inner = self.values.get(name, {})
        if not isinstance(inner, dict):
            raise self.error(name, inner, "a table", f"Write it as [{self.key_of(name)}].")
        return Table(self.file, self.key_of(name), inner)

    def without(self, *names: str) -> Table:
        """This table less the entries `names`, which are converted by themselves."""
        return Table(self.file, self.key, {name: value for name, value in self.values.items() if name not in names})

    def check_names(self, known: Iterable[str], kind: str) -> None:
        """Raise ConfigError for the first entry that is not among `known`; `kind` is the word for an entry."""
        names = sorted(known)
        for name in self.values:
            if name not in names:
                raise self._unknown(name, names, kind)

    def convert(self, options: type[S]) -> S:
        """The content as a value of `options`. Raises ConfigError. A `Path` is taken relative to the file."""
        try:
            return msgspec.convert(self.values, options, dec_hook=self._custom)
        except msgspec.ValidationError as error:
            raise self._rewritten(str(error), options) from None

    def _custom(self, wanted: type, found: object) -> object:
        if wanted is not Path or not isinstance(found, str) or not found:
            raise ValueError("Expected a path")
        return self.file.parent / found

    def _complaint(self, key: str, found: str, wanted: str, advice: str) -> ConfigError:
        return ConfigError(f"{self.file}: {key}: found {found}; wanted {wanted}. {advice}")

    def _unknown(self, name: str, known: list[str], kind: str) -> ConfigError:
        near = difflib.get_close_matches(name, known, 1)
        advice = f"Did you mean `{near[0]}`?" if near else "Remove it, or correct its name."
        wanted = f"one of {', '.join(known)}" if known else f"nothing: no {kind} is known here"
        return self._complaint(self.key_of(name), f"an unknown {kind}", wanted, advice)

    def _rewritten(self, text: str, options: type[msgspec.Struct]) -> ConfigError:
        complaint = _COMPLAINT.fullmatch(text)
        assert complaint is not None  # Every group of the pattern is optional.
        what = complaint["what"]
        path = (complaint["path"] or "").partition("[...]")[0]  # msgspec does not say which entry of a dictionary
        of_another_type = complaint["got"] is not None or what.startswith("Invalid enum value")
        known = {field.encode_name: field.type for field in msgspec.structs.fields(options)}
        if unknown := _UNKNOWN.fullmatch(what):
            inside = Table(self.file, self.key + path, {})
            return inside._unknown(unknown["name"], [] if path else sorted(known), "key")
        if missing := _MISSING.fullmatch(what):
            key = Table(self.file, self.key + path, {}).key_of(missing["name"])
            return self._complaint(key, "nothing", "a value, because there is no default", "Add the key.")
        wanted = what.removeprefix("Expected ").replace("`", "")
        if of_another_type and (field := _FIELD.fullmatch(path)):
            wanted = _field_words(options, field["name"])
        return self._complaint((self.key + path).lstrip("."), shown(self._found(path)), wanted, "Correct the value.")

    def _found(self, path: str) -> object:
        found: Any = self.values
        for step in _STEP.finditer(path):
            found = found[step["key"]] if step["key"] else found[int(step["index"])]
        return found


def read(file: Path) -> Table:
    """The top-level table of `file`. Raises ConfigError: no such file, not UTF-8, not TOML (with line and column)."""
    try:
        return Table(file, "", tomllib.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        reason, advice = error.strerror, "Name the file with --config, or write one with `xmppfedctl init DOMAIN`."
    except UnicodeDecodeError as error:
        reason, advice = f"bytes that are not UTF-8 (at byte {error.start})", "Save the file as UTF-8."
    except tomllib.TOMLDecodeError as error:
        reason, advice = str(error), "Correct that line; strings need quotes. See https://toml.io/."
    raise ConfigError(f"{file}: found: {reason}; wanted: a readable TOML file. {advice}")


def shown(value: object) -> str:
    """`value` in the way it is written in a TOML file, cut to one short line."""
    text = _toml(value)
    return text if len(text) <= 100 else text[:99] + "…"


def _toml(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, default=str, ensure_ascii=False)


def type_words(wanted: inspect.Type) -> str:
    """The type of a value in words a person would use (`a whole number, at least 10000`)."""
    match wanted:
        case inspect.Metadata(type=inner):
            return type_words(inner)
        case inspect.LiteralType(values=values):
            return " or ".join(json.dumps(value) for value in sorted(values, key=str))
        case inspect.UnionType(types=types):
            return " or ".join(type_words(one) for one in types if not isinstance(one, inspect.NoneType))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return f"a list, each {type_words(item)}"
        case inspect.DictType(value_type=item):
            return f"a table, each value {type_words(item)}"
        case inspect.CustomType(cls=cls) if cls is Path:
            return "a path"
        case inspect.IntType(ge=int(least)):
            return f"a whole number, at least {least}"
    return _WORDS.get(type(wanted), "a table")


def _field_words(options: type[msgspec.Struct], name: str) -> str:
    described = inspect.type_info(options)
    assert isinstance(described, inspect.StructType)
    return next(type_words(field.type) for field in described.fields if field.encode_name == name)
