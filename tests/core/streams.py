"""Streams for tests: in each state, with each framing, and a peer that writes by hand."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from itertools import count

from xmppfed.core.element import Element
from xmppfed.core.events import Event, Pair
from xmppfed.core.framing import C2S, S2S, Framing, MessageFraming, Opening, Profile
from xmppfed.core.jid import JID
from xmppfed.core.negotiation import bind2, fast
from xmppfed.core.negotiation.bind import InitiatingBind, LegacySession, ReceivingBind
from xmppfed.core.negotiation.bind2 import InitiatingBind2
from xmppfed.core.negotiation.dialback import InitiatingDialback, ReceivingDialback, VerifyingDialback
from xmppfed.core.negotiation.exchange import Attempts, Choose
from xmppfed.core.negotiation.fast import InitiatingFast
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL, ReceivingSASL
from xmppfed.core.negotiation.sasl2 import InitiatingSASL2, ReceivingSASL2
from xmppfed.core.sasl.anonymous import AnonymousClient
from xmppfed.core.sasl.registry import create_server
from xmppfed.core.sasl.steps import Claim, ClientMechanism, Offer, ServerMechanism
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.core.streamframing import StreamFraming

__all__ = [
    "AUTHENTICATION",
    "BIND",
    "BIND2",
    "BIND_RESULT",
    "DIALBACK",
    "FIRST_LIMIT",
    "FRAMINGS",
    "LIMIT",
    "MECHANISMS",
    "PAIR",
    "USER_AGENT",
    "Client",
    "FramingType",
    "SecureClient",
    "Server",
    "ToPeer",
    "ToServer",
    "ToServer2",
    "Wired",
    "auth",
    "authenticate",
    "create",
    "features",
    "kinds",
    "result",
    "stanza",
]

FIRST_LIMIT, LIMIT = 10_000, 262_144
FramingType = type[MessageFraming] | type[StreamFraming]
FRAMINGS: tuple[FramingType, ...] = (MessageFraming, StreamFraming)
PAIR = Pair("a.example", "b.example")


def stanza(kind: str = "message", body: str = "hello", **attributes: str) -> Stanza:
    """A client's stanza with a body."""
    element = Element(kind, "jabber:client", attributes)
    element.add("body", text=body)
    return Stanza.from_element(element)


class Wired:
    """A stream under test, and how its peer writes."""

    profile: Profile = C2S
    receiving = True
    secure = False

    def __init__(self, framing: FramingType = MessageFraming, features: Sequence[Feature] = ()) -> None:
        ids = count(1)
        self.kind = framing
        self.peer: Framing = framing(self.profile, LIMIT)
        self.stream = Stream(
            framing(self.profile, FIRST_LIMIT),
            features,
            receiving=self.receiving,
            new_id=lambda: f"id{next(ids)}",
            limit=LIMIT,
            secure=self.secure,
        )

    def receive(self, *pieces: bytes | str) -> list[Event]:
        """What happens when the peer sends each piece."""
        return [event for piece in pieces for event in self.stream.receive(piece.encode() if isinstance(piece, str) else piece)]

    def sent(self) -> bytes:
        """All that was sent since the last look."""
        return b"".join(self.stream.data_to_send())

    def header(self, **changes: str | None) -> bytes:
        """The peer's stream header."""
        attributes: dict[str, str | None] = {"to": "b.example", "sender": "a.example", "version": "1.0", **changes}
        return self.peer.opening(Opening(**attributes))  # type: ignore[arg-type]  # the names are its fields

    def closing(self) -> bytes:
        """The end of the peer's stream."""
        return self.peer.closing()


def create(name: str) -> ServerMechanism:
    """Each mechanism, without channel bindings."""
    return create_server(name, "server-nonce", {})


class Client(Wired):
    """A stream that a client opened to us, without TLS, so that SASL2 is not offered."""

    def __init__(self, framing: FramingType = MessageFraming) -> None:
        super().__init__(framing)
        names, tokens = ("ANONYMOUS", "EXTERNAL"), ("HT-SHA-256-NONE",)
        self.attempts, self.bind = Attempts(), ReceivingBind()
        self.sasl = ReceivingSASL(names, create, self.attempts)
        inline = bind2.offer([]) + fast.offer(tokens)
        self.sasl2 = ReceivingSASL2(names, create, self.attempts, self.bind, tokens, inline)

    @property
    def features(self) -> list[Feature]:
        """What is offered."""
        return [self.sasl, self.sasl2, self.bind, LegacySession()]

    def header(self, **changes: str | None) -> bytes:
        """A client says nothing of itself."""
        return super().header(**{"sender": None, **changes})

    def opened(self) -> Client:
        """Up to our features."""
        self.receive(self.header())
        self.stream.accept("b.example", self.features)
        self.sent()
        return self

    def authenticated(self) -> Client:
        """Up to the features behind authentication."""
        self.opened().receive(auth("ANONYMOUS"))
        self.sasl.accept(self.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        self.receive(self.header())
        self.sent()
        return self

    def established(self) -> Client:
        """Up to stanzas."""
        self.authenticated().receive(self.bind_request())
        self.bind.accept(self.stream, JID("juliet", "b.example", "x"))
        self.stream.take_events()
        self.sent()
        assert self.stream.state is State.ESTABLISHED
        return self

    def bind_request(self, id: str = "1") -> bytes:
        """For a resource of its own."""
        bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind>"
        return f"<iq xmlns='jabber:client' type='set' id='{id}'>{bind}</iq>".encode()


class SecureClient(Client):
    """A client's stream where SASL2 is offered beside SASL."""

    secure = True

    def authenticated(self) -> SecureClient:
        """Up to the features behind authentication, without binding."""
        self.opened().receive(authenticate("ANONYMOUS"))
        self.sasl2.accept(self.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        self.stream.take_events()
        self.sent()
        return self


class Server(Wired):
    """A stream that another server opened to us."""

    profile = S2S

    def __init__(self, framing: FramingType = MessageFraming) -> None:
        super().__init__(framing)
        self.sasl = ReceivingSASL(["EXTERNAL"], create)
        self.dialback = ReceivingDialback()

    def opened(self) -> Server:
        """Up to our features."""
        self.receive(self.header())
        self.stream.accept("b.example", [self.sasl, self.dialback])
        self.sent()
        return self

    def established(self) -> Server:
        """Up to stanzas, by dialback."""
        self.opened().receive(result())
        self.dialback.answer(self.stream, PAIR, True)
        self.stream.take_events()
        self.sent()
        assert self.stream.state is State.ESTABLISHED
        return self


def _anonymous(offer: Offer) -> ClientMechanism | None:
    return AnonymousClient() if "ANONYMOUS" in offer.mechanisms else None


class ToServer(Wired):
    """A stream that we open as a client."""

    receiving = False

    def __init__(self, framing: FramingType = MessageFraming, resource: str = "x", choose: Choose = _anonymous) -> None:
        self.sasl = InitiatingSASL(choose)
        self.bind = InitiatingBind(resource)
        super().__init__(framing, [self.sasl, self.bind])

    def header(self, **changes: str | None) -> bytes:
        """The server's answer."""
        return super().header(**{"to": None, "sender": "b.example", "id": "s1", **changes})

    def opened(self) -> ToServer:
        """Our header is sent and answered."""
        self.stream.open(None, "b.example")
        self.receive(self.header())
        self.sent()
        return self


class ToServer2(ToServer):
    """The same by SASL2."""

    def __init__(
        self, framing: FramingType = MessageFraming, resource: str = "x", choose: Choose = _anonymous, used: str = ""
    ) -> None:
        """`used` is the mechanism of the token that we use, if we do."""
        self.bind2 = InitiatingBind2(resource, [Element("enable", "urn:x")])
        self.sasl2 = InitiatingSASL2(choose, [self.bind2, InitiatingFast(["HT-SHA-256-NONE"], used)], USER_AGENT)
        Wired.__init__(self, framing, [self.sasl2, self.bind2])


class ToPeer(Wired):
    """A stream that we open to another server."""

    profile = S2S
    receiving = False

    def __init__(
        self, framing: FramingType = MessageFraming, verifying: VerifyingDialback | None = None, before: Sequence[Feature] = ()
    ) -> None:
        """Features `before` dialback have their turn first."""
        self.dialback = InitiatingDialback(Pair("b.example", "a.example"), lambda pair, id: f"{pair.sender}>{pair.to}#{id}")
        super().__init__(framing, [*before, verifying or self.dialback])

    def header(self, **changes: str | None) -> bytes:
        """The other server's answer."""
        return super().header(**{"id": "s1", **changes})

    def opened(self) -> ToPeer:
        """Our header is sent and answered."""
        self.stream.open("b.example", "a.example")
        self.receive(self.header())
        self.sent()
        return self


def auth(mechanism: str, data: bytes | None = b"") -> bytes:
    """`<auth/>` with an initial response, if any."""
    text = "" if data is None else b64encode(data).decode() or "="
    return f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>".encode()


def authenticate(mechanism: str, data: bytes | None = b"", *more: str) -> bytes:
    """`<authenticate/>` with an initial response, if any, and what else is asked for."""
    initial = "" if data is None else f"<initial-response>{b64encode(data).decode()}</initial-response>"
    return f"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='{mechanism}'>{initial}{''.join(more)}</authenticate>".encode()


def result(sender: str = "a.example", to: str = "b.example", key: str = "key", more: str = "") -> bytes:
    """`<db:result/>`."""
    return f"<db:result xmlns:db='jabber:server:dialback' from='{sender}' to='{to}'{more}>{key}</db:result>".encode()


def features(*inside: str) -> bytes:
    """`<stream:features/>`."""
    return f"<stream:features xmlns:stream='http://etherx.jabber.org/streams'>{''.join(inside)}</stream:features>".encode()


USER_AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"
AUTHENTICATION = "<authentication xmlns='urn:xmpp:sasl:2'><mechanism>%s</mechanism><inline>%s</inline></authentication>"
BIND2 = "<bind xmlns='urn:xmpp:bind:0'/>"
MECHANISMS = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>%s</mechanism></mechanisms>"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
BIND_RESULT = (
    b"<iq xmlns='jabber:client' type='result' id='bind'>"
    b"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>a@b/c</jid></bind></iq>"
)
DIALBACK = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"


def kinds(events: Iterable[Event]) -> list[type[Event]]:
    """What happened, without the details."""
    return [type(event) for event in events]
