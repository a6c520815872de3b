"""Whether a certificate proves a domain: by a name that an authority vouches for, or because the domain itself does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from xmppfed.core.identity import domain_name_matched, host_matched
from xmppfed.discovery.vouching import Vouched
from xmppfed.net.peer import PeerCertificate, dates_alone
from xmppfed.net.websocketwire import printable

__all__ = ["CLIENT", "SERVER", "Proof", "prove"]

SERVER, CLIENT = "certificate", "client certificate"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a certificate proves. `by` says by what it does, until `until`; or `problem` why it does not, and what would."""

    by: str = ""
    until: datetime | None = None
    problem: str = ""


def prove(
    domain: str,
    certificate: PeerCertificate | None,
    now: datetime,
    *,
    what: str = SERVER,
    accepted: Collection[str] = (),
    vouched: Vouched | None = None,
) -> Proof:
    """Whether a certificate proves the domain: it names it, or one of the hosts `accepted`, and its authority is trusted;
    or it is `vouched` for by the domain, and valid at `now`.

    `accepted` are hosts that a trusted document delegated to, of servers that we reached: never those of a client.
    """
    wanted = ", ".join(sorted({domain, *accepted}))
    if certificate is None:
        return Proof(problem=f"found no {what}; wanted one for {wanted}")
    name = _name(certificate, domain, accepted)
    if name is not None and certificate.trusted:
        return Proof(f"{printable(name)} and a trusted authority", certificate.not_after)
    by = vouched.proof(certificate.der, certificate.spki_sha256) if vouched is not None else ""
    if by:
        wrong, until = dates_alone(certificate, now)
        if wrong is None:
            return Proof(by, until)
    names = printable(str(certificate.names))  # whatever a stranger may have had signed, or has signed himself
    if certificate.problems:
        problems = "; ".join(certificate.problems)
        return Proof(problem=f"found a {what} for {names} ({problems}); wanted a trusted one for {wanted}")
    return Proof(problem=f"found a {what} for {names}; wanted one for {wanted}")


def _name(certificate: PeerCertificate, domain: str, accepted: Collection[str]) -> str | None:
    """Which of its names is the domain, or an accepted host."""
    hosts = (host_matched(certificate.names, host) for host in accepted)
    return domain_name_matched(certificate.names, domain) or next((name for name in hosts if name is not None), None)
