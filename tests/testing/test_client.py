"""Clients of a test: what they say, and how they complain when something else came than was wanted."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.element import Element
from xmppfed.core.events import BindFailed
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.sasl.registry import Credentials, Token
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition
from xmppfed.testing.client import Client, LoginFailed
from xmppfed.testing.federation import Federation

JULIET, NURSE = "juliet@capulet.example/balcony", "nurse@capulet.example/hall"


class OneServer(SynchronousTestCase):
    """Two clients of the same server."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", wire="memory")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(JULIET)
        self.nurse = self.federation.client(NURSE)

    def say(self, *bodies: str) -> None:
        for body in bodies:
            self.juliet.send(f"<message to='{NURSE}'><body>{body}</body></message>")


class Saying(OneServer):
    """What clients send."""

    def test_element_and_stanza(self) -> None:
        """Elements and stanzas are sent as text is."""
        element = Element("message", NS_CLIENT, {"to": NURSE, "type": "chat"})
        self.juliet.send(element)
        received = self.nurse.expect(element)
        self.nurse.send(received.reply(type="chat"))
        self.juliet.expect(f"<message from='{NURSE}' type='chat'/>")

    def test_no_stanza(self) -> None:
        """What is none is an error of the test, and is not sent."""
        self.assertRaises(ValueError, self.juliet.send, "<close/>")
        self.assertTrue(self.juliet.established)

    def test_raw(self) -> None:
        """Anything can be sent raw; the stream error that it causes is the client's `failure`."""
        self.juliet.send_raw(b"<message")
        assert self.juliet.failure is not None
        self.assertIs(self.juliet.failure.condition, StreamCondition.NOT_WELL_FORMED)
        self.assertIsNotNone(self.juliet.closed)
        self.assertFalse(self.juliet.established)

    def test_request(self) -> None:
        """A request gets an id, and its answer is taken out of what came, even an error."""
        self.nurse.send(f"<message to='{JULIET}'/>")
        ping = "<iq type='get' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>"
        first, second = self.juliet.request(ping), self.juliet.request(ping)
        self.assertEqual((first.type, second.type), ("result", "result"))
        self.assertNotEqual(first.id, second.id)
        unknown = "<iq type='get' id='mine' to='capulet.example'><query xmlns='urn:example:unknown'/></iq>"
        refused = self.juliet.request(unknown)
        self.assertEqual((refused.type, refused.id), ("error", "mine"))
        self.assertEqual(len(self.juliet.received), 1)

    def test_request_without_answer(self) -> None:
        """A request that nobody answers fails the test."""
        request = f"<iq type='get' to='{NURSE}'><query xmlns='urn:example:unknown'/></iq>"
        error = self.assertRaises(AssertionError, self.juliet.request, request)
        self.assertIn("an answer to <Stanza iq", str(error))

    def test_close_and_cut(self) -> None:
        """After a log-out there is no failure; a connection that was cut says so."""
        self.juliet.close()
        self.nurse.cut()
        self.assertIsNone(self.juliet.failure)
        self.assertIsNotNone(self.juliet.closed)
        self.assertEqual(self.nurse.closed, "the test has cut it")
        self.assertEqual(self.federation.server("capulet.example").sessions.resources, {})


class Looking(OneServer):
    """What clients find in what came."""

    def test_take(self) -> None:
        """The oldest that fits is taken; others stay, in their order."""
        self.say("one", "two", "two", "three")
        self.nurse.take("<message><body>two</body></message>")
        self.assertEqual([one.element.child(f"{{{NS_CLIENT}}}body").text for one in self.nurse.received], ["one", "two", "three"])

    def test_take_what_did_not_come(self) -> None:
        """The error shows what was wanted and what came."""
        self.say("one")
        error = self.assertRaises(AssertionError, self.nurse.take, "<message><body>two</body></message>")
        self.assertIn(f"{NURSE} wanted\n  <message><body>two</body></message>\nand received\n  <message", str(error))
        self.assertIn("<body>one</body>", str(error))

    def test_take_from_nobody(self) -> None:
        """The error says that the connection is gone, when it is."""
        self.nurse.cut()
        error = self.assertRaises(AssertionError, self.nurse.take, "iq")
        self.assertIn("and received\n  nothing\nThe connection is gone: the test has cut it.", str(error))

    def test_expect(self) -> None:
        """Only the next stanza will do."""
        self.say("one", "two")
        error = self.assertRaises(AssertionError, self.nurse.expect, "<message><body>two</body></message>")
        self.assertIn("wanted as the next stanza", str(error))
        self.nurse.expect("<message><body>one</body></message>")
        self.nurse.expect("<message><body>two</body></message>")
        self.assertRaises(AssertionError, self.nurse.expect, "message")

    def test_expect_nothing(self) -> None:
        """Everything was taken, or the error shows what was not."""
        self.nurse.expect_nothing()
        self.say("one")
        error = self.assertRaises(AssertionError, self.nurse.expect_nothing)
        self.assertIn("<body>one</body>", str(error))


class LoggingIn(SynchronousTestCase):
    """Who gets in, and why others do not."""

    def federation(self, settings: str = "") -> Federation:
        federation = Federation("capulet.example", wire="memory", configuration={"capulet.example": settings})
        self.addCleanup(federation.cleanup)
        return federation

    def refused(self, federation: Federation, address: str, password: str = "wherefore") -> tuple[Client, str]:
        error = self.assertRaises(LoginFailed, federation.client, address, password=password)
        return federation.clients[-1], str(error)

    def test_password(self) -> None:
        """An account has the password it was created with; another is refused."""
        federation = self.federation()
        federation.account("juliet@capulet.example", "r0m30")
        self.assertTrue(federation.client(JULIET, password="r0m30").established)
        client, text = self.refused(federation, JULIET, "wrong")
        self.assertIn(f"{JULIET} could not log in: SCRAM-SHA-512-PLUS: not-authorized", text)
        self.assertFalse(client.established)

    def test_server_chooses_the_resource(self) -> None:
        """Without a resource the client gets one, and knows it."""
        client = self.federation().client("juliet@capulet.example")
        self.assertEqual(str(client.jid.bare), "juliet@capulet.example")
        self.assertNotEqual(client.jid.resource, "")

    def test_without_presence(self) -> None:
        """A client can stay unavailable; nothing came to it."""
        client = self.federation().client(JULIET, presence=False)
        self.assertEqual(client.received, [])
        client.send("<message to='juliet@capulet.example' type='headline'/>")
        client.expect_nothing()

    def test_anonymous(self) -> None:
        """An address without localpart logs in without a password, where that is offered (RFC 4505)."""
        settings = '[services.c2s_ws]\nanonymous = ["capulet.example"]'
        client = self.federation(settings).client("capulet.example")
        self.assertEqual(client.connection.stream.mechanism, "ANONYMOUS")
        self.assertNotEqual(client.jid.local, "")
        _, text = self.refused(self.federation(), "capulet.example")
        self.assertIn("could not log in", text)

    def test_sasl2(self) -> None:
        """By SASL2 on every wire: the resource is part of a longer one, and there is a token for the next time."""
        for wire in ("memory", "tcp", "websocket"):
            federation = Federation("capulet.example", wire=wire)
            self.addCleanup(federation.cleanup)
            client = federation.client(JULIET, sasl2=True)
            self.assertTrue(str(client.jid).startswith(f"{JULIET}/"), client.jid)
            assert client.token is not None
            self.assertEqual(client.token.mechanism, "HT-SHA-256-EXPR")
            again = federation.client(JULIET, again=client)
            self.assertEqual(again.connection.stream.mechanism, "HT-SHA-256-EXPR")
            self.assertEqual((again.jid, again.device, again.token), (client.jid, client.device, client.token))
            self.assertIs(client.failure and client.failure.condition, StreamCondition.CONFLICT)

    def test_token_refused(self) -> None:
        """Why a token is refused is told, and nothing else is tried."""
        federation = self.federation()
        client = federation.client(JULIET, sasl2=True)
        client.token = Token("HT-SHA-256-EXPR", "other")
        error = self.assertRaises(LoginFailed, federation.client, JULIET, again=client)
        self.assertIn(f"{JULIET} could not log in: HT-SHA-256-EXPR: not-authorized;", str(error))

    def test_sent_elsewhere(self) -> None:
        """A client that is sent to another server knows where."""
        settings = '[services.c2s_ws]\nsee_other_uri = "wss://other.example/xmpp-websocket"'
        client, _ = self.refused(self.federation(settings), JULIET)
        self.assertEqual(client.see_other_uri, "wss://other.example/xmpp-websocket")

    def test_no_resource(self) -> None:
        """A resource that the server refuses is among the reasons."""
        client = Client(JID.parse(JULIET), Credentials(), "127.1.0.1", lambda: None)
        client.handle(BindFailed(StanzaError(StanzaCondition.CONFLICT)))
        client.lost("enough")
        self.assertEqual(client.complaints(), "resource: conflict; connection: enough")

    def test_stream_error(self) -> None:
        """A stream error of the server is among the reasons."""
        federation = self.federation()
        federation.client(JULIET).send_raw(b"<oops")
        self.assertIn("stream error: not-well-formed", federation.clients[0].complaints())

    def test_nobody_listens(self) -> None:
        """A server that cannot be reached is told apart from one that refuses."""
        federation = self.federation()
        for listening in federation.network.reactor.getReaders():
            listening.stopListening()
        federation.network.pump()
        _, text = self.refused(federation, JULIET)
        self.assertIn(f"{JULIET} found no connection: ", text)
