"""A client of a few lines that shares no code with us: PLAIN inside TLS, messages, questions and subscriptions."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Self
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape, quoteattr

from tests.interop.processes import PATIENCE
from tests.interop.scenario import Failure
from tests.interop.wire import Wire

__all__ = ["Client"]

_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_CLIENT = "{jabber:client}"


class Client:
    """Somebody who is logged in, interested in the roster, and available; `address` has the resource."""

    def __init__(self, wire: Wire, user: str, domain: str) -> None:
        self._wire = wire
        self._user = user
        self._domain = domain
        self.address = ""

    @classmethod
    def log_in(
        cls,
        user: str,
        password: str,
        domain: str,
        port: int,
        authority: Path,
        *,
        host: str = "",
        address: str = "127.0.0.1",
    ) -> Self:
        """Log in at `address`, where the server proves to be `host` (the domain, unless it is given)."""
        client = cls(Wire.connect(port, host or domain, authority, address=address), user, domain)
        if client._open().find(f"{{{_SASL}}}mechanisms") is None:
            client._log_in_without_sasl(password)
        else:
            client._authenticate(password)
        client._request("get", "<query xmlns='jabber:iq:roster'/>")
        client._wire.send("<presence xmlns='jabber:client'/>")
        return client

    @property
    def account(self) -> str:
        """The address without its resource."""
        return f"{self._user}@{self._domain}"

    def say(self, to: str, text: str) -> None:
        """Send a message."""
        body = f"<body>{escape(text)}</body>"
        self._wire.send(f"<message xmlns='jabber:client' type='chat' id='m' to={quoteattr(to)}>{body}</message>")

    def ping(self, to: str = "") -> None:
        """Ask a server, by default one's own, which has handled by its answer what was said before."""
        answer = self._request("get", "<ping xmlns='urn:xmpp:ping'/>", to)
        if to and answer.get("type") != "result":
            raise Failure(f"found an answer of type {answer.get('type')} from {to}: {_error(answer)}")

    def ask(self, other: Client) -> None:
        """Ask another client something, who answers with the same words."""
        words = f"<query xmlns='urn:example:echo'>{self.address}</query>"
        self._wire.send(f"<iq xmlns='jabber:client' type='get' id='ask' to={quoteattr(other.address)}>{words}</iq>")
        asked = other._next("iq", type="get")
        sender = quoteattr(asked.get("from", ""))
        other._wire.send(f"<iq xmlns='jabber:client' type='result' id={quoteattr(asked.get('id', ''))} to={sender}>{words}</iq>")
        answer = self._next("iq", id="ask")
        if (answer.get("type"), answer.findtext("{urn:example:echo}query")) != ("result", self.address):
            raise Failure(f"found an answer of type {answer.get('type')} from {answer.get('from')}: {_error(answer)}")

    def subscribe(self, other: Client) -> None:
        """Subscribe to the presence of another client, who approves (RFC 6121, 3.1)."""
        self._wire.send(f"<presence xmlns='jabber:client' type='subscribe' to={quoteattr(other.account)}/>")
        other._next("presence", type="subscribe", **{"from": self.account})
        other._wire.send(f"<presence xmlns='jabber:client' type='subscribed' to={quoteattr(self.account)}/>")
        self._next("presence", type="subscribed", **{"from": other.account})

    def hear(self, text: str) -> str:
        """Wait for the message `text`; its sender. Raises `Failure` for any other."""
        message = self._next("message")
        found = message.findtext(f"{_CLIENT}body")
        if message.get("type") == "error" or found != text:
            raise Failure(f"found the message {found!r} of type {message.get('type')}: {_error(message)}; wanted {text!r}")
        return message.get("from", "")

    def hear_error(self) -> str:
        """Wait for a message that comes back; condition and text of its error."""
        message = self._next("message")
        if message.get("type") != "error":
            raise Failure(f"found the message {message.findtext(f'{_CLIENT}body')!r}; wanted an error")
        return _error(message)

    def close(self) -> None:
        """Drop the connection."""
        self._wire.close()

    def _open(self) -> Element:
        """Open a stream; its features."""
        self._wire.send(f"<open xmlns='{_FRAMING}' to='{self._domain}' version='1.0'/>")
        self._wanted(f"{{{_FRAMING}}}open")
        return self._wanted("{http://etherx.jabber.org/streams}features")

    def _authenticate(self, password: str) -> None:
        initial = base64.b64encode(f"\0{self._user}\0{password}".encode()).decode()
        self._wire.send(f"<auth xmlns='{_SASL}' mechanism='PLAIN'>{initial}</auth>")
        self._wanted(f"{{{_SASL}}}success")
        self._open()
        bound = self._request("set", f"<bind xmlns='{_BIND}'/>")
        self.address = bound.findtext(f"{{{_BIND}}}bind/{{{_BIND}}}jid") or _refused(bound)

    def _log_in_without_sasl(self, password: str) -> None:
        """XEP-0078: where SASL is off so that a server's only way to another one is dialback."""
        fields = f"<username>{self._user}</username><password>{escape(password)}</password><resource>r</resource>"
        answer = self._request("set", f"<query xmlns='jabber:iq:auth'>{fields}</query>")
        self.address = f"{self.account}/r" if answer.get("type") == "result" else _refused(answer)

    def _request(self, type: str, payload: str, to: str = "") -> Element:
        """What a server answers."""
        address = f" to={quoteattr(to)}" if to else ""
        self._wire.send(f"<iq xmlns='jabber:client' type='{type}' id='request'{address}>{payload}</iq>")
        return self._next("iq", id="request")

    def _wanted(self, tag: str) -> Element:
        element = fromstring(self._wire.receive())
        if element.tag != tag:
            raise Failure(f"found {element.tag} ({[child.tag for child in element]}); wanted {tag}")
        return element

    def _next(self, kind: str, **attributes: str) -> Element:
        """The next stanza of a kind with these attributes; others, such as our own presence, are passed over.

        What comes back as an error while a stanza of another type is awaited is a `Failure`.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:  # the server's pings are a sign of life, and not what is awaited
            element = fromstring(self._wire.receive())
            if element.tag == f"{_CLIENT}{kind}":
                if attributes.items() <= element.attrib.items():
                    return element
                if "type" in attributes and element.get("type") == "error":
                    raise Failure(f"found a {kind} that came back: {_error(element)}; wanted {attributes}")
        raise Failure(f"no {kind} came within {PATIENCE:.0f} s; wanted {attributes}")


def _refused(answer: Element) -> str:
    raise Failure(f"found an answer of type {answer.get('type')}: {_error(answer)}; wanted to be logged in")


def _error(message: Element) -> str:
    error = message.find(f"{_CLIENT}error")
    parts = [] if error is None else [f"{child.tag.partition('}')[2]} {child.text or ''}".strip() for child in error]
    return "; ".join(parts)
