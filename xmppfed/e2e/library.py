"""End-to-end streams (XEP-0246) for programs: `E2E` is one end, which calls peers and is called by them; a server is not needed.

    node = E2E(reactor, identity=load_identity(path), trust=FileTrustStore(other_path))
    peer = await node.open("display@desk", "tcp:192.0.2.7:5298")
    peer.send(message("21.5"))
    async for stanza in peer:
        ...

Streams come and go below that: a stanza for a peer without a stream waits until there is one, for a minute at most, and what
could not be sent is told. Needs the extra `e2e` (`pip install xmppfed[e2e]`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, TypeAlias

from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from xmppfed.core.element import Element
from xmppfed.core.framing import E2E as PROFILE
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.connecting import Caller, Listener, Local, Place, place_of
from xmppfed.e2e.host import StreamEnded
from xmppfed.e2e.identity import Identity
from xmppfed.e2e.inbox import Inbox
from xmppfed.e2e.introductions import Introductions
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.requests import Requests
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Policy, Trust, TrustStore, bare_name, name_key, same
from xmppfed.errors import ConfigError, StanzaCondition, StanzaError
from xmppfed.net.admission import Admission
from xmppfed.net.tls import TrustRoots
from xmppfed.net.websocketwire import printable
from xmppfed.routing.queues import cost
from xmppfed.timeouts import Timeouts

__all__ = ["E2E", "Peer", "body_of", "iq", "message"]

Unsent = Callable[[Stanza, StanzaError], None]
Written: TypeAlias = Stanza | Element
_TIMEOUTS = Timeouts()


def message(body: str, type: str = "chat") -> Stanza:
    """A message that says something."""
    element = Element("message", PROFILE.content, {"type": type})
    element.add("body", text=body)
    return Stanza.from_element(element)


def iq(type: str, payload: Element) -> Stanza:
    """A request: `get` or `set`."""
    return Stanza.from_element(Element("iq", PROFILE.content, {"type": type}, [payload]))


def body_of(stanza: Stanza) -> str:
    """What a message says; empty where it says nothing."""
    body = stanza.element.child(f"{{{stanza.namespace}}}body")
    return body.text if body is not None else ""


class Peer:
    """Somebody at the other end, whichever stream leads there."""

    def __init__(self, node: E2E, name: str) -> None:
        self.name = name
        self._node = node

    @property
    def trust(self) -> Trust | None:
        """How it is known on the stream that stands; None while there is none."""
        stream = self._node.stream(self.name)
        return None if stream is None else stream.trust

    def send(self, stanza: Written) -> None:
        """Send a stanza, or let it wait for a stream. What cannot be sent is told to the node's `unsent`."""
        self._node.send(stanza, self.name)

    async def request(self, iq: Written, seconds: float = 30.0) -> Stanza:
        """The result of an iq of type get or set, which is sent with an id of ours. Raises StanzaError: the peer's own, or one
        that says why there is no answer."""
        return await self._node.request(iq, self.name, seconds)

    def __aiter__(self) -> Inbox[Stanza]:
        """What it says from now on, or since it was opened, until it is closed here; streams may come and go meanwhile."""
        return self._node.inbox(self.name)

    def close(self) -> None:
        """End its stream in good order, and its iteration once all is taken that came."""
        self._node.leave(self.name)


class E2E:
    """One end, under one address: it listens, opens, pairs, and hears everybody whom it has not opened:
    `async for peer, stanza in node`.

    What is not taken waits, up to 1 MiB for each peer that was opened, and as much for all others together; what comes on top is
    answered with `resource-constraint`, for whoever waits for an answer must not wait behind what nobody reads.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        identity: Identity,
        trust: TrustStore,
        policy: Policy = Policy.PAIRED,
        address: str = "",
        unsent: Unsent | None = None,
        roots: TrustRoots | None = None,
        timeouts: Timeouts = _TIMEOUTS,
        limit: int = 262_144,
    ) -> None:
        """`address` says who we are, where the identity has several. `unsent` hears of each stanza that could not be sent, and
        why; without, the log does. `roots` are the authorities that we believe; without, those of the system. `limit` is the
        longest stanza in bytes. Raises ConfigError."""
        self.address = _own(identity, address)
        self._reactor = reactor
        self._unsent = unsent or self._log_unsent
        self._most = timeouts.queue_bytes
        self._local = Local(reactor, timeouts, roots or TrustRoots(), limit)
        self._admission = Admission()
        self._places: dict[str, Place] = {}
        self._inboxes: dict[str, Inbox[Stanza]] = {}
        self._others: Inbox[tuple[Peer, Stanza]] = Inbox(self._most)
        self._requests = Requests(reactor)
        self._peers = Peers(self._local, self.address, identity.certificate, trust, policy, self, self)
        self._pairing = Introductions(self._local, self._peers, trust)
        self._caller = Caller(self._local, self._peers)
        self._ports: list[IListeningPort] = []
        self._closed = False

    # Streams.

    async def listen(self, endpoint: IStreamServerEndpoint | str) -> IListeningPort:
        """Take streams there: an endpoint, or its description (`tcp:5298`)."""
        where = serverFromString(self._reactor, endpoint) if isinstance(endpoint, str) else endpoint
        port = await where.listen(Listener(self._local, self._host, self._admission).factory)
        self._ports.append(port)
        return port

    async def open(self, name: str, place: Place | str = "") -> Peer:
        """A peer with whom a stream stands. `place` is an endpoint, its description (`tcp:192.0.2.7:5298`) or the URL of a
        WebSocket; it is remembered, and not needed again, nor for who has called us. Raises StreamEnded, which says why not."""
        self._remember(name, place)
        known = name_key(name) in self._inboxes
        peer = Peer(self, bare_name(name))
        self.inbox(name)  # what it says at once is its own already
        try:
            if self.stream(name) is None:
                await self._caller.call(peer.name, self.endpoint(name))
        except StreamEnded:
            if not known:
                del self._inboxes[name_key(name)]
            raise
        return peer

    async def close(self) -> None:
        """Listen no more, return what waits, end all streams in good order, and then all iterations."""
        self._closed = True
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        self._admission.dismiss()
        self._peers.stop()
        await self._local.stop()
        self._others.close()
        for inbox in self._inboxes.values():
            inbox.close()

    async def __aenter__(self) -> E2E:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    # Pairing.

    def show_code(self) -> str:
        """A code for somebody to type at a peer, good for one attempt within five minutes. Raises PairingFailed: there were three
        within an hour."""
        return self._pairing.show()

    async def paired(self) -> str:
        """The name of the peer that has paired by the code that is shown, once it has. Raises PairingFailed."""
        return await self._pairing.outcome()

    async def pair(self, name: str, code: str, place: Place | str = "") -> str:
        """Pair with a peer that shows this code; the name by which it is known from now on. Raises PairingFailed."""
        self._remember(name, place)
        return await self._pairing.enter(bare_name(name), code)

    # Stanzas.

    def __aiter__(self) -> Inbox[tuple[Peer, Stanza]]:
        """What is said by those whom we have not opened."""
        return self._others

    def inbox(self, name: str) -> Inbox[Stanza]:
        """See `Peer.__aiter__`."""
        inbox = self._inboxes.setdefault(name_key(name), Inbox(self._most))
        if self._closed:
            inbox.close()
        return inbox

    def stream(self, name: str) -> PeerStream | None:
        """The stream with a peer, if one stands."""
        return self._peers.stream(name)

    def send(self, stanza: Written, to: str) -> None:
        """See `Peer.send`."""
        made = stanza if isinstance(stanza, Stanza) else Stanza.from_element(stanza)
        self._peers.send(made.with_attributes(to=made.attributes.get("to", to)), to)

    async def request(self, iq: Written, to: str, seconds: float) -> Stanza:
        """See `Peer.request`."""
        asked = iq if isinstance(iq, Stanza) else Stanza.from_element(iq)
        if not asked.is_request:
            raise ValueError(f"Found a {asked.kind} of type {asked.type}; wanted an iq of type get or set, which has an answer.")
        sent, answer = self._requests.ask(name_key(to), asked, seconds)
        self.send(sent, to)
        return await answer

    def leave(self, name: str) -> None:
        """See `Peer.close`."""
        if (stream := self.stream(name)) is not None:
            stream.close()
        if (inbox := self._inboxes.pop(name_key(name), None)) is not None:
            inbox.close()

    # What `Peers` tells and asks.

    def received(self, peer: PeerStream, stanza: Stanza) -> None:
        """See `Audience.received`."""
        key = name_key(peer.name)
        if self._requests.answered(key, stanza):
            return
        own = self._inboxes.get(key)
        size = cost(stanza)
        kept = self._others.put((Peer(self, peer.name), stanza), size) if own is None else own.put(stanza, size)
        if not kept and stanza.kind != "presence" and stanza.type not in ("error", "result"):
            text = "Too much was not taken yet."
            peer.send(stanza.error(StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "wait", text)))

    def returned(self, stanza: Stanza, error: StanzaError) -> None:
        """See `Audience.returned`."""
        to = name_key(stanza.attributes["to"])
        if not (stanza.is_request and self._requests.failed(to, error, stanza.id or "")):
            self._unsent(stanza, error)

    def met(self, peer: PeerStream) -> None:
        """See `Audience.met`."""

    def parted(self, name: str) -> None:
        """See `Audience.parted`."""

    def endpoint(self, name: str) -> Place:
        """See `Whereabouts.endpoint`."""
        if (place := self._places.get(name_key(name))) is None:
            raise StreamEnded(
                f"nobody has said where {name} is, and it has not called; wanted a place such as tcp:192.0.2.7:5298"
            )
        return place

    async def names_at(self, address: str) -> Collection[str] | None:
        """See `Whereabouts.names_at`."""
        return None

    def _host(self, to: str | None) -> Peers | None:
        return self._peers if to is None or same(to, self.address) else None

    def _remember(self, name: str, place: Place | str) -> None:
        if place != "":
            self._places[name_key(name)] = place_of(self._reactor, place) if isinstance(place, str) else place

    def _log_unsent(self, stanza: Stanza, error: StanzaError) -> None:
        self.log.warn(
            "{kind} to {peer} was not sent: {reason}",
            kind=stanza.kind,
            peer=printable(stanza.attributes["to"]),
            reason=printable(str(error)),
        )


def _own(identity: Identity, address: str) -> str:
    """Who we are."""
    found = ", ".join(identity.addresses)
    if not address and len(identity.addresses) > 1:
        raise ConfigError(f"found a certificate for {found}; wanted one address, or to be told which of them is meant")
    if address and not any(same(address, one) for one in identity.addresses):
        raise ConfigError(f"found a certificate for {found}; wanted one for {address}")
    return address or identity.addresses[0]
