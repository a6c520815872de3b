"""The two deployed peers of XEP-0468 as they are on the wire, written from notes of what they send and what they bear.

xmpp-proxy 1.1.0 translates text in front of another server; PeerTube's livechat brings a module for Prosody.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

from tests.net.websockets import CLOSING
from tests.services.peers import ClientPeer, WebSocketPeer
from tests.services.s2s import OURS, THEIRS, attribute, external
from xmppfed.core.namespaces import NS_FRAMING, NS_FRAMING_SERVER

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STREAMS = "http://etherx.jabber.org/streams"
PROXY_OPEN = (
    "<open {attributes} xmlns:db='urn:ietf:params:xml:ns:xmpp-framing-server:dialback' "
    "xmlns:stream='http://etherx.jabber.org/streams' version='1.0' xml:lang='en' "
    "xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'/>"
)
PROXY_CLOSE = f'<close xmlns="{NS_FRAMING}" />'
PROXY_FEATURES = (
    "<stream:features xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms></stream:features>"
)
PROXY_FEATURES_AFTER = (
    "<stream:features xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'>"
    "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://prosody.im' ver='x'/></stream:features>"
)


class _Proxy:
    """What xmpp-proxy does with what comes, whichever side opened the connection: it looks at text, not at XML."""

    backend: str  # what the server behind it would see of all this

    def opened(self: Any) -> None:
        """Nothing was handed on yet."""
        self.backend = ""
        super().opened()

    def text(self: Any, text: str) -> None:
        """Replace, and hand on."""
        if text.startswith("<open "):
            text = text.replace(NS_FRAMING_SERVER, "jabber:server").replace(NS_FRAMING, "jabber:client")
            text = "<stream:stream " + text.removeprefix("<open ").removesuffix("/>") + ">"
        elif text.startswith("<close "):
            text = "</stream:stream>"
        self.backend += text
        self.handed_on(text)

    def ponged(self: Any) -> None:
        """A pong that it never asked for is a fatal read error."""
        self.abort()

    def end(self: Any) -> None:
        """The other namespace, no Close frame, and the end of the connection."""
        self.send(PROXY_CLOSE)
        self.drop()


class ProxyServer(_Proxy, WebSocketPeer):
    """xmpp-proxy as the side that we connect to. Without a client certificate it drops the connection after `<open/>`."""

    answers = False
    authzid = ""
    authenticated = False

    def handed_on(self, text: str) -> None:
        """What the server behind it answers, rewritten."""
        if text.startswith("<stream:stream "):
            if self.transport.getPeerCertificate() is None:
                self.abort()
                return
            addresses = f"id='72deb' from='{attribute('to', text)}' to='{attribute('from', text)}'"
            self.send(PROXY_OPEN.format(attributes=addresses))
            self.send(PROXY_FEATURES_AFTER if self.authenticated else PROXY_FEATURES)
        elif text.startswith("<auth "):
            self.authzid = b64decode(re.findall(">([^<]*)<", text)[0]).decode()
            self.authenticated = True
            self.send(f"<success xmlns='{SASL}'/>")
        elif text == "</stream:stream>":
            self.end()


class ProxyClient(_Proxy, ClientPeer):
    """xmpp-proxy as the side that connects to us; `said` is what it sends once the stream is authenticated."""

    answers = False
    said: tuple[str, ...] = ()
    authenticated = False

    def opened(self) -> None:
        """The id is empty; it means nothing."""
        super().opened()
        self.open()

    def open(self) -> None:
        """The same header before and after SASL."""
        self.send(
            f"<open to='{OURS}' xml:lang='en' xmlns:stream='{STREAMS}' xmlns='{NS_FRAMING_SERVER}' "
            f"xmlns:db='{NS_FRAMING_SERVER}:dialback' id='' version='1.0' from='{THEIRS}'/>"
        )

    def handed_on(self, text: str) -> None:
        """What the server behind it does next."""
        if text.startswith("<stream:features") and "EXTERNAL" in text:
            self.send(external())
        elif text.startswith("<success"):
            self.authenticated = True
            self.open()
        elif text.startswith("<stream:features") and self.authenticated:
            self.send(*self.said)
        elif text == "</stream:stream>":
            self.end()


class PeerTubeServer(WebSocketPeer):
    """PeerTube as the side that we connect to: dialback alone. `call_back` opens a stream of its own to us."""

    call_back: Callable[[], Any]
    keys: dict[tuple[str, str], str]  # that it made, by stream id and receiving domain

    def __init__(self) -> None:
        super().__init__()
        self.accepted = False
        self._waiting: tuple[str, str] | None = None

    def text(self, text: str) -> None:
        """Prosody's answers, as its module writes them."""
        if text.startswith("<open "):
            self.send(
                f"<open id='peertube-1' xml:lang='en' to='{attribute('from', text)}' version='1.0' from='{THEIRS}' "
                f"xmlns:db='jabber:server:dialback' xmlns='{NS_FRAMING_SERVER}'/>",
                f"<stream:features xmlns:stream='{STREAMS}' xmlns='jabber:server'>"
                "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
                "<bidi xmlns='urn:xmpp:features:bidi'/></stream:features>",
            )
        elif text.startswith("<db:result"):
            peer = self.call_back()
            peer.ask(attribute("to", text), attribute("from", text), "peertube-1", re.findall(">([^<]+)<", text)[0], self)
        elif text.startswith("<db:verify"):
            made = self.keys.get((attribute("id", text), attribute("from", text)))
            verdict = "valid" if made is not None and f">{made}<" in text else "invalid"
            self.send(
                f"<db:verify from='{attribute('to', text)}' to='{attribute('from', text)}' id='{attribute('id', text)}' "
                f"type='{verdict}' xmlns='jabber:server'/>"
            )
        elif text == f"<close xmlns='{NS_FRAMING_SERVER}'/>":  # it knows no other
            self.send(f"<close xmlns='{NS_FRAMING_SERVER}'/>")
            self.write(CLOSING, b"\x03\xe8")

    def judged(self, valid: bool, sender: str) -> None:
        """What the authoritative server said of a key."""
        self.accepted = valid
        kind = "valid" if valid else "invalid"
        self.send(f"<db:result xmlns='jabber:server' from='{THEIRS}' to='{sender}' type='{kind}'/>")


class PeerTubeClient(ClientPeer):
    """PeerTube as the side that connects: nothing is masked, the header is that of TCP, and `db` is never declared."""

    mask = None
    keys: dict[tuple[str, str], str]
    said: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self._question: tuple[str, str, str, str] | None = None
        self._asker: PeerTubeServer | None = None
        self._id = ""

    def ask(self, sender: str, to: str, stream_id: str, key: str, asker: PeerTubeServer) -> None:
        """Verify a key instead of sending stanzas."""
        self._question, self._asker = (sender, to, stream_id, key), asker

    def opened(self) -> None:
        """Prosody resets what the module had put in place of the stream header."""
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='{STREAMS}' "
            f"xmlns:db='jabber:server:dialback' to='{OURS}' from='{THEIRS}' xml:lang='en' version='1.0'>"
        )

    def text(self, text: str) -> None:
        """Dialback, in one role or the other."""
        if text.startswith("<open "):
            self._id = attribute("id", text)
        elif text.startswith("<stream:features") and self._question is not None:
            sender, to, stream_id, key = self._question
            self.send(f"<db:verify xmlns='jabber:server' from='{sender}' to='{to}' id='{stream_id}'>{key}</db:verify>")
        elif text.startswith("<stream:features"):
            key = self.keys[self._id, OURS] = f"key-of-{self._id}"
            self.send(f"<db:result xmlns='jabber:server' to='{OURS}' from='{THEIRS}'>{key}</db:result>")
        elif text.startswith("<db:verify") and self._asker is not None:
            self._asker.judged("type='valid'" in text, attribute("from", text))
            self.send(f"<close xmlns='{NS_FRAMING_SERVER}'/>")
        elif text.startswith("<db:result") and "type='valid'" in text:
            self.send(*self.said)
