"""Tests for `xmppfed.core.stream`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import (
    AUTHENTICATION,
    BIND,
    BIND2,
    BIND_RESULT,
    DIALBACK,
    FIRST_LIMIT,
    FRAMINGS,
    LIMIT,
    MECHANISMS,
    PAIR,
    Client,
    FramingType,
    SecureClient,
    Server,
    ToPeer,
    ToServer,
    ToServer2,
    Wired,
    auth,
    authenticate,
    features,
    kinds,
    result,
    stanza,
)
from xmppfed.core.events import (
    Authenticated,
    AuthFailed,
    AuthRequested,
    BindRequested,
    Bound,
    DialbackRequested,
    Established,
    Event,
    KeysRequested,
    OpenRequested,
    StanzaReceived,
    StreamClosed,
    StreamFailed,
    StreamOpened,
    VerifyRequested,
)
from xmppfed.core.framing import C2S, MessageFraming, Opening
from xmppfed.core.jid import JID
from xmppfed.core.negotiation import bind2
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.sasl.steps import Claim
from xmppfed.core.stream import State, Stream
from xmppfed.core.streamframing import StreamFraming
from xmppfed.errors import SASLCondition, SASLError, StanzaCondition, StanzaError, StreamCondition, StreamError

RESET = StreamError(StreamCondition.RESET)
ERROR = (
    b"<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"
    b"<%b xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>%b</stream:error>"
)
TEXT = b"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>because</text>"


class BothFramings(SynchronousTestCase):
    """What holds for messages holds for bytes."""

    def failed(self, events: list[Event], condition: StreamCondition) -> None:
        """The stream has ended in this error of ours, and nothing else happened."""
        self.assertEqual(kinds(events), [StreamFailed])
        [event] = events
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, condition)
        self.assertTrue(event.sent)


class ReceivingTests(BothFramings):
    """We are the receiving entity."""

    def test_header(self) -> None:
        """The owner is asked, and the answer is a header with an id, and features (RFC 6120, 4.3.2 and 4.7)."""
        for framing in FRAMINGS:
            wired = Server(framing)
            self.assertEqual(
                wired.receive(wired.header(lang="de")), [OpenRequested(Opening("a.example", "b.example", "", "1.0", "de"))]
            )
            self.assertEqual(wired.sent(), b"")
            wired.stream.accept("b.example", [wired.dialback])
            header, *rest = wired.stream.data_to_send()
            self.assertEqual(header, wired.peer.opening(Opening("b.example", "a.example", "id1", "1.0", "de")))
            self.assertEqual(rest, [features(DIALBACK)])
            self.assertEqual((wired.stream.id, wired.stream.remote, wired.stream.lang), ("id1", "a.example", "de"))

    def test_accepted_once(self) -> None:
        """A second answer changes nothing."""
        wired = Client().opened()
        wired.stream.accept("c.example", [])
        self.assertEqual((wired.sent(), wired.stream.local), (b"", "b.example"))

    def test_hostile_language(self) -> None:
        """A language that is none is dropped: it would stand in other people's stanzas."""
        for lang in ("d e", "a" * 9, "de-", "'", "de\n"):
            wired = Client()
            wired.receive(wired.header(lang=lang))
            self.assertIsNone(wired.stream.lang)

    def test_versions(self) -> None:
        """1.0 and later are one language; earlier and none are not spoken here (RFC 6120, 4.7.5)."""
        for version, supported in (
            ("1.0", True),
            ("1.1", True),
            ("2", True),
            ("0.9", False),
            (None, False),
            ("x", False),
            ("\u0661", False),
            ("-1", False),
            (".", False),
        ):
            wired = Client()
            events = wired.receive(wired.header(version=version))
            if supported:
                self.assertEqual(kinds(events), [OpenRequested])
            else:
                self.failed(events, StreamCondition.UNSUPPORTED_VERSION)

    def test_error_before_our_header(self) -> None:
        """Whoever gets a stream error gets our header first (RFC 6120, 4.9.1.2), in good order to the end."""
        for framing in FRAMINGS:
            wired = Client(framing)
            self.failed(
                wired.receive("<message xmlns='jabber:client'/>"),
                StreamCondition.NOT_AUTHORIZED if framing is MessageFraming else StreamCondition.INVALID_NAMESPACE,
            )
            header, error, closing = wired.stream.data_to_send()
            self.assertEqual(header, wired.peer.opening(Opening(id="id1", version="1.0")))
            self.assertTrue(error.startswith(b"<stream:error "))
            self.assertEqual(closing, wired.closing())
            self.assertIs(wired.stream.state, State.ABANDONED)

    def test_refused_host(self) -> None:
        """The owner refuses the header: the answer names what was asked for."""
        wired = Client()
        wired.receive(wired.header(to="c.example"))
        wired.stream.fail(StreamError(StreamCondition.HOST_UNKNOWN))
        self.failed(wired.stream.take_events(), StreamCondition.HOST_UNKNOWN)
        self.assertIn(b" from='c.example' ", wired.sent())

    def test_restart(self) -> None:
        """Behind authentication a new header gets new features, and the same id never again (RFC 6120, 6.4.6)."""
        for framing in FRAMINGS:
            wired = Client(framing).opened()
            wired.receive(auth("ANONYMOUS"))
            wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
            self.assertIs(wired.stream.state, State.RESTARTING)
            wired.sent()
            self.assertEqual(wired.receive(wired.header()), [Authenticated(JID("juliet", "b.example"), "ANONYMOUS")])
            sent = wired.sent()
            self.assertIn(BIND.encode(), sent)
            self.assertNotIn(b"mechanism", sent)
            self.assertEqual((wired.stream.id, wired.stream.mechanism), ("id2", "ANONYMOUS"))

    def test_sasl_cross_host_restart(self) -> None:
        """sasl-cross-host-restart: the addresses of the first header hold, and so does the version."""
        for change, condition in (
            ({"to": "c.example"}, StreamCondition.NOT_AUTHORIZED),
            ({"to": None}, StreamCondition.NOT_AUTHORIZED),
            ({"version": None}, StreamCondition.UNSUPPORTED_VERSION),
        ):
            for framing in FRAMINGS:
                wired = Client(framing).opened()
                wired.receive(auth("ANONYMOUS"))
                wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
                wired.stream.take_events()
                self.failed(wired.receive(wired.header(**change)), condition)

    def test_another_sender_at_restart(self) -> None:
        """Neither may the sender change; a client may name itself once it is known (RFC 6120, 4.7.1)."""
        for first, second, allowed in (
            ("a.example", "c.example", False),
            ("a.example", "a.example", True),
            (None, "j@b.example", True),
            ("a.example", None, True),
        ):
            wired = Server()
            wired.receive(wired.header(sender=first))
            wired.stream.accept("b.example", [wired.sasl])
            wired.receive(auth("EXTERNAL"))
            wired.sasl.accept(wired.stream, JID("", "a.example"), Claim("EXTERNAL"))
            wired.stream.take_events()
            events = wired.receive(wired.header(sender=second))
            if allowed:
                self.assertEqual(events, [Established()])
            else:
                self.failed(events, StreamCondition.NOT_AUTHORIZED)

    def test_established_by_the_restart(self) -> None:
        """Between servers nothing is left to negotiate behind EXTERNAL; a client has to bind first."""
        wired = Server().opened()
        wired.receive(auth("EXTERNAL"))
        wired.sasl.accept(wired.stream, JID("", "a.example"), Claim("EXTERNAL"))
        self.assertEqual(kinds([*wired.stream.take_events(), *wired.receive(wired.header())]), [Authenticated, Established])
        self.assertIs(wired.stream.state, State.ESTABLISHED)
        self.assertIs(Client().authenticated().stream.state, State.NEGOTIATING)

    def test_limit_grows(self) -> None:
        """A stranger may send 10 000 bytes, an authenticated peer as much as was agreed on."""
        for framing in FRAMINGS:
            wired = Client(framing).opened()
            self.assertEqual(wired.stream.framing.limit, FIRST_LIMIT)
            self.assertEqual(Client(framing).established().stream.framing.limit, LIMIT)


class InitiatingTests(BothFramings):
    """We are the initiating entity."""

    def test_header(self) -> None:
        """Our header goes out; the answer and the features are judged (RFC 6120, 4.3)."""
        for framing in FRAMINGS:
            wired = ToServer(framing)
            wired.stream.open(None, "b.example", "de")
            self.assertEqual(wired.sent(), wired.peer.opening(Opening(to="b.example", version="1.0", lang="de")))
            self.assertEqual(wired.receive(wired.header()), [StreamOpened(Opening("b.example", None, "s1", "1.0"))])
            self.assertEqual(wired.receive(features(MECHANISMS % "ANONYMOUS")), [])
            self.assertEqual(wired.sent(), auth("ANONYMOUS"))
            self.assertEqual(wired.stream.id, "s1")

    def test_opened_once(self) -> None:
        """A second header is not sent."""
        wired = ToServer().opened()
        wired.stream.open(None, "c.example")
        self.assertEqual((wired.sent(), wired.stream.remote, wired.stream.local), (b"", "b.example", ""))
        self.assertEqual(ToPeer().opened().stream.local, "b.example")

    def test_wrong_server(self) -> None:
        """A server that says it is another is not spoken to (RFC 6120, 4.9.3.6); its name is compared as an address."""
        for sender, right in (
            ("b.example", True),
            ("B.Example", True),
            (None, True),
            ("c.example", False),
            ("@", False),
            ("x@b.example", False),
        ):
            wired = ToServer()
            wired.stream.open(None, "b.example")
            events = wired.receive(wired.header(sender=sender))
            if right:
                self.assertEqual(kinds(events), [StreamOpened])
            else:
                self.failed(events, StreamCondition.INVALID_FROM)

    def test_old_server(self) -> None:
        """A server of before 1.0 has no features to wait for."""
        wired = ToServer()
        wired.stream.open(None, "b.example")
        self.failed(wired.receive(wired.header(version=None)), StreamCondition.UNSUPPORTED_VERSION)

    def test_nothing_for_us(self) -> None:
        """Where nothing is offered that we can use, the error says what was."""
        for offered, text in ((MECHANISMS % "DIGEST-MD5", "xmpp-sasl}mechanisms"), ("", "nothing")):
            wired = ToServer().opened()
            events = wired.receive(features(offered))
            self.failed(events, StreamCondition.UNSUPPORTED_FEATURE)
            self.assertIn(text, str(events))

    def test_login(self) -> None:
        """Authentication, restart, binding, stanzas."""
        for framing in FRAMINGS:
            wired = ToServer(framing).opened()
            wired.receive(features(MECHANISMS % "ANONYMOUS"))
            events = wired.receive("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", wired.header(), features(BIND))
            self.assertEqual(kinds(events), [Authenticated, StreamOpened])
            request = b"".join(wired.stream.data_to_send()[2:])
            self.assertIn(b"<resource>x</resource>", request)
            bound = BIND_RESULT.decode().replace("a@b/c", "j@b.example/x")
            self.assertEqual(wired.receive(bound), [Established(), Bound(JID("j", "b.example", "x"))])

    def test_established_without_more(self) -> None:
        """Between servers authentication is all there is."""
        wired = ToPeer().opened()
        wired.stream.authenticated = True
        self.assertEqual(wired.receive(features()), [Established()])

    def test_advance_before_features(self) -> None:
        """A stream that has seen no features has been offered nothing."""
        wired = ToPeer()
        wired.stream.open("b.example", "a.example")
        wired.stream.authenticated = True
        wired.stream.advance()
        self.assertEqual(wired.stream.take_events(), [Established()])


class WaitingTests(BothFramings):
    """While the owner decides, nothing more is read; what came is read after the answer (RFC 6120, 4.3.5 and 10.1)."""

    def test_stanza_behind_bind(self) -> None:
        """A client may send its bind request and its presence in one go."""
        for framing in FRAMINGS:
            wired = Client(framing).authenticated()
            presence = b"<presence xmlns='jabber:client'/>"
            pieces = [wired.bind_request(), presence] if framing is MessageFraming else [wired.bind_request() + presence]
            self.assertEqual(wired.receive(*pieces), [BindRequested("x")])
            wired.bind.accept(wired.stream, JID("juliet", "b.example", "x"))
            self.assertEqual(kinds(wired.stream.take_events()), [Established, Bound, StanzaReceived])

    def test_all_at_once(self) -> None:
        """A client that waits for nothing logs in all the same."""
        for framing in FRAMINGS:
            wired = Client(framing)
            pieces = [
                wired.header(),
                auth("ANONYMOUS"),
                wired.header(),
                wired.bind_request(),
                b"<presence xmlns='jabber:client'/>",
                wired.closing(),
            ]
            if framing is StreamFraming:
                pieces = [b"".join(pieces)]
            events = wired.receive(*pieces)
            self.assertEqual(kinds(events), [OpenRequested])
            wired.stream.accept("b.example", [wired.sasl, wired.bind])
            self.assertEqual(kinds(wired.stream.take_events()), [AuthRequested])
            wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
            self.assertEqual(kinds(wired.stream.take_events()), [Authenticated, BindRequested])
            wired.bind.accept(wired.stream, JID("juliet", "b.example", "x"))
            self.assertEqual(kinds(wired.stream.take_events()), [Established, Bound, StanzaReceived, StreamClosed])

    def test_bounded(self) -> None:
        """More than one element's worth of bytes does not wait."""
        for framing in FRAMINGS:
            wired = Client(framing)
            wired.receive(wired.header())
            events = wired.receive(*[b"<presence xmlns='jabber:client' id='%b'/>" % (b"x" * 1000)] * 12)
            self.failed(events, StreamCondition.POLICY_VIOLATION)
        wired = Client(StreamFraming)
        wired.receive(wired.header())
        self.assertEqual(wired.receive(b" " * FIRST_LIMIT), [])
        self.failed(wired.receive(b" "), StreamCondition.POLICY_VIOLATION)

    def test_answer_after_the_end(self) -> None:
        """Who answers too late answers nobody."""
        wired = Client().opened()
        wired.receive(auth("ANONYMOUS"))
        wired.stream.connection_lost()
        wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        wired.stream.accept("b.example", [])
        self.assertEqual((wired.stream.take_events(), wired.sent()), ([], b""))
        self.assertFalse(wired.stream.authenticated)

    def test_failed_while_waiting(self) -> None:
        """The owner may also end the stream; what waited is dropped."""
        wired = Client()
        wired.receive(wired.header(), auth("ANONYMOUS"))
        wired.stream.fail(RESET)
        self.failed(wired.stream.take_events(), StreamCondition.RESET)

    def test_error_behind_items(self) -> None:
        """What came before bytes that cannot be read is delivered, in whatever pieces."""
        wired = Client(StreamFraming).established()
        events = wired.receive(b"<presence/><presence/>\xff<presence/>")
        self.assertEqual(kinds(events), [StanzaReceived, StanzaReceived, StreamFailed])


class ClosingTests(BothFramings):
    """The end of a stream (RFC 6120, 4.4; RFC 7395, 3.6)."""

    def test_peer_closes(self) -> None:
        """We close too, and it is over; stanzas before the end are delivered."""
        for framing in FRAMINGS:
            wired = Client(framing).established()
            events = wired.receive(b"<presence xmlns='jabber:client'/>", wired.closing())
            self.assertEqual(kinds(events), [StanzaReceived, StreamClosed])
            self.assertEqual(wired.sent(), wired.closing())
            self.assertIs(wired.stream.state, State.CLOSED)

    def test_we_close(self) -> None:
        """What the peer still sends is delivered until it closes as well; what it negotiates is not answered."""
        for framing in FRAMINGS:
            wired = Server(framing).established()
            wired.stream.close()
            self.assertEqual(wired.sent(), wired.closing())
            self.assertIs(wired.stream.state, State.CLOSING)
            self.assertEqual(kinds(wired.receive("<presence xmlns='jabber:server'/>")), [StanzaReceived])
            self.assertEqual(wired.receive(result("c.example"), "<r xmlns='urn:xmpp:sm:3'/>"), [])
            self.assertEqual(kinds(wired.receive(wired.closing())), [StreamClosed])
            self.assertEqual(wired.sent(), b"")

    def test_closed_twice(self) -> None:
        """Our side closes once."""
        wired = Client().established()
        wired.stream.close()
        wired.stream.close()
        self.assertEqual(wired.sent(), wired.closing())

    def test_before_it_is_established(self) -> None:
        """Nothing more is expected of the peer but its end."""
        for framing in FRAMINGS:
            wired = Client(framing).opened()
            wired.stream.close()
            self.assertIs(wired.stream.state, State.ABANDONED)
            self.assertEqual(wired.receive(auth("ANONYMOUS"), "<message xmlns='jabber:client'/>"), [])
            self.assertEqual(wired.receive(wired.closing()), [StreamClosed()])
            self.assertEqual(wired.sent(), wired.closing())

    def test_before_any_header(self) -> None:
        """There is nothing to close, in each state without a header of ours."""
        waiting, idle, asked = Client(), ToServer(), Client()
        asked.receive(asked.header())
        for wired in (waiting, idle, asked):
            wired.stream.close()
            self.assertEqual((wired.stream.take_events(), wired.sent()), ([StreamClosed()], b""))
            self.assertIs(wired.stream.state, State.CLOSED)

    def test_peer_closes_first_of_all(self) -> None:
        """A peer that ends the stream before it begins gets no stream."""
        wired = Client()
        self.assertEqual((wired.receive(wired.closing()), wired.sent()), ([StreamClosed()], b""))

    def test_see_other_uri(self) -> None:
        """A client is sent elsewhere instead of being answered, and as the client we are told where (RFC 7395, 3.6.1)."""
        wired = Client()
        wired.receive(wired.header())
        wired.stream.close("wss://c.example/")
        [closing] = wired.stream.data_to_send()
        self.assertIn(b" see-other-uri='wss://c.example/'", closing)
        client = ToServer()
        client.stream.open(None, "b.example")
        self.assertEqual(client.receive(closing), [StreamClosed("wss://c.example/")])

    def test_nothing_behind_our_end(self) -> None:
        """Nothing is sent once our side is closed, and who tries is told."""
        for framing in FRAMINGS:
            for end in ("close", "fail", "lost"):
                wired = Server(framing).established()
                self.assertTrue(wired.stream.send(stanza()))
                if end == "close":
                    wired.stream.close()
                elif end == "fail":
                    wired.stream.fail(RESET)
                else:
                    wired.stream.connection_lost()
                wired.sent()
                self.assertFalse(wired.stream.send(stanza()))
                wired.dialback.answer_verify(wired.stream, PAIR, "1", True)
                self.assertEqual(wired.sent(), b"")

    def test_nothing_happens_when_closed(self) -> None:
        """What comes behind the end is not even read."""
        for framing in FRAMINGS:
            wired = Client(framing).established()
            wired.receive(wired.closing())
            wired.sent()
            self.assertEqual(wired.receive("<presence xmlns='jabber:client'/>", b"\0", wired.closing()), [])
            wired.stream.fail(RESET)
            wired.stream.close()
            self.assertEqual((wired.stream.take_events(), wired.sent()), ([], b""))
            wired.stream.framing.feed = self.fail  # type: ignore[method-assign,assignment]  # it must not be called
            wired.receive("<presence xmlns='jabber:client'/>")


class ErrorTests(BothFramings):
    """Stream errors (RFC 6120, 4.9)."""

    def test_ours(self) -> None:
        """The error, our end, and no more; the cause is kept."""
        wired = Client().established()
        error = StreamError(StreamCondition.CONFLICT, "Text.")
        wired.stream.fail(error)
        wired.stream.fail(RESET)
        self.assertEqual(wired.stream.take_events(), [StreamFailed(error, sent=True)])
        self.assertEqual(wired.stream.data_to_send(), [error.to_xml().encode(), wired.closing()])
        self.assertIs(wired.stream.failure, error)

    def test_while_closing(self) -> None:
        """Behind our end there is no place for an error; the stream is given up."""
        wired = Client().established()
        wired.stream.close()
        wired.sent()
        self.failed(wired.receive("<message xmlns='jabber:server'/>"), StreamCondition.INVALID_NAMESPACE)
        self.assertEqual(wired.sent(), b"")
        self.assertIs(wired.stream.state, State.ABANDONED)

    def test_the_peers(self) -> None:
        """Its condition and words are told, and our side is closed."""
        for framing in FRAMINGS:
            for wired in (Client(framing).opened(), Client(framing).established(), ToServer(framing).opened()):
                [event] = wired.receive(ERROR % (b"conflict", TEXT))
                assert isinstance(event, StreamFailed)
                self.assertEqual(
                    (event.error.condition, event.error.text, event.sent), (StreamCondition.CONFLICT, "because", False)
                )
                self.assertEqual(wired.sent(), wired.closing())
                self.assertIs(wired.stream.state, State.ABANDONED)
                self.assertIsNone(wired.stream.failure)

    def test_unknown_condition(self) -> None:
        """It counts as undefined, with its name as the text (RFC 6120, 4.9.2)."""
        for inside, text in ((b"new-condition", "new-condition"), (b"text", "")):
            wired = Client().established()
            [event] = wired.receive(ERROR % (inside, b""))
            assert isinstance(event, StreamFailed)
            self.assertEqual((event.error.condition, event.error.text), (StreamCondition.UNDEFINED_CONDITION, text))

    def test_other_elements_in_an_error(self) -> None:
        """What an application adds is no condition, wherever it stands."""
        wired = Client().established()
        [event] = wired.receive((ERROR % (b"reset", b"")).replace(b"><reset", b"><conflict xmlns='urn:x'/><reset"))
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, StreamCondition.RESET)

    def test_error_after_our_end(self) -> None:
        """An error may still come while we wait for the peer's end; later ones are dropped."""
        wired = Client().established()
        wired.stream.close()
        self.assertEqual(kinds(wired.receive(ERROR % (b"reset", b""))), [StreamFailed])
        self.assertEqual(wired.receive(ERROR % (b"reset", b"")), [])
        self.assertEqual(wired.receive(wired.closing()), [StreamClosed()])


class ViolationTests(BothFramings):
    """What is not in the table."""

    def test_in_each_state(self) -> None:
        """Before authentication whatever comes is not authorized; afterwards an element without meaning is unsupported."""
        unknown, message = b"<x xmlns='urn:x'/>", b"<message xmlns='jabber:client'/>"
        early, late = StreamCondition.NOT_AUTHORIZED, StreamCondition.UNSUPPORTED_STANZA_TYPE
        sent = ToServer()
        sent.stream.open(None, "b.example")

        def negotiating() -> ToServer:
            wired = ToServer().opened()
            wired.receive(features(MECHANISMS % "ANONYMOUS"))
            return wired

        for wired, data, condition in (
            (Client(), unknown, early),
            (Client(), features(), early),
            (Client(), ERROR % (b"reset", b""), early),
            (ToServer(), message, early),
            (sent, message, early),
            (ToServer().opened(), message, early),
            (ToServer().opened(), unknown, early),
            (ToServer().opened(), ToServer().header(), early),
            (negotiating(), features(), early),
            (negotiating(), message, early),
            (Client().opened(), unknown, early),
            (Client().opened(), message, early),
            (Client().opened(), Client().header(), early),
            (Client().authenticated(), unknown, late),
            (Client().authenticated(), message, early),
            (Client().established(), unknown, late),
            (Client().established(), features(), late),
            (Client().established(), Client().header(), early),
        ):
            self.failed(wired.receive(data), condition)

    def test_restart_is_awaited(self) -> None:
        """Behind success only a header may come."""
        wired = Client().opened()
        wired.receive(auth("ANONYMOUS"))
        wired.sasl.accept(wired.stream, JID("juliet", "b.example"), Claim("ANONYMOUS"))
        wired.stream.take_events()
        self.failed(wired.receive("<presence xmlns='jabber:client'/>"), StreamCondition.NOT_AUTHORIZED)

    def test_feature_refuses(self) -> None:
        """A feature's error ends the stream like any other."""

        class Refusing(Feature):
            tags = frozenset({"{urn:x}x"})

            def receive(self, stream: Stream, element: object) -> None:
                raise StreamError(StreamCondition.BAD_FORMAT)

        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [Refusing()])
        self.failed(wired.receive("<x xmlns='urn:x'/>"), StreamCondition.BAD_FORMAT)


class DispatchTests(SynchronousTestCase):
    """Iqs that belong to a feature."""

    def test_by_the_first_child(self) -> None:
        """An iq goes to the feature that knows its child, if it takes it; other stanzas with that child are stanzas."""
        taken = []

        class Taking(Feature):
            tags = frozenset({"{urn:x}x"})

            def receive_stanza(self, stream: Stream, stanza: object) -> bool:
                taken.append(stanza)
                return len(taken) < 2

        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [Taking(), Taking()])
        wired.stream.establish()
        wired.stream.take_events()
        iq = "<iq xmlns='jabber:client'><x xmlns='urn:x'/></iq>"
        self.assertEqual(wired.receive(iq), [])
        self.assertEqual(
            kinds(wired.receive(iq, iq.replace("iq", "message"), "<iq xmlns='jabber:client'/>")), [StanzaReceived] * 3
        )
        self.assertEqual(len(taken), 3)


# Every state, every role, whatever comes.

PIECES = [
    b"<message xmlns='jabber:client'><body/></message>",
    b"<message xmlns='jabber:server' from='a.example' to='b.example'/>",
    b"<iq xmlns='jabber:client' type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    BIND_RESULT,
    b"<iq xmlns='jabber:client' type='error' id='bind'><error type='auth'/></iq>",
    b"<iq xmlns='jabber:client' type='set' id='2'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>",
    auth("ANONYMOUS"),
    auth("EXTERNAL", None),
    auth("EXTERNAL", b"a.example"),
    auth("X"),
    authenticate("ANONYMOUS"),
    authenticate("ANONYMOUS", b"", BIND2),
    authenticate("EXTERNAL", None, BIND2),
    authenticate("EXTERNAL", b"a@b", BIND2, "<fast xmlns='urn:xmpp:fast:0'/>"),
    authenticate("HT-SHA-256-NONE", b"a\0b", BIND2, "<fast xmlns='urn:xmpp:fast:0' count='0'/>"),
    b"<response xmlns='urn:xmpp:sasl:2'/>",
    b"<response xmlns='urn:xmpp:sasl:2'>YUBi</response>",
    b"<abort xmlns='urn:xmpp:sasl:2'/>",
    b"<next xmlns='urn:xmpp:sasl:2' task='X'/>",
    b"<challenge xmlns='urn:xmpp:sasl:2'>YQ==</challenge>",
    b"<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>a@b</authorization-identifier></success>",
    b"<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>a@b/c</authorization-identifier>"
    b"<bound xmlns='urn:xmpp:bind:0'/><token xmlns='urn:xmpp:fast:0' token='t'/></success>",
    b"<success xmlns='urn:xmpp:sasl:2'><bound xmlns='urn:xmpp:bind:0'/></success>",
    b"<failure xmlns='urn:xmpp:sasl:2'><aborted xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
    features(AUTHENTICATION % ("ANONYMOUS", BIND2), BIND),
    b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</response>",
    b"<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>?</response>",
    b"<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>=</challenge>",
    b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
    b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><aborted/></failure>",
    features(),
    features(BIND),
    features(MECHANISMS % "ANONYMOUS", DIALBACK),
    ERROR % (b"reset", TEXT),
    result(),
    result("b.example", "a.example"),
    result(more=" type='valid'"),
    result("@"),
    b"<db:verify xmlns:db='jabber:server:dialback' from='a.example' to='b.example' id='1'>key</db:verify>",
    b"<x xmlns='urn:x'/>",
    b"</stream:stream>",
    b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>",
    b"<close xmlns='urn:ietf:params:xml:ns:xmpp-framing-server'/>",
    b" ",
    b"<",
    b"\0",
    b"&",
    b"<!-- -->",
]
MAKERS = [Client, SecureClient, Server, ToServer, ToServer2, ToPeer]
ACTIONS = st.sampled_from(["header", "again", "answer", "refuse", "close", "other", "fail", "lost", "send"]) | st.sampled_from(
    PIECES
)
REFUSALS = SASLError(SASLCondition.NOT_AUTHORIZED), StanzaError(StanzaCondition.CONFLICT)


def answer(wired: Wired, event: Event, accept: bool) -> None:
    """What an owner does with each event that asks."""
    stream = wired.stream
    match event:
        case OpenRequested() if accept:
            more: list[Feature] = []
            if isinstance(wired, Client):
                more = wired.features
            elif isinstance(wired, Server):
                more = [wired.sasl, wired.dialback]
            stream.accept("b.example", more)
        case OpenRequested():
            stream.fail(StreamError(StreamCondition.HOST_UNKNOWN))
        case AuthRequested(claim, request) if isinstance(wired, Client | Server):
            asking = wired.attempts.current if isinstance(wired, Client) else wired.sasl
            if asking is None:
                return  # its stream has gone on: the answer comes too late
            if accept:
                asking.accept(stream, JID("a", "b.example", "c" if bind2.read(request) else ""), claim)
            else:
                asking.reject(stream, REFUSALS[0])
        case BindRequested() if isinstance(wired, Client):
            if accept:
                wired.bind.accept(stream, JID("a", "b", "c"))
            else:
                wired.bind.reject(stream, REFUSALS[1])
        case DialbackRequested(pair) if isinstance(wired, Server):
            wired.dialback.answer(stream, pair, accept)
        case VerifyRequested(pair, _, stream_id) if isinstance(wired, Server):
            wired.dialback.answer_verify(stream, pair, stream_id, accept)


class AnyInputTests(SynchronousTestCase):
    """Any input in any state ends in a known state."""

    @given(st.sampled_from(MAKERS), st.sampled_from(FRAMINGS), st.lists(ACTIONS, max_size=25), st.booleans())
    def test_invariants(self, make: type[Wired], framing: FramingType, actions: list[str | bytes], begin: bool) -> None:
        """Whoever speaks, in whatever order: no exception, no stanza before it may pass, one end, nothing behind it."""
        wired = make(framing)
        stream = wired.stream
        asked: list[Event] = []
        sent: list[bytes] = []
        if begin:
            actions = ["header", "answer", *actions]
        proved = ended = 0
        for action in actions:
            before = stream.state
            events = self.act(wired, action, asked)
            asked += [
                event
                for event in events
                if isinstance(
                    event, OpenRequested | AuthRequested | BindRequested | DialbackRequested | VerifyRequested | KeysRequested
                )
            ]
            proved += kinds(events).count(Authenticated)
            ended += sum(kinds(events).count(kind) for kind in (StreamFailed, StreamClosed))
            self.assertIsInstance(stream.state, State)
            if before is State.CLOSED:
                self.assertIs(stream.state, State.CLOSED)
                self.assertEqual(events, [])
            if StanzaReceived in kinds(events):
                self.assertEqual(proved, 1)
                self.assertTrue(stream.authenticated)
            out = stream.data_to_send()
            if before in (State.CLOSING, State.ABANDONED, State.CLOSED):
                self.assertEqual(out, [])
            sent += out
        self.assertLessEqual(proved, 1)
        self.assertLessEqual(ended, 2)
        self.assertLessEqual(len([piece for piece in sent if piece.startswith(b"<stream:error ")]), 1)
        ends = [piece for piece in sent if piece.startswith((b"<close ", b"</stream:stream>"))]
        self.assertEqual(ends, sent[-1:] if stream.state in (State.CLOSING, State.ABANDONED) else ends[:1])

    def act(self, wired: Wired, action: str | bytes, asked: list[Event]) -> list[Event]:
        stream = wired.stream
        match action:
            case bytes():
                return stream.receive(action)
            case "header" if not wired.receiving and stream.state is State.IDLE:
                stream.open("b.example", "a.example" if isinstance(wired, ToPeer) else "b.example")
            case "header":
                return stream.receive(wired.header())
            case "again":
                return stream.receive(wired.header(to="c.example"))
            case "answer" | "refuse":
                if asked:
                    answer(wired, asked.pop(), action == "answer")
            case "close":
                stream.close()
            case "other" if wired.kind is MessageFraming:
                stream.close("wss://c.example/")
            case "fail":
                stream.fail(RESET)
            case "lost":
                stream.connection_lost()
            case "send" if stream.state is State.ESTABLISHED:
                stream.send(stanza())
        return stream.take_events()

    @given(st.sampled_from(MAKERS), st.lists(st.sampled_from(PIECES), max_size=12), st.data())
    def test_any_cut(self, make: type[Wired], pieces: list[bytes], data: st.DataObject) -> None:
        """Any cut of the bytes gives the same events and the same answers, whoever answers at once."""
        text = b"".join([make(StreamFraming).header(), *pieces])
        cuts = data.draw(st.just(list(range(len(text)))) | st.lists(st.integers(0, len(text)), max_size=6).map(sorted))
        self.assertEqual(self.run_through(make, text, cuts), self.run_through(make, text, []))

    def run_through(self, make: type[Wired], text: bytes, cuts: list[int]) -> tuple[list[str], State]:
        """What happens when the owner answers at once; dialback is answered some time, and the peer does not wait for it."""
        wired = make(StreamFraming)
        if not wired.receiving:
            wired.stream.open("b.example", "a.example" if make is ToPeer else "b.example")
        seen = []
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            events = wired.stream.receive(text[start:end])
            while events:
                seen += [repr(event) for event in events]
                for event in events:
                    if isinstance(event, OpenRequested | AuthRequested | BindRequested):
                        answer(wired, event, True)
                events = wired.stream.take_events()
        return seen, wired.stream.state


class ProfileTests(SynchronousTestCase):
    """A stream knows what carries it."""

    def test_values(self) -> None:
        """And what its owner said of it."""
        stream = Stream(MessageFraming(C2S, 1), receiving=True, new_id=str, limit=2, secure=True)
        self.assertTrue(stream.secure)
        self.assertFalse(Client().stream.secure)
        self.assertEqual((stream.limit, stream.framing.limit), (2, 1))
        self.assertEqual(kinds([AuthFailed("", REFUSALS[0])]), [AuthFailed])
