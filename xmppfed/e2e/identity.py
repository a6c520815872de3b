"""Who we are to our peers: an address and a key, in a certificate of long life (XEP-0246, 4), in one file with the key.

What peers remember is the key. A certificate can be made anew for the same one, and nobody notices; a new key is a new
person until the peers have been told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from xmppfed.core.identity import PresentedNames, ascii_domain
from xmppfed.core.jid import JID, domain_or_nothing
from xmppfed.e2e.linklocal.names import LONGEST, InstanceName
from xmppfed.e2e.store import FOLDER
from xmppfed.errors import ConfigError, JIDError
from xmppfed.net.certificates import LoadedCertificate, PrivateKey, load_certificate, presented_names, spki_sha256
from xmppfed.net.issuing import create_private, new_key, signed_by_itself

__all__ = [
    "VALIDITY",
    "Identity",
    "address_of",
    "create_identity",
    "identity_path",
    "issue_identity",
    "load_identity",
    "renew_identity",
]

VALIDITY = timedelta(days=3650)
"""How long an identity holds that we have signed ourselves. Nobody else could take it back or renew it: peers who know the
key do not look at the dates (T4), and a short time would end conversations without making them safer. What ends a key is
that the peers revoke it. It is not without end, for a certificate has none (RFC 5280, 4.1.2.5)."""

_SERVICE = "_xmpp-server."  # the SRV-ID of a service (RFC 6120, 13.7.1.2.1)
_HOST = re.compile("[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Identity:
    """What this end shows on its streams (E17). `addresses` are those that the certificate names, the xmppAddr first;
    where there are several, the one that is meant has to be said (XEP-0178, 2)."""

    addresses: tuple[str, ...]
    certificate: LoadedCertificate

    @property
    def spki_sha256(self) -> bytes:
        """What peers pin."""
        return spki_sha256(self.certificate.leaf)


def address_of(text: str) -> str:
    """The address as a certificate has it: a bare JID, prepared, or a name on the link (`Juliet C.@pronto`) as it is.
    Raises JIDError."""
    try:
        jid = JID.parse(text)
    except JIDError:
        if _is_link_name(text):
            return text
        raise
    if jid.resource:
        raise JIDError(f"Found {jid}, the address of one resource; wanted {jid.bare}: a certificate is for all of them.")
    return str(jid)


def identity_path(data_dir: Path, address: str) -> Path:
    """Where a server keeps the identity for that address; whatever a name on the link holds, it stays in one folder."""
    return data_dir / FOLDER / f"{quote(address, safe='@')}.pem"


def issue_identity(address: str, now: datetime, key: PrivateKey | None = None) -> bytes:
    """A PEM file with a certificate for `address` that holds from now (UTC), and its key, a new one unless it is given.

    A user has an xmppAddr, and so has a name on the link; a service also the names by which servers are known (E17, T3).
    Raises JIDError.
    """
    name = address_of(address)
    host = None if "@" in name else ascii_domain(name)
    dns, srv = ((host,), (f"{_SERVICE}{host}",)) if host else ((), ())
    return signed_by_itself(name, key or new_key(), now, now + VALIDITY, dns=dns, srv=srv, xmpp_addresses=(name,))


def load_identity(path: Path) -> Identity:
    """The identity in a PEM file: certificate, chain if there is one, and key. Raises ConfigError: the file cannot be used,
    or the certificate names nobody."""
    certificate = load_certificate(path)
    names = presented_names(certificate.leaf)
    addresses = tuple(dict.fromkeys(_addresses(names)))
    if not addresses:
        raise ConfigError(
            f"{path}: found a certificate for {names}; wanted one that names an XMPP address (xmppAddr) or a domain"
        )
    return Identity(addresses, certificate)


def create_identity(path: Path, address: str, now: datetime) -> Identity:
    """A new identity, in a file that was not there. Raises ConfigError and JIDError."""
    pem = issue_identity(address, now)
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        create_private(path, pem)
    except FileExistsError:
        raise ConfigError(f"{path}: found a file, wanted none; nothing was changed") from None
    except OSError as error:
        raise _unwritable(path, error) from error
    return load_identity(path)


def renew_identity(path: Path, address: str, now: datetime, *, with_new_key: bool) -> Identity:
    """A new certificate in the place of the one in the file, for the same key unless peers are to learn a new one.
    Raises ConfigError and JIDError, and then nothing has changed."""
    old = load_identity(path)
    if address_of(address) not in old.addresses:
        raise ConfigError(f"{path}: found a certificate for {', '.join(old.addresses)}; wanted one for {address}")
    leaf = old.certificate.leaf
    if leaf.issuer != leaf.subject:
        issuer = leaf.issuer.rfc4514_string()
        raise ConfigError(
            f"{path}: found a certificate of the authority {issuer}; wanted a self-signed one. Let that issue the next"
        )
    pem = issue_identity(address, now, None if with_new_key else old.certificate.key)
    new = path.with_name(f"{path.name}.new")
    try:
        new.unlink(missing_ok=True)
        create_private(new, pem)
        new.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    return load_identity(path)


def _unwritable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be written ({error.strerror}); wanted to keep the key there")


def _is_link_name(text: str) -> bool:
    """Whether somebody on the link could be called so (XEP-0174, 3): the machine's part is one of a host."""
    name = InstanceName.parse(text)
    fits = text.isprintable() and len(text.encode()) <= LONGEST
    return fits and bool(name.user) and _HOST.fullmatch(name.machine) is not None


def _addresses(names: PresentedNames) -> Iterator[str]:
    for text in names.xmpp_addresses:
        try:
            yield address_of(text)
        except JIDError:
            continue  # Whatever it says, no peer could be called so.
    domains = [name[len(_SERVICE) :] for name in names.srv_names if name.lower().startswith(_SERVICE)]
    yield from filter(None, map(domain_or_nothing, (*domains, *names.dns_names)))
