"""What the DNS says of a domain: SRV records (RFC 6120, 3.2; XEP-0368), else its addresses; and xmpp-proxy's TXT record.

Without DNSSEC anybody may have written a record: whatever it names, the certificate must be for the XMPP domain.
"""

from __future__ import annotations

from dataclasses import dataclass

from xmppfed.discovery.candidates import XMPP_SERVER, XMPPS_SERVER, Candidate, port_candidate, websocket_candidate
from xmppfed.discovery.records import DNS, Service
from xmppfed.discovery.shared import together
from xmppfed.discovery.sources import Answer
from xmppfed.discovery.urls import is_address, is_host_name, shown, url_host
from xmppfed.errors import DiscoveryError

__all__ = ["PORT", "ServiceRecords", "TextRecords"]

PORT = 5269
"""Where a domain without SRV records is tried (RFC 6120, 3.2.2)."""
_URL = "_xmpp-server-websocket="


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of one question; `ttl` is None where there is no record at all."""

    candidates: tuple[Candidate, ...]
    explanations: tuple[str, ...]
    ttl: int | None = None


class ServiceRecords:
    """SRV records: those of direct TLS and those of STARTTLS are one set (XEP-0368, 3).

    Only where there is none of either, because nobody published any or nobody answered, the domain itself is tried
    (RFC 6120, 3.2.1). A record with the target `.` is one, and says that nothing is offered (RFC 2782).
    """

    def __init__(self, dns: DNS) -> None:
        self._dns = dns

    async def candidates(self, domain: str) -> Answer:
        """The targets of both services, with a line for each record that cannot be used."""
        host = url_host(domain).strip("[]")
        if is_address(host):
            return Answer((_at_home(host),), (f"{host} is an address: port {PORT} of it",))
        asked = await together(self._ask(kind, host) for kind in (XMPPS_SERVER, XMPP_SERVER))
        explanations = tuple(line for one in asked for line in one.explanations)
        lives = [one.ttl for one in asked if one.ttl is not None]
        if not lives:
            return Answer((_at_home(host),), (*explanations, f"without SRV records: port {PORT} of {host}"))
        return Answer(tuple(candidate for one in asked for candidate in one.candidates), explanations, min(lives))

    async def _ask(self, kind: str, host: str) -> _Asked:
        name = f"_{kind}._tcp.{host}"
        try:
            records = await self._dns.services(name)
        except DiscoveryError as error:
            return _Asked((), (f"SRV {name}: {error}",))
        if not records.found:
            return _Asked((), (f"SRV {name}: {records.nothing}",))
        reasons = {record: _fault(record) for record in records.found}
        usable = [record for record, reason in reasons.items() if not reason]
        lines = [f"SRV {name}: {len(usable) or 'no'} usable record(s)"]
        lines += [f"SRV {name}: skipped {reason}" for reason in reasons.values() if reason]
        return _Asked(tuple(_candidate(kind, record, host) for record in usable), tuple(lines), records.ttl)


class TextRecords:
    """`_xmppconnect-server.DOMAIN TXT "_xmpp-server-websocket=wss://..."`, which xmpp-proxy has invented."""

    def __init__(self, dns: DNS) -> None:
        self._dns = dns

    async def candidates(self, domain: str) -> Answer:
        """The URLs, as a fallback: nobody has delegated anything to their hosts."""
        host = url_host(domain)
        name = f"_xmppconnect-server.{host}"
        if is_address(host.strip("[]")):
            return Answer((), ())
        try:
            records = await self._dns.texts(name)
        except DiscoveryError as error:
            return Answer((), (f"TXT {name}: {error}",))
        candidates: list[Candidate] = []
        lines: list[str] = [] if records.found else [f"TXT {name}: {records.nothing}"]
        for text in records.found:
            try:
                candidates.append(_websocket(text, host))
                lines.append(f"TXT {name}: {candidates[-1].url}")
            except DiscoveryError as error:
                lines.append(f"TXT {name}: skipped {error}")
        return Answer((), tuple(lines), records.ttl, fallbacks=tuple(candidates))


def _at_home(host: str) -> Candidate:
    return port_candidate(XMPP_SERVER, host, PORT, domain=host, source="its own address")


def _candidate(kind: str, record: Service, domain: str) -> Candidate:
    return port_candidate(
        kind,
        record.target,
        record.port,
        domain=domain,
        source="SRV",
        priority=record.priority,
        weight=record.weight,
    )


def _fault(record: Service) -> str:
    """Why a record cannot be used, or nothing."""
    if not record.target:
        return "the target '.': this service is not offered (RFC 2782)"
    if not is_host_name(record.target):
        return f"the target {shown(record.target)}, wanted a host name"
    return "" if record.port else f"the port 0 of {record.target}"


def _websocket(text: str, domain: str) -> Candidate:
    if not text.startswith(_URL):
        raise DiscoveryError(f"{shown(text)}, wanted {_URL}wss://...")
    return websocket_candidate(text.removeprefix(_URL), domain=domain, source="TXT", delegated=False)
