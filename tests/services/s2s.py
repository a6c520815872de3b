"""What the tests of federation share: a server of ours, and other servers that are written by hand."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.net.websockets import handshake
from tests.services.peers import ClientPeer, Listener, PeerTLS, WebSocketPeer, dial
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_FRAMING_SERVER, NS_STREAM, NS_STREAM_ERRORS
from xmppfed.core.tree import parse_tree
from xmppfed.net.certificates import LoadedCertificate, load_certificate
from xmppfed.net.issuing import Authority
from xmppfed.services.federation import Federation as Policy
from xmppfed.testing.client import Client
from xmppfed.testing.configuring import Settings
from xmppfed.testing.federation import START, Federation

OURS, THEIRS, THIRD = "capulet.example", "montague.example", "verona.example"
JULIET, ROMEO = f"juliet@{OURS}/balcony", f"romeo@{THEIRS}/orchard"
ADDRESS, THEIR_ADDRESS = "127.0.0.2", "127.0.9.1"
URL = f"wss://{THEIRS}/xmpp-websocket"
BODY = "<body>Art thou not Romeo?</body>"

FRAMED = f"xmlns='{NS_FRAMING_SERVER}'"
CLOSE = f"<close {FRAMED}/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
EXTERNAL = f"<mechanisms {SASL}><mechanism>EXTERNAL</mechanism></mechanisms>"
DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
DB = "xmlns:db='jabber:server:dialback'"


def opening(sender: str | None = THEIRS, to: str | None = OURS, more: str = "") -> str:
    """`<open/>` of another server."""
    addresses = {"from": sender, "to": to}
    text = "".join(f" {name}='{value}'" for name, value in addresses.items() if value is not None)
    return f"<open {FRAMED} {DB}{text} version='1.0'{more}/>"


def features(*offers: str) -> str:
    """`<stream:features/>`."""
    return f"<stream:features xmlns:stream='{NS_STREAM}'>{''.join(offers)}</stream:features>"


def external(authzid: str = THEIRS) -> str:
    """`<auth/>` by a certificate."""
    return f"<auth {SASL} mechanism='EXTERNAL'>{b64encode(authzid.encode()).decode() or '='}</auth>"


def message(sender: str = ROMEO, to: str = JULIET, body: str = "hello", more: str = "") -> str:
    """A message between servers."""
    return f"<message xmlns='jabber:server' from='{sender}' to='{to}' type='chat'{more}><body>{body}</body></message>"


def result(sender: str = THEIRS, to: str = OURS, key: str = "key") -> str:
    """A claim by dialback."""
    return f"<db:result {DB} from='{sender}' to='{to}'>{key}</db:result>"


def attribute(name: str, text: str) -> str:
    """The first attribute of that name in some XML."""
    found = re.search(rf" {name}=['\"]([^'\"]*)['\"]", text)
    return found[1] if found else ""


def stream_error(messages: list[str]) -> tuple[str, str]:
    """Condition and text of the stream error among these messages, which `<close/>` must follow."""
    (at,) = [number for number, text in enumerate(messages) if text.startswith("<stream:error")]
    error = parse_tree(messages[at].encode())
    assert messages[at + 1 :] == [CLOSE], messages
    condition = next(one.name for one in error.elements() if one.namespace == NS_STREAM_ERRORS and one.name != "text")
    return condition, "".join(one.text for one in error.elements() if one.name == "text")


def offered(messages: list[str]) -> list[str]:
    """What stands in the features among these messages: mechanisms by name, and the names of other features; without what
    every server is offered, whoever it is."""
    (tree,) = [parse_tree(text.encode()) for text in messages if text.startswith("<stream:features")]
    return [mechanism.text for one in tree.elements() if one.name == "mechanisms" for mechanism in one.elements()] + [
        one.name for one in tree.elements() if one.name not in ("mechanisms", "bidi", "limits", "sm")
    ]


class Script(WebSocketPeer):
    """A server that agrees to everything, one way of authenticating (`offer`) at a time."""

    offer = EXTERNAL
    authenticated = False

    def text(self, text: str) -> None:
        """Answer as a server would."""
        if text.startswith("<open "):
            self.opening(text)
        elif text.startswith("<auth "):
            self.authenticated = True
            self.send(f"<success {SASL}/>")
        elif text.startswith("<db:result "):
            self.result(text)
        elif text.startswith("<db:verify "):
            self.verify(text)
        elif text.startswith("<close "):
            self.closing()

    def opening(self, text: str) -> None:
        """Its answer to our header."""
        self.send(opening(attribute("to", text), attribute("from", text), " id='their-stream'"))
        self.send(features() if self.authenticated else features(self.offer))

    def result(self, text: str) -> None:
        """Believes us."""
        self.send(f"<db:result {DB} from='{attribute('to', text)}' to='{attribute('from', text)}' type='valid'/>")

    def verify(self, text: str, kind: str = "valid") -> None:
        """Made every key."""
        addresses = f"from='{attribute('to', text)}' to='{attribute('from', text)}' id='{attribute('id', text)}'"
        self.send(f"<db:verify {DB} {addresses} type='{kind}'/>")

    def closing(self) -> None:
        """Closes as well."""
        self.send(CLOSE)

    @property
    def stanzas(self) -> list[Element]:
        """What came of messages, presence and iqs."""
        trees = [parse_tree(text.encode()) for text in self.messages if text.startswith(("<message", "<presence", "<iq"))]
        return [tree for tree in trees if tree.namespace == "jabber:server"]

    @property
    def bodies(self) -> list[str]:
        """The bodies of messages."""
        return [child.text for tree in self.stanzas for child in tree.elements() if child.name == "body"]


class DialbackScript(Script):
    """A server that believes in dialback alone."""

    offer = DIALBACK


class S2SCase(SynchronousTestCase):
    """A server for capulet.example in memory, and an authority that it trusts for the certificates of others."""

    domains: tuple[str, ...] = (OURS,)
    more: tuple[str, ...] = ()  # domains that capulet.example's server has besides, each with a certificate of its own
    trust = "external-or-dialback"
    routes: Mapping[str, tuple[str, ...]] = {THEIRS: (THEIR_ADDRESS,)}
    configuration: Mapping[str, Settings] = {}
    options: Mapping[str, Any] = {}

    def setUp(self) -> None:
        """Start it."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self._files = count()
        self.federation = self._start()
        self.addCleanup(self.federation.cleanup)
        self.network = self.federation.network
        self.server = self.federation.server(OURS)
        self.policy: Policy = self._policy()

    def _start(self) -> Federation:
        self.now = datetime.fromtimestamp(START, UTC)  # what the clock of a federation says at first
        self.authority = Authority(self.now)
        anchors = self.folder / "theirs.pem"
        anchors.write_bytes(self.authority.pem)
        routes = {
            domain: {"url": f"wss://{domain}/xmpp-websocket", "addresses": list(addresses)}
            for domain, addresses in self.routes.items()
        }
        every: dict[str, Any] = {
            "trust_anchors": ["authority.pem", str(anchors.absolute())],
            "federation": {"trust": self.trust, "static_routes": routes},
        }
        ours = {"domains": {domain: {"certificate": self._own(domain)} for domain in self.more}}
        return Federation(*self.domains, configuration={"*": every, OURS: ours, **self.configuration}, **self.options)

    def _own(self, domain: str) -> str:
        path = self.folder / f"{domain}.pem"
        path.write_bytes(self.authority.issue(domain))
        return str(path.absolute())

    def _policy(self) -> Policy:
        assert self.server.federation is not None
        return self.server.federation

    # Others.

    def issue(self, domain: str = THEIRS, *, authority: Authority | None = None, **details: Any) -> LoadedCertificate:
        """A certificate of the authority that is trusted."""
        return self.loaded((authority or self.authority).issue(domain, **details))

    def loaded(self, pem: bytes) -> LoadedCertificate:
        """What stands in a PEM file."""
        path = self.folder / f"{next(self._files)}.pem"
        path.write_bytes(pem)
        return load_certificate(path)

    def listen(
        self,
        kind: Callable[[], Any] = Script,
        address: str = THEIR_ADDRESS,
        certificate: LoadedCertificate | None = None,
        tls: PeerTLS | None = None,
    ) -> Listener:
        """Another server, which shows a certificate for montague.example unless told."""
        listener = Listener(self.network, address, tls or PeerTLS(certificate or self.issue()), kind)
        self.addCleanup(listener.close)
        return listener

    def dial(
        self,
        certificate: LoadedCertificate | None = None,
        *,
        tls: PeerTLS | None = None,
        kind: Callable[[], Any] = ClientPeer,
        path: str = "/xmpp-websocket",
        source: str | None = None,
        pump: bool = True,
        **fields: Any,
    ) -> Any:
        """Another server that has connected to us, or is about to, with `fields` in its HTTP header."""
        request = handshake(path=path, Host=OURS, **fields)
        peer = dial(self.network, ADDRESS, tls or PeerTLS(certificate, sni=OURS), request, source=source, kind=kind)
        self.addCleanup(peer.abort)
        if pump:
            self.network.pump()
        return peer

    def say(self, peer: Any, *texts: str) -> list[str]:
        """Send messages one after another; returns what came back."""
        for text in texts:
            peer.send(text)
            self.network.pump()
        taken: list[str] = peer.take()
        return taken

    def authenticated(self, certificate: LoadedCertificate | None = None, domain: str = THEIRS, **options: Any) -> Any:
        """Another server that has authenticated by its certificate."""
        peer = self.dial(certificate or self.issue(domain), **options)
        came = self.say(peer, opening(domain), external(domain), opening(domain))
        assert f"<success {SASL}/>" in came, came
        return peer

    # Ours.

    def juliet(self) -> Client:
        """Who is at home here."""
        return self.federation.client(JULIET)

    def write(self, client: Client, to: str = ROMEO, body: str = BODY) -> None:
        """A message to another domain."""
        client.send(f"<message to='{to}' type='chat' id='m'>{body}</message>")

    def bounced(self, client: Client) -> tuple[str, str]:
        """Condition and text of the error that a message came back with."""
        returned = client.take("<message type='error'/>").element
        error = next(one for one in returned.elements() if one.name == "error")
        return next(one.name for one in error.elements()), "".join(one.text for one in error.elements() if one.name == "text")

    def logged(self) -> list[str]:
        """What is logged from now on, as text."""
        lines: list[str] = []

        def observe(event: LogEvent) -> None:
            lines.append(formatEvent(event) + "".join(str(value) for value in event.values()))

        globalLogPublisher.addObserver(observe)  # type: ignore[arg-type]  # any callable is one
        self.addCleanup(globalLogPublisher.removeObserver, observe)  # type: ignore[arg-type]  # as above
        return lines
