"""A client for tests: logs in, sends what is written down, and shows what came."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from xmppfed.core.events import AuthFailed, BindFailed, Bound, Event, StanzaReceived, StreamClosed, StreamFailed, TokenReceived
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.bind import InitiatingBind
from xmppfed.core.negotiation.bind2 import InitiatingBind2
from xmppfed.core.negotiation.fast import InitiatingFast
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL
from xmppfed.core.negotiation.sasl2 import InitiatingSASL2
from xmppfed.core.sasl.hashed_token import token_mechanisms
from xmppfed.core.sasl.registry import Credentials, Token, create_client
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.core.stanza import Stanza
from xmppfed.core.stream import State, Stream
from xmppfed.errors import StreamError
from xmppfed.net.connection import Connection
from xmppfed.net.dial import Line
from xmppfed.net.peer import channel_bindings
from xmppfed.testing.patterns import Written, fits, shown, stanza
from xmppfed.testing.wire import Link
from xmppfed.timeouts import Timeouts

__all__ = ["Client", "LoginFailed"]

_LIMIT = 1_000_000


class LoginFailed(AssertionError):
    """A client could not log in; the text says what was tried and why it was refused."""


class Client:
    """A client on its way to be `jid`, or logged in. `Federation.client` makes it.

    Each method that says something pumps the network afterwards, so that what follows from it has happened when the
    method returns. What a test reads:

    - `received`: the stanzas that came and were not taken yet, the oldest first.
    - `events`: all that happened on the stream.
    - `failure`: the stream error that ended it, of either side, or None.
    - `see_other_uri`: where the server sent it with the end of the stream, or None.
    - `closed`: why the connection is gone; None while it stands.
    - `address`: the IP address that it comes from.
    - `token`: what it logs in by next time, if it has been given one.
    """

    def __init__(self, jid: JID, credentials: Credentials, address: str, pump: Callable[[], None], device: str = "") -> None:
        """With a `device`, which is a UUID, it logs in by SASL2."""
        self.jid = jid
        self.device = device
        self.token = credentials.token
        self.address = address
        self.received: list[Stanza] = []
        self.events: list[Event] = []
        self.failure: StreamError | None = None
        self.see_other_uri: str | None = None
        self.closed: str | None = None
        self._credentials = credentials
        self._pump = pump
        self._ids = 0
        self._begun = False

    # What a test says.

    def send(self, written: Written) -> None:
        """Send a stanza. Without `from`, as clients do, unless the test names one."""
        self.connection.send(stanza(written))
        self._pump()

    def send_raw(self, data: bytes) -> None:
        """Send one piece as it is, whatever it is: over WebSocket one message."""
        self._wire.write([data])
        self._pump()

    def request(self, written: Written) -> Stanza:
        """Send an iq of type get or set, with an id if it has none, and take its answer: a result or an error.

        Raises AssertionError when none came at once; where the wire takes its time, `send`, let time pass and `take`.
        """
        asked = stanza(written)
        self._ids += 1
        asked = asked.with_attributes(id=asked.id or f"request-{self._ids}")
        self.send(asked)
        return self._take(lambda one: one.id == asked.id and one.kind == "iq" and not one.is_request, f"an answer to {asked}")

    def close(self) -> None:
        """Log out: close the stream in good order."""
        self.connection.close()
        self._pump()

    def cut(self) -> None:
        """Drop the connection without a word."""
        self.connection.cut("the test has cut it")
        self._pump()

    def leave(self) -> None:
        """At the end of a test: drop what connection there is, if any."""
        if self._begun and self.closed is None:
            self.cut()

    # What a test looks for.

    def take(self, pattern: Written) -> Stanza:
        """The oldest stanza that fits, which leaves `received`; others stay. Raises AssertionError, which shows what came.

        A pattern is a kind (`"presence"`), or a stanza whose attributes, children and text must be there.
        """
        return self._take(lambda one: fits(pattern, one), str(pattern))

    def expect(self, pattern: Written) -> Stanza:
        """As `take`, but nothing else may have come before it."""
        if self.received and not fits(pattern, self.received[0]):
            raise AssertionError(f"{self.jid} wanted as the next stanza\n  {pattern}\nand received\n{shown(self.received)}")
        return self.take(pattern)

    def expect_nothing(self) -> None:
        """Raises AssertionError when something came that was not taken."""
        if self.received:
            raise AssertionError(f"{self.jid} wanted nothing more and received\n{shown(self.received)}")

    def _take(self, wanted: Callable[[Stanza], bool], what: str) -> Stanza:
        for one in self.received:
            if wanted(one):
                self.received.remove(one)
                return one
        end = f"\nThe connection is gone: {self.closed}." if self.closed is not None else ""
        raise AssertionError(f"{self.jid} wanted\n  {what}\nand received\n{shown(self.received)}{end}")

    # The stream.

    def begin(self, line: Line, clock: IReactorTime) -> None:
        """Open the stream over a wire; the rest follows when the network is pumped."""
        stream = Stream(
            line.framing,
            self._features(line.wire),
            receiving=False,
            new_id=lambda: secrets.token_hex(8),
            limit=_LIMIT,
            secure=True,
        )
        self._begun = True
        self._wire: Any = line.wire
        self.connection = Connection(stream, line.wire, lambda _: self, clock, Timeouts(), Timeouts().client_silence)
        line.attach(self.connection)
        stream.open(None, self.jid.domain)
        self.connection.answered()

    def _features(self, wire: Any) -> list[Feature]:
        """How it logs in: by SASL2 all is asked for at once, a token too."""
        bindings = channel_bindings(wire.transport, None)

        def choose(offer: Offer) -> ClientMechanism:
            return create_client(offer, self._credentials, secrets.token_urlsafe(18), bindings, encrypted=True)

        if not self.device:
            return [InitiatingSASL(choose), InitiatingBind(self.jid.resource)]
        token, bind = self._credentials.token, InitiatingBind2(self.jid.resource)
        fast = InitiatingFast(token_mechanisms(bindings), token.mechanism if token else "")
        return [InitiatingSASL2(choose, [bind, fast], self.device), bind]

    @property
    def established(self) -> bool:
        """Whether it is logged in and bound."""
        return self.closed is None and self.connection.stream.state is State.ESTABLISHED

    def handle(self, event: Event) -> None:
        """Remember what happened."""
        self.events.append(event)
        match event:
            case StanzaReceived(received):
                self.received.append(received)
            case Bound(jid):
                self.jid = jid
            case TokenReceived(mechanism, token):
                self.token = Token(mechanism, token)
            case StreamFailed(error):
                self.failure = error
            case StreamClosed(see_other_uri):
                self.see_other_uri = see_other_uri
            case _:
                pass  # steps of the login

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        self.closed = reason

    def owns(self, link: Link) -> bool:
        """Whether a connection of the network is this client's: `network.freeze(juliet.owns)`."""
        return link.client[0] == self.address

    def complaints(self) -> str:
        """Why it could not log in, as far as it was told."""
        refusals = [f"{event.mechanism}: {event.error}" for event in self.events if isinstance(event, AuthFailed)]
        refusals += [f"resource: {event.error}" for event in self.events if isinstance(event, BindFailed)]
        refusals += [f"stream error: {self.failure}"] if self.failure is not None else []
        return "; ".join([*refusals, f"connection: {self.closed}"])
