"""Tests for `xmppfed.core.negotiation.bind`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import BIND, BIND_RESULT, FRAMINGS, MECHANISMS, Client, ToServer, features, kinds
from xmppfed.core.element import Element
from xmppfed.core.events import BindFailed, BindRequested, Bound, Established, StanzaReceived, StreamFailed
from xmppfed.core.jid import JID
from xmppfed.core.stream import State
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition

JULIET = JID("juliet", "b.example", "x")
SESSION = "<iq xmlns='jabber:client' type='%s' id='s'%s><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"


class ReceivingBindTests(SynchronousTestCase):
    """A client asks for a resource (RFC 6120, 7)."""

    def test_offered_behind_authentication(self) -> None:
        """And not before."""
        wired = Client()
        wired.receive(wired.header())
        wired.stream.accept("b.example", [wired.bind])
        self.assertNotIn(b"xmpp-bind", wired.sent())
        self.assertIn(BIND, wired.bind.offer(Client().authenticated().stream))

    def test_granted(self) -> None:
        """The owner is asked for the resource; the answer names the full JID, and stanzas may pass."""
        for framing in FRAMINGS:
            wired = Client(framing).authenticated()
            self.assertEqual(wired.receive(wired.bind_request("7")), [BindRequested("x")])
            wired.bind.accept(wired.stream, JULIET)
            self.assertEqual(wired.stream.take_events(), [Established(), Bound(JULIET)])
            self.assertRegex(
                wired.sent().decode(),
                "^<iq( xmlns='jabber:client')? id='7' type='result'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                "<jid>juliet@b.example/x</jid></bind></iq>$",
            )

    def test_no_resource(self) -> None:
        """A client may leave the choice to us (RFC 6120, 7.6)."""
        wired = Client().authenticated()
        request = wired.bind_request().replace(b"<resource>x</resource>", b"")
        self.assertEqual(wired.receive(request), [BindRequested("")])

    def test_refused(self) -> None:
        """The client hears why, and may ask for another (RFC 6120, 7.7.2)."""
        wired = Client().authenticated()
        wired.receive(wired.bind_request("7"))
        wired.bind.reject(wired.stream, StanzaError(StanzaCondition.CONFLICT))
        self.assertEqual(wired.stream.take_events(), [])
        self.assertIn(b" id='7' type='error'><error type='cancel'><conflict ", wired.sent())
        self.assertEqual(wired.receive(wired.bind_request("8")), [BindRequested("x")])
        wired.bind.accept(wired.stream, JULIET)
        self.assertIs(wired.stream.state, State.ESTABLISHED)

    def test_addresses_of_the_request_are_not_repeated(self) -> None:
        """Whatever the client wrote, our answer is from its server, to it."""
        wired = Client().authenticated()
        wired.receive(wired.bind_request().replace(b"<iq ", b"<iq from='a@b' to='c@d' "))
        wired.bind.accept(wired.stream, JULIET)
        self.assertNotIn(b"a@b", wired.sent())

    def test_x_preauth_bind(self) -> None:
        """x-preauth-bind: before authentication the request is not authorized."""
        for framing in FRAMINGS:
            wired = Client(framing).opened()
            [event] = wired.receive(wired.bind_request())
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_not_a_request(self) -> None:
        """Only an iq of type set asks; anything else comes too early."""
        for old, new in ((b"set", b"get"), (b"set", b"result"), (b"iq", b"message")):
            wired = Client().authenticated()
            self.assertEqual(kinds(wired.receive(wired.bind_request().replace(old, new))), [StreamFailed])

    def test_once(self) -> None:
        """A second resource on one stream is not ours to grant (RFC 6120, 7.7.2.3): the owner sees an iq."""
        wired = Client().established()
        self.assertEqual(kinds(wired.receive(wired.bind_request())), [StanzaReceived])

    def test_answers_without_a_question(self) -> None:
        """Answers that come too late, twice, or unasked do nothing."""
        wired = Client().authenticated()
        wired.bind.accept(wired.stream, JULIET)
        wired.bind.reject(wired.stream, StanzaError(StanzaCondition.CONFLICT))
        for answer in (
            lambda: wired.bind.accept(wired.stream, JULIET),
            lambda: wired.bind.reject(wired.stream, StanzaError(StanzaCondition.CONFLICT)),
        ):
            wired.receive(wired.bind_request())
            wired.stream.connection_lost()
            answer()
        self.assertEqual((wired.stream.take_events(), wired.sent()), ([], b""))


class LegacySessionTests(SynchronousTestCase):
    """The session of RFC 3921, which does nothing."""

    def test_offered_as_optional(self) -> None:
        """Beside binding."""
        wired = Client().opened()
        wired.receive("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>")
        wired.stream.resume()
        wired.stream.prove(JULIET, "")
        wired.stream.restart()
        wired.sent()
        wired.receive(wired.header())
        self.assertIn(b"<session xmlns='urn:ietf:params:xml:ns:xmpp-session'><optional/></session>", wired.sent())

    def test_granted(self) -> None:
        """Whoever asks gets it, whether the server is named or not."""
        for to in ("", " to='b.example'"):
            wired = Client().established()
            self.assertEqual(wired.receive(SESSION % ("set", to)), [])
            self.assertRegex(wired.sent().decode(), "^<iq xmlns='jabber:client'( from='b.example')? id='s' type='result'/>$")

    def test_for_somebody_else(self) -> None:
        """We answer for ourselves, and to requests."""
        wired = Client().established()
        for changed in (SESSION % ("set", " to='c.example'"), SESSION % ("get", ""), SESSION % ("result", "")):
            self.assertEqual(kinds(wired.receive(changed)), [StanzaReceived])
        self.assertEqual(wired.sent(), b"")

    def test_too_early(self) -> None:
        """Not before a resource is bound."""
        wired = Client().authenticated()
        self.assertEqual(kinds(wired.receive(SESSION % ("set", ""))), [StreamFailed])


class InitiatingBindTests(SynchronousTestCase):
    """We are the client."""

    def authenticated(self, resource: str = "x") -> ToServer:
        """Up to the server's header behind authentication."""
        wired = ToServer(resource=resource).opened()
        wired.receive(features(MECHANISMS % "ANONYMOUS"), "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>", wired.header())
        wired.sent()
        return wired

    def test_asked(self) -> None:
        """For the resource we want, or for any."""
        for resource, inside in (("x", "><resource>x</resource></bind>"), ("", "/>")):
            wired = self.authenticated(resource)
            wired.receive(features(BIND))
            self.assertEqual(
                wired.sent().decode(),
                f"<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'{inside}</iq>",
            )

    def test_bound(self) -> None:
        """The server's word is our address."""
        wired = self.authenticated()
        wired.receive(features(BIND))
        self.assertEqual(wired.receive(BIND_RESULT), [Established(), Bound(JID("a", "b", "c"))])

    def test_refused(self) -> None:
        """Without a resource there is no session; the server's condition is told."""
        for inside, condition in (
            ("<conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", StanzaCondition.CONFLICT),
            ("<unheard-of xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>", StanzaCondition.UNDEFINED_CONDITION),
            ("<conflict xmlns='urn:x'/>", StanzaCondition.UNDEFINED_CONDITION),
        ):
            wired = self.authenticated()
            wired.receive(features(BIND))
            [refused, failed] = wired.receive(f"<iq xmlns='jabber:client' type='error' id='bind'><error>{inside}</error></iq>")
            assert isinstance(refused, BindFailed)
            self.assertIs(refused.error.condition, condition)
            assert isinstance(failed, StreamFailed)
            self.assertIs(failed.error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_error_behind_the_request(self) -> None:
        """An error may repeat what it answers; one that says nothing is undefined."""
        for inside in (
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><error/>",
            "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>",
        ):
            wired = self.authenticated()
            wired.receive(features(BIND))
            events = wired.receive(f"<iq xmlns='jabber:client' type='error' id='bind'>{inside}</iq>")
            self.assertEqual(kinds(events), [BindFailed, StreamFailed])

    def test_no_address(self) -> None:
        """A server that binds nothing, or what is no address, is not understood."""
        for old, new in ((b"<jid>a@b/c</jid>", b""), (b"a@b/c", b"@"), (b"a@b/c", b"")):
            wired = self.authenticated()
            wired.receive(features(BIND))
            [event] = wired.receive(BIND_RESULT.replace(old, new))
            assert isinstance(event, StreamFailed)
            self.assertIs(event.error.condition, StreamCondition.BAD_FORMAT)

    def test_answer_to_another_request(self) -> None:
        """Only the answer to our request may come now."""
        wired = self.authenticated()
        wired.receive(features(BIND))
        self.assertEqual(kinds(wired.receive(BIND_RESULT.replace(b"id='bind'", b"id='1'"))), [StreamFailed])

    def test_answered_again(self) -> None:
        """Later answers are stanzas like any other."""
        wired = self.authenticated()
        wired.receive(features(BIND), BIND_RESULT)
        self.assertEqual(kinds(wired.receive(BIND_RESULT)), [StanzaReceived])

    def test_not_offered(self) -> None:
        """Without binding a server can make no session for a client."""
        [event] = self.authenticated().receive(features())
        assert isinstance(event, StreamFailed)
        self.assertIs(event.error.condition, StreamCondition.UNSUPPORTED_FEATURE)

    def test_asked_once(self) -> None:
        """And not before authentication."""
        wired = self.authenticated()
        wired.receive(features(BIND))
        wired.sent()
        wired.stream.advance()
        self.assertEqual(wired.sent(), b"")
        self.assertFalse(wired.bind.start(ToServer().opened().stream, Element("features", "")))
