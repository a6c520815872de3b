"""Our links among those that a domain publishes already: its own host-meta files are taken as they are, and ours added."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ParserCreate

from xmppfed.discovery.documents import json_object
from xmppfed.discovery.xrd import xrd_links
from xmppfed.errors import ConfigError, DiscoveryError

__all__ = ["NO_BASE", "Base"]


@dataclass(frozen=True, slots=True)
class Base:
    """The documents that a domain has already; empty where it has none."""

    path: str = ""
    xrd: bytes = b""
    json: bytes = b""

    @classmethod
    def read(cls, path: Path) -> Base:
        """The XRD at `path`, and the JRD beside it whose name ends in `.json`; one may be missing. Raises ConfigError."""
        xrd, jrd = (_content(file) for file in (path, path.with_name(f"{path.name}.json")))
        if not xrd and not jrd:
            raise ConfigError(f"{path}: found neither this file nor {path.name}.json; wanted a host-meta to merge with")
        return cls(str(path), xrd, jrd)

    def merged_xrd(self, links: str, rels: Sequence[str]) -> bytes | None:
        """The XRD with these links in it; None where there is no XRD. Raises ConfigError."""
        if not self.xrd:
            return None
        try:
            present = [rel for rel, _ in xrd_links(self.xrd)]
        except DiscoveryError as error:
            raise ConfigError(f"{self.path}: {error}") from None
        self._check(self.path, present, rels)
        end = _end_of_root(self.xrd)
        if self.xrd[end : end + 2] != b"</":
            raise ConfigError(f"{self.path}: found a root that is empty; wanted one with an end tag, to put links before it")
        return self.xrd[:end] + links.encode() + self.xrd[end:]

    def merged_json(self, ours: Mapping[str, Any], rels: Sequence[str]) -> bytes | None:
        """The JRD with our links in it, and our `xmpp` object; None where there is no JRD. Raises ConfigError."""
        if not self.json:
            return None
        file = f"{self.path}.json"
        try:
            document = json_object(self.json)
        except DiscoveryError as error:
            raise ConfigError(f"{file}: {error}") from None
        links = document.get("links", [])
        if not isinstance(links, list):
            raise ConfigError(f"{file}: its links are not an array")
        self._check(file, [link.get("rel") for link in links if isinstance(link, dict)], rels)
        theirs = document.get("xmpp", {})
        if not isinstance(theirs, dict):
            raise ConfigError(f"{file}: found an xmpp that is no object (XEP-0487); remove it")
        if theirs and "xmpp" not in ours:
            raise ConfigError(
                f"{file}: found an object xmpp, which demands addresses of every link (XEP-0487); "
                "set public_addresses, or remove it"
            )
        merged = {**document, **ours, "links": [*links, *ours["links"]]}
        if "xmpp" in ours:
            merged["xmpp"] = {**theirs, **ours["xmpp"]}
        return json.dumps(merged, separators=(",", ":")).encode("ascii")

    def _check(self, file: str, present: Sequence[object], rels: Sequence[str]) -> None:
        twice = [rel for rel in rels if rel in present]
        if twice:
            raise ConfigError(f"{file}: found a link {twice[0]}; wanted none, because the server adds its own. Remove it there.")


NO_BASE = Base()


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); wanted a host-meta to merge with") from None


def _end_of_root(document: bytes) -> int:
    """Where the end tag of the root begins; the document is well-formed, in UTF-8."""
    ends = [0]
    parser = ParserCreate("utf-8")
    parser.EndElementHandler = lambda name: ends.append(parser.CurrentByteIndex)
    parser.Parse(document, True)
    return ends[-1]
