"""What the server says of another domain, in the words that an operator reads: what was looked at, tried and found, in the
order and at the time it happened, and one line of advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["advice", "check_lines", "explain_lines", "stream_lines"]

LOOP = "that is served here"
"""What our own server answers to a stream from one of its domains: who hears it has reached it."""

_ADVICE = (
    ("wanted one for", "Its certificate does not name the domain. Its operator needs one that does, or POSH (RFC 7711)."),
    ("wanted a trusted one", "Its certificate is not trusted here: its operator needs one of a public authority, or POSH; a "
     "private authority goes into `trust_anchors`."),
    ("426", "A proxy in front of it does not pass on the headers Upgrade and Connection."),
    ("404", "There is no WebSocket at that URL: the path in its host-meta is wrong, or a proxy in front does not pass it on."),
    ("502", "A proxy in front of it does not reach its server: that is down, or the proxy's address for it is wrong."),
    ("503", "A proxy in front of it does not reach its server: that is down, or the proxy's address for it is wrong."),
    ("dialback", "It could not verify us by calling back: `xmppfedctl check-domain` looks at how others reach this server."),
    ("EXTERNAL was refused", "It does not believe our certificate: `xmppfedctl check-domain` shows what that says."),
    ("not-authorized", "It lets nobody in without a proof that it did not get: it may want our certificate, or dialback."),
    ("wanted STARTTLS", "It offers no TLS: nothing can be done from here."),
    ("refused", "Nothing listens there: its server is down, or its records name the wrong port."),
    ("timed out", "Nobody answers there: its server is down, or a firewall drops the packets."),
    ("no connection", "Nobody answers there: its server is down, or a firewall drops the packets."),
    ("within", "It was too slow, or something between drops the packets: try again, then ask its operator."),
)  # fmt: skip


def explain_lines(trace: dict[str, Any]) -> Iterator[str]:
    """All of a trace, for people."""
    pair = trace["pair"]
    yield f"From {pair['sender']} to {pair['to']}"
    yield "Looked at:"
    yield from (f"  {line}" for line in trace["explanations"])
    yield "Tried:" if trace["attempts"] else "Nothing was tried."
    for number, attempt in enumerate(trace["attempts"], 1):
        yield from _attempt_lines(number, attempt)
    yield f"Advice: {advice(trace)}"


def _attempt_lines(number: int, attempt: dict[str, Any]) -> Iterator[str]:
    candidate = attempt["candidate"]
    yield f"  {number}. {candidate['url']} at {attempt['address']} (from {candidate['source']}, priority {candidate['priority']})"
    yield f"     begun after {attempt['began'] * 1000:.0f} ms, {attempt['outcome']} after {attempt['seconds'] * 1000:.0f} ms more"
    names = " and ".join(attempt["server_names"])
    if attempt["seen"] or names:
        yield f"     certificate: found {attempt['seen'] or 'none'}; wanted {', '.join(attempt['wanted'])}; asked for by {names}"
    if attempt["proof"]:
        yield f"     believed by {attempt['proof']}"
    if attempt["features"]:
        yield f"     its stream offered {', '.join(attempt['features'])}"
    if attempt["mechanism"]:
        yield f"     authenticated by {attempt['mechanism']}"
    if attempt["reason"]:
        yield f"     {attempt['reason']}"


def advice(trace: dict[str, Any]) -> str:
    """One line: what is well, or what to do."""
    domain = trace["pair"]["to"]
    ready = [attempt for attempt in trace["attempts"] if attempt["outcome"] == "ready"]
    if ready:
        return f"Nothing to do: {domain} is reached at {ready[-1]['candidate']['url']}, by {ready[-1]['mechanism']}."
    if not trace["attempts"] and any("allow_private_addresses" in line for line in trace["explanations"]):
        return "Its address is not a public one: list its network in `allow_private_addresses` if that is meant."
    if not trace["attempts"]:
        return f"{domain} says nowhere how it is reached, or not in a way that this server speaks: see what was looked at."
    return _advice_for([attempt["reason"] for attempt in trace["attempts"]])


def _advice_for(reasons: Sequence[str]) -> str:
    for word, words in _ADVICE:
        if any(word in reason for reason in reasons):
            return words
    return "See what each try came to; the log has more, and so may that of the other server."


def check_lines(check: dict[str, Any]) -> Iterator[str]:
    """What was found about our own domain, and lines to paste where something is missing."""
    domain = check["pair"]["to"]
    yield f"{domain}, as others see it"
    yield "Looked at:"
    yield from (f"  {line}" for line in check["explanations"])
    reached = [attempt for attempt in check["attempts"] if LOOP in attempt["reason"]]
    for number, attempt in enumerate(check["attempts"], 1):
        yield from _attempt_lines(
            number, {**attempt, "outcome": "reached this server" if attempt in reached else attempt["outcome"]}
        )
    yield from (f"  this port refused a WebSocket handshake: {reason}" for reason in check["refused"])
    yield f"Advice: {_own_advice(check, reached)}"
    if not reached:
        yield from _to_paste(domain, check["refused"])


def _own_advice(check: dict[str, Any], reached: Sequence[dict[str, Any]]) -> str:
    if reached:
        return f"Nothing to do: others reach this server at {reached[0]['candidate']['url']}, and believe its certificate."
    if check["refused"]:
        return f"A proxy in front of this server changes the handshake. {check['refused'][-1]}"
    if not check["attempts"]:
        return "Nothing says how this domain is reached: publish what follows."
    return _advice_for([attempt["reason"] for attempt in check["attempts"]])


def _to_paste(domain: str, refused: Sequence[str]) -> Iterator[str]:
    if refused:
        yield "For nginx, in the `location` of the WebSocket:"
        yield "  proxy_http_version 1.1;"
        yield "  proxy_set_header Upgrade $http_upgrade;"
        yield '  proxy_set_header Connection "upgrade";'
        return
    yield "For the DNS, with your own host names:"
    yield f"  _xmpps-server._tcp.{domain}. 3600 IN SRV 0 5 5270 xmpp.{domain}."
    yield f'  _xmppconnect-server.{domain}. 3600 IN TXT "_xmpp-server-websocket=wss://{domain}/xmpp-websocket"'
    yield f"For the web server of {domain}, or let this server answer there:"
    yield f"  https://{domain}/.well-known/host-meta and host-meta.json"


def stream_lines(streams: Sequence[dict[str, Any]], broken: Sequence[dict[str, Any]] = ()) -> Iterator[str]:
    """One line for each stream, and for each session whose stream broke."""
    if not streams and not broken:
        yield "No streams to or from other servers."
    for one in sorted(streams, key=lambda one: (one["direction"], one["pairs"])):
        pairs = ", ".join(f"{sender} to {to}" for sender, to in one["pairs"]) or "not authorized yet"
        under_way = f", {one['unacknowledged']} not acknowledged" if one["unacknowledged"] else ""
        yield f"{one['direction']}: {pairs} ({one['address'] or 'no address'}, {one['mechanism'] or 'no proof yet'}{under_way})"
    for one in broken:
        kept = f"{one['stanzas']} stanzas are kept" if one["stanzas"] else "nothing is kept"
        yield f"broken: {one['pair'][0]} to {one['pair'][1]} (can be resumed for {one['seconds']:.0f} s; {kept})"
