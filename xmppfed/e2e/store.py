"""Where acquaintances are kept: a file that a person can read, or memory."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from xmppfed.e2e.trust import Acquaintance, Trust, name_key
from xmppfed.errors import ConfigError

__all__ = ["FOLDER", "FileTrustStore", "MemoryTrustStore"]

FOLDER = "e2e"
"""Where in the `data_dir` of a server its acquaintances and its own keys are."""


class MemoryTrustStore:
    """A `TrustStore` that lives as long as the process."""

    def __init__(self, known: Iterable[Acquaintance] = ()) -> None:
        self._known: dict[str, Acquaintance] = {}
        self._revoked: dict[bytes, Acquaintance] = {}
        for one in known:
            self._put(one)

    def by_name(self, name: str) -> Acquaintance | None:
        """See `TrustStore.by_name`."""
        return self._known.get(name_key(name))

    def by_key(self, spki_sha256: bytes) -> Acquaintance | None:
        """See `TrustStore.by_key`."""
        known = (one for one in self._known.values() if one.spki_sha256 == spki_sha256)
        return self._revoked.get(spki_sha256) or next(known, None)

    def all(self) -> list[Acquaintance]:
        """See `TrustStore.all`."""
        return [self._known[name] for name in sorted(self._known)] + [self._revoked[key] for key in sorted(self._revoked)]

    def keep(self, acquaintance: Acquaintance) -> None:
        """See `TrustStore.keep`."""
        self._put(acquaintance)

    def _put(self, one: Acquaintance) -> None:
        former = None if one.spki_sha256 is None else self.by_key(one.spki_sha256)
        if former is not None and not former.revoked:
            del self._known[name_key(former.name)]
        if one.revoked and one.spki_sha256 is not None:
            self._revoked[one.spki_sha256] = one
        else:
            self._known[name_key(one.name)] = one


class _Entry(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    trust: Trust
    spki_sha256: str = ""  # hexadecimal: what the tools of others print
    revoked: bool = False
    first_seen: float = 0.0
    last_seen: float = 0.0


class FileTrustStore(MemoryTrustStore):
    """A `TrustStore` in a JSON file, one object per peer, for its owner alone; every change is on disk when it is made."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError for a file that cannot be read: to begin anew would be to trust whoever comes first."""
        self._path = path
        super().__init__(_read(path))

    @classmethod
    def under(cls, data_dir: Path) -> FileTrustStore:
        """The store of the server that has this directory; its file and folder come with the first acquaintance."""
        return cls(data_dir / FOLDER / "peers.json")

    def keep(self, acquaintance: Acquaintance) -> None:
        """See `TrustStore.keep`. Raises OSError when the file cannot be written; then nothing has changed."""
        before = self._known.copy(), self._revoked.copy()
        super().keep(acquaintance)
        try:
            self._write()
        except OSError:
            self._known, self._revoked = before
            raise

    def _write(self) -> None:
        entries = [
            _Entry(
                name=one.name,
                trust=one.trust,
                spki_sha256=one.spki_sha256.hex() if one.spki_sha256 else "",
                revoked=one.revoked,
                first_seen=one.first_seen,
                last_seen=one.last_seen,
            )
            for one in self.all()
        ]
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        new = self._path.with_name(f"{self._path.name}.new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(entries), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _read(path: Path) -> list[Acquaintance]:
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[_Entry])
        return [
            Acquaintance(
                name=entry.name,
                trust=entry.trust,
                spki_sha256=bytes.fromhex(entry.spki_sha256) or None,
                revoked=entry.revoked,
                first_seen=entry.first_seen,
                last_seen=entry.last_seen,
            )
            for entry in entries
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        advice = "Repair it or restore a backup; without it every peer is a stranger."
        raise ConfigError(f"{path}: found: {error}; wanted a list of peers in JSON. {advice}") from error
