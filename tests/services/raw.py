"""A client that says what a test writes, and nothing by itself: for rules about what a peer may do wrong."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Literal

from OpenSSL import SSL
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import Peer, frame, handshake
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_FRAMING, NS_STREAM
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.steps import ClientMechanism
from xmppfed.core.tree import parse_tree
from xmppfed.errors import NS_SASL, NS_STREAM_ERRORS
from xmppfed.net.certificates import LoadedCertificate
from xmppfed.net.peer import channel_bindings
from xmppfed.net.tls import TrustRoots, client_connection_creator, tls_endpoint
from xmppfed.testing.configuring import Settings
from xmppfed.testing.federation import PASSWORD, Federation
from xmppfed.testing.network import Network

CAPULET, MONTAGUE = "capulet.example", "montague.example"
JULIET = f"juliet@{CAPULET}"
BIND = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{}</bind></iq>"
_BIND = "{urn:ietf:params:xml:ns:xmpp-bind}"


class _Preceded:
    """An endpoint whose connections begin with some bytes of their own."""

    def __init__(self, inner: Any, before: bytes) -> None:
        self._inner, self._before = inner, before

    def connect(self, factory: Any) -> Any:
        real = factory.buildProtocol

        def build(address: Any) -> Any:
            made = real(address)
            connected = made.makeConnection

            def connect(transport: Any) -> None:
                transport.write(self._before)
                connected(transport)

            made.makeConnection = connect
            return made

        factory.buildProtocol = build
        return self._inner.connect(factory)


class Raw:
    """A WebSocket to `address`, opened."""

    def __init__(
        self,
        network: Network,
        address: str = "127.0.0.2",
        *,
        path: str = "/xmpp-websocket",
        sni: str = CAPULET,
        tls: Literal["1.2", "1.3"] | None = "1.3",
        certificate: LoadedCertificate | None = None,
        source: str = "127.1.1.1",
        before: bytes = b"",
        **headers: str | None,
    ) -> None:
        """`headers` replace those of the handshake; `certificate` is shown to the server, and `before` is said before TLS."""
        self.network = network
        self._read = 0
        endpoint: Any = _Preceded(TCP4ClientEndpoint(network.reactor, address, 443, bindAddress=(source, 0)), before)
        if tls is not None:
            trust = TrustRoots(system=False)
            if tls == "1.2":
                trust.client_context(certificate).set_max_proto_version(SSL.TLS1_2_VERSION)
            endpoint = tls_endpoint(network.reactor, endpoint, client_connection_creator(sni, certificate, trust))
        made: list[Any] = []
        endpoint.connect(Factory.forProtocol(Peer)).addBoth(made.append)
        network.pump()
        self.peer: Peer = made[0]
        self.transport: Any = self.peer.transport
        self.write(handshake("GET", path, "HTTP/1.1", **headers))

    # What is said.

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)
        self.network.pump()

    def send(self, *messages: str) -> list[Element]:
        """Send messages, one after another without waiting; returns what came back."""
        self.write(b"".join(frame(one.encode()) for one in messages))
        return self.take()

    def open(self, to: str | None = CAPULET, version: str | None = "1.0", more: str = "") -> list[Element]:
        """Send `<open/>`; returns what came back."""
        attributes = {"to": to, "version": version}
        text = "".join(f" {name}='{value}'" for name, value in attributes.items() if value is not None)
        return self.send(f"<open xmlns='{NS_FRAMING}'{text}{more}/>")

    def auth(self, mechanism: ClientMechanism) -> Element:
        """Log in; returns `<success/>`, `<failure/>` or a stream error."""

        def coded(data: bytes) -> str:
            return b64encode(data).decode() or "="

        answer = self.sasl("auth", coded(mechanism.start() or b""), mechanism.name)
        while answer.name == "challenge":
            answer = self.sasl("response", coded(mechanism.respond(b64decode(answer.text))))
        if answer.name == "success":
            mechanism.finish(b64decode(answer.text))
        return answer

    def sasl(self, name: str, text: str, mechanism: str = "") -> Element:
        """Send one element of SASL; returns the first thing that came back, `<nothing/>` if nothing did."""
        named = f" mechanism='{mechanism}'" if mechanism else ""
        came = self.send(f"<{name} xmlns='{NS_SASL}'{named}>{text}</{name}>")
        return came[0] if came else Element("nothing", "")

    def scram(self, username: str = "juliet", password: str = PASSWORD, name: str = "SCRAM-SHA-256", **options: Any) -> Element:
        """Log in by SCRAM, with the bindings of this stream."""
        bindings = options.pop("bindings", None)
        found = self.bindings() if bindings is None and name.endswith("-PLUS") else bindings or {}
        return self.auth(ScramClient(name, username, password, "n" * 20, found, **options))

    def plain(self, username: str = "juliet", password: str = PASSWORD, authzid: str = "") -> Element:
        """Log in by PLAIN."""
        return self.auth(PlainClient(username, password, authzid))

    def bind(self, resource: str = "") -> Element:
        """Open the stream again and ask for a resource; returns the answer."""
        self.open()
        asked = f"<resource>{resource}</resource>" if resource else ""
        (answer,) = self.send(BIND.format(asked))
        return answer

    def login(self, username: str = "juliet", resource: str = "balcony") -> str:
        """Open, log in and bind; returns the full address."""
        self.open()
        assert self.plain(username).name == "success"
        return jid_of(self.bind(resource))

    # What came.

    def take(self) -> list[Element]:
        """The messages that came since the last look."""
        texts = self.peer.texts[self._read :]
        self._read += len(texts)
        return [parse_tree(text) for text in texts]

    def bindings(self) -> dict[str, bytes]:
        """The channel bindings as the client sees them."""
        shown = self.transport.getHandle().get_peer_certificate(as_cryptography=True)
        return channel_bindings(self.transport, shown)

    @property
    def close_code(self) -> int | None:
        """The code of the server's Close frame."""
        return next(iter(self.peer.close_codes), None)

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self.peer.lost

    def drop(self) -> None:
        """Go away without a word."""
        if not self.lost:
            self.transport.resumeProducing()
            self.transport.abortConnection()
            self.network.pump()


def jid_of(answer: Element) -> str:
    """The address in the answer to a request to bind."""
    bind = answer.child(f"{_BIND}bind")
    jid = bind.child(f"{_BIND}jid") if bind else None
    assert jid is not None, answer.to_xml()
    return jid.text


def mechanisms(came: list[Element]) -> list[str]:
    """The mechanisms among the features that came."""
    offered = came[-1].child(f"{{{NS_SASL}}}mechanisms")
    return [one.text for one in offered.elements()] if offered else []


def condition(element: Element) -> str:
    """The condition in a stream error, a stanza error or a SASL failure; fails when it is none of these."""
    if element.name in ("iq", "message", "presence"):
        element = next(one for one in element.elements() if one.name == "error")
    assert element.name in ("error", "failure"), element.to_xml()
    return next(one.name for one in element.elements() if one.name != "text")


def stream_error(came: list[Element]) -> str:
    """The condition of the stream error that came, and that `<close/>` was all that followed it."""
    error, close = came[-2:]
    assert error.tag == f"{{{NS_STREAM}}}error", error.to_xml()
    assert close.tag == f"{{{NS_FRAMING}}}close", close.to_xml()
    return next(one.name for one in error.elements() if one.namespace == NS_STREAM_ERRORS)


class RawCase(SynchronousTestCase):
    """A server for capulet.example in memory, where juliet has an account."""

    domains: tuple[str, ...] = (CAPULET,)
    configuration: Mapping[str, Settings] = {}
    options: Mapping[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.federation = Federation(*self.domains, configuration=self.configuration, **self.options)
        self.addCleanup(self.federation.cleanup)
        self.federation.account(JULIET)
        self.network = self.federation.network
        self.server = self.federation.server(CAPULET)

    def raw(self, **options: Any) -> Raw:
        """A new client; it is dropped at the end."""
        made = Raw(self.network, **options)
        self.addCleanup(made.drop)
        return made

    def logs(self) -> list[LogEvent]:
        """What is logged from now on."""
        events: Any = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        found: list[LogEvent] = events
        return found
