"""A client of a few lines that shares no code with us: PLAIN inside TLS, messages in and out."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Self
from xml.etree.ElementTree import Element, fromstring
from xml.sax.saxutils import escape, quoteattr

from tests.interop.scenario import Failure
from tests.interop.wire import Wire

__all__ = ["Client"]

_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
_BIND = "urn:ietf:params:xml:ns:xmpp-bind"
_CLIENT = "{jabber:client}"


class Client:
    """Somebody who is logged in and available."""

    def __init__(self, wire: Wire, domain: str) -> None:
        self._wire = wire
        self._domain = domain

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
        client = cls(Wire.connect(port, host or domain, authority, address=address), domain)
        client._open()
        initial = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        client._wire.send(f"<auth xmlns='{_SASL}' mechanism='PLAIN'>{initial}</auth>")
        client._wanted(f"{{{_SASL}}}success")
        client._open()
        client._wire.send(f"<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='{_BIND}'/></iq>")
        client._wanted(f"{_CLIENT}iq")
        client._wire.send("<presence xmlns='jabber:client'/>")
        return client

    def say(self, to: str, text: str) -> None:
        """Send a message."""
        body = f"<body>{escape(text)}</body>"
        self._wire.send(f"<message xmlns='jabber:client' type='chat' id='m' to={quoteattr(to)}>{body}</message>")

    def ping(self) -> None:
        """Ask the server, which has handled by its answer what was said before."""
        self._wire.send("<iq xmlns='jabber:client' type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
        self._next("iq")

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

    def _open(self) -> None:
        self._wire.send(f"<open xmlns='{_FRAMING}' to='{self._domain}' version='1.0'/>")
        self._wanted(f"{{{_FRAMING}}}open")
        self._wanted("{http://etherx.jabber.org/streams}features")

    def _wanted(self, tag: str) -> None:
        element = fromstring(self._wire.receive())
        if element.tag != tag or element.get("type") == "error":
            raise Failure(f"found {element.tag} ({[child.tag for child in element]}); wanted {tag}")

    def _next(self, kind: str) -> Element:
        """The next stanza of a kind; others, such as our own presence, are passed over."""
        while True:
            element = fromstring(self._wire.receive())
            if element.tag == f"{_CLIENT}{kind}":
                return element


def _error(message: Element) -> str:
    error = message.find(f"{_CLIENT}error")
    parts = [] if error is None else [f"{child.tag.partition('}')[2]} {child.text or ''}".strip() for child in error]
    return "; ".join(parts)
