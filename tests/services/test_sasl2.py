"""Logins by SASL2 (XEP-0388) with Bind 2 (XEP-0386), as clients see them. Tokens are in `test_tokens`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from tests.core.streams import USER_AGENT, authenticate
from tests.services.raw import CAPULET, JULIET, MONTAGUE, Raw, condition, mechanisms, stream_error
from tests.services.sasl2 import BIND2, NS, SASL2Case
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.sasl.anonymous import AnonymousClient
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.scram import offer_hash
from xmppfed.core.sasl.steps import Offer
from xmppfed.errors import NS_SASL, SASLError
from xmppfed.extend import Module, Resource, inline
from xmppfed.storage.interface import StorageError

LEGACY = "{urn:ietf:params:xml:ns:xmpp-bind}bind"


class Garden(Module):
    """Something that a session can begin with."""

    seen: list[tuple[str, Element]] = []

    @inline("{urn:example:garden}enter")
    def enter(self, resource: Resource, element: Element) -> Element | None:
        """With an answer, where one is asked for."""
        self.seen.append((str(resource.session.jid), element))
        return Element("entered", "urn:example:garden") if element.get("answer") else None


class Offers(SASL2Case):
    """What is offered over TLS."""

    def offered(self) -> Element:
        """`<authentication/>`."""
        _, features = self.raw().open()
        found = features.child(f"{{{NS}}}authentication")
        assert found is not None
        return found

    def test_both_profiles(self) -> None:
        """The same mechanisms by both, and the bindings once (XEP-0440)."""
        _, features = self.raw().open()
        names = [one.text for one in self.offered().elements() if one.name == "mechanism"]
        self.assertEqual(names, mechanisms([features]))
        self.assertEqual([one.name for one in features.elements()].count("sasl-channel-binding"), 1)

    def test_inline(self) -> None:
        """Bind 2, and tokens by every channel binding that there is, and without one (XEP-0484, 3.1)."""
        found = self.offered().child(f"{{{NS}}}inline")
        assert found is not None
        bind, fast = found.elements()
        self.assertEqual(bind.tag, "{urn:xmpp:bind:0}bind")
        names = [one.text for one in fast.elements()]
        self.assertEqual(names, ["HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE"])

    def test_nobody_in_particular(self) -> None:
        """Who says in its header who it is, is offered the same as a stranger (XEP-0388, 6)."""
        offers = {
            self.raw().open(more=more)[1].to_xml()
            for more in ("", f" from='{JULIET}'", f" from='nobody@{CAPULET}'", f" from='{CAPULET}'")
        }
        self.assertEqual(len(offers), 1)

    def test_sender_of_another_domain(self) -> None:
        """A sender that is not of the domain is invalid-from (XEP-0388, 2.1); so is what is no address."""
        for sender in (f"juliet@{MONTAGUE}", "@", "a b"):
            self.assertEqual(stream_error(self.raw().open(more=f" from='{sender}'")), "invalid-from", sender)


class Logins(SASL2Case):
    """Who gets in, and as whom."""

    def test_resource_with_the_login(self) -> None:
        """One exchange, and the session is there: the identity is a full address, and binding is not offered any more."""
        tried = self.plain(BIND2)
        jid = JID.parse(tried.identity)
        self.assertEqual(str(jid.bare), JULIET)
        self.assertTrue(jid.resource.startswith("balcony/"), jid)
        self.assertIsNotNone(tried.first.child("{urn:xmpp:bind:0}bound"))
        self.assertNotIn(LEGACY, tried.features)
        self.assertIn(tried.identity, self.server.sessions.resources)

    def test_stanzas_pass(self) -> None:
        """At once, both ways, stamped with the address that was bound."""
        raw = self.opened()
        tried = self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2)
        romeo = self.federation.client(f"romeo@{CAPULET}/orchard")
        raw.send(f"<message xmlns='jabber:client' to='romeo@{CAPULET}/orchard'/>")
        romeo.expect(f"<message from='{tried.identity}'/>")
        romeo.send(f"<message to='{tried.identity}'/>")
        self.assertEqual([one.name for one in raw.take()], ["message"])

    def test_resource_behind_the_login(self) -> None:
        """Without a request the identity is a bare address, and the resource is bound on the same stream as ever."""
        raw = self.opened()
        tried = self.attempt(raw, PlainClient("juliet", "wherefore"))
        self.assertEqual(tried.identity, JULIET)
        self.assertIn(LEGACY, tried.features)
        (answer,) = raw.send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.assertEqual(answer.get("type"), "result")

    def test_bound_twice(self) -> None:
        """A stream has one resource: a second request is one that nobody answers for."""
        raw = self.opened()
        tried = self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2)
        (answer,) = raw.send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.assertEqual(condition(answer), "service-unavailable")
        self.assertEqual(list(self.server.sessions.resources), [tried.identity])

    def test_downgrade_protection(self) -> None:
        """The hash of what was offered is in the challenge, over both profiles; a changed offer is found out (XEP-0474)."""
        raw = self.raw()
        _, features = raw.open()
        names = mechanisms([features])
        offer = Offer(names, ["tls-exporter", "tls-server-end-point"])
        self.assertTrue(self.scram(raw, offer).accepted)
        with self.assertRaisesRegex(SASLError, "somebody changed them"):
            self.scram(self.opened(), Offer(names[3:], offer.bindings))
        first = self.opened().sasl("auth", b64encode(b"n,,n=juliet,r=abcdefghijkl").decode(), "SCRAM-SHA-256")
        self.assertTrue(b64decode(first.text).endswith(f",h={offer_hash('sha256', offer)}".encode()))

    def test_wrong_password(self) -> None:
        """Refused; the stream lives, and nothing that was asked for has been done."""
        raw = self.opened()
        self.assertEqual(self.attempt(raw, PlainClient("juliet", "x"), BIND2).refusal, "not-authorized")
        self.assertEqual(dict(self.server.sessions.resources), {})
        self.assertTrue(self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2).accepted)

    def test_user_enumeration(self) -> None:
        """sasl-user-enum-*: nobody gets the same refusal as somebody."""
        answers = [self.plain(BIND2, username=name, password="x").first.to_xml() for name in ("juliet", "nobody")]
        self.assertEqual(answers[0], answers[1])

    def test_authzid(self) -> None:
        """Another identity than one's own is refused, and one's own when the header says another (XEP-0388, 2.3)."""
        for authzid, sender, allowed in (
            (JULIET, "", True),
            (JULIET, f" from='{JULIET}'", True),
            (f"romeo@{CAPULET}", "", False),
            (JULIET, f" from='romeo@{CAPULET}'", False),
        ):
            tried = self.attempt(self.opened(sender), PlainClient("juliet", "wherefore", authzid))
            if allowed:
                self.assertTrue(tried.accepted)
            else:
                self.assertEqual(tried.refusal, "invalid-authzid")

    def test_sasl_retry_limit(self) -> None:
        """sasl-retry-limit: five failures, whichever profile each came by, end the stream."""
        raw = self.opened()
        for _ in range(2):
            self.assertEqual(self.attempt(raw, PlainClient("juliet", "x")).refusal, "not-authorized")
            self.assertEqual(condition(raw.plain(password="x")), "not-authorized")
        tried = self.attempt(raw, PlainClient("juliet", "x"))
        self.assertEqual([one.name for one in tried.came], ["failure", "error", "close"])
        self.assertEqual(stream_error(list(tried.came)), "policy-violation")

    def test_both_at_once(self) -> None:
        """A login by each at the same time ends the stream."""
        raw = self.opened()
        raw.sasl("auth", "", "PLAIN")
        came = raw.send(f"<authenticate xmlns='{NS}' mechanism='PLAIN'/>")
        self.assertEqual(stream_error(came), "policy-violation")

    def test_after_authentication(self) -> None:
        """Nobody becomes somebody else: not behind SASL2, and not by SASL2 behind SASL."""
        for profile in (NS, NS_SASL):
            raw = self.opened()
            self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2)
            name = "authenticate" if profile == NS else "auth"
            self.assertEqual(stream_error(raw.send(f"<{name} xmlns='{profile}' mechanism='PLAIN'/>")), "not-authorized")
        raw = self.raw()
        raw.login()
        self.assertEqual(stream_error(raw.send(f"<authenticate xmlns='{NS}' mechanism='PLAIN'/>")), "not-authorized")

    def test_storage_fails(self) -> None:
        """Without storage nobody can tell: temporary-auth-failure."""

        async def secret(name: str) -> bytes:
            raise StorageError("The disk is gone.")

        self.patch(self.server.storage.accounts, "secret", secret)
        self.assertEqual(self.plain(BIND2).refusal, "temporary-auth-failure")
        self.assertEqual(dict(self.server.sessions.resources), {})
        self.flushLoggedErrors(StorageError)

    def test_gone_meanwhile(self) -> None:
        """Who does not wait for the answer leaves no session behind."""
        raw, case = self.opened(), self
        asked: list[str] = []
        secret = self.server.storage.accounts.secret

        async def slow(name: str) -> bytes:
            asked.append(name)
            case.network.cut()
            return await secret(name)

        self.patch(self.server.storage.accounts, "secret", slow)
        raw.send(authenticate("PLAIN", b"\0juliet\0wherefore", f"<user-agent id='{USER_AGENT}'/>", BIND2).decode())
        self.assertEqual((asked, raw.lost), (["resources"], True))
        self.assertEqual(dict(self.server.sessions.resources), {})

    def test_in_the_log(self) -> None:
        """Who logs in is logged, and neither what it says of its installation nor a secret."""
        events = self.logs()
        self.plain(BIND2)
        (one,) = [one for one in events if "mechanism" in one]
        self.assertEqual((one["jid"], one["mechanism"]), (JULIET, "PLAIN"))
        for secret in (USER_AGENT, "wherefore"):
            self.assertNotIn(secret, str(events))


class Beginnings(SASL2Case):
    """What a session begins with (XEP-0386, 3.2)."""

    options: Mapping[str, Any] = {"modules": {"garden": Garden}}

    def setUp(self) -> None:
        """Forget what was seen before."""
        super().setUp()
        Garden.seen.clear()

    def begin(self, *features: str) -> tuple[str, str]:
        """Who is bound, and `<bound/>`, for these features."""
        bind = BIND2.replace("</bind>", f"{''.join(features)}</bind>")
        tried = self.plain(bind)
        bound = tried.first.child("{urn:xmpp:bind:0}bound")
        assert bound is not None
        return tried.identity, bound.to_xml()

    def test_offered(self) -> None:
        """What a module takes is listed by its namespace."""
        _, features = self.raw().open()
        self.assertEqual(features.to_xml().count("<feature var='urn:example:garden'/>"), 1)

    def test_asked_for(self) -> None:
        """The module is told for which session, which is there by then; its answer stands in `<bound/>`."""
        jid, bound = self.begin("<enter xmlns='urn:example:garden'/>", "<enter xmlns='urn:example:garden' answer='1'/>")
        self.assertEqual([(who, element.name) for who, element in Garden.seen], [(jid, "enter")] * 2)
        self.assertEqual(bound, "<bound xmlns='urn:xmpp:bind:0'><entered xmlns='urn:example:garden'/></bound>")

    def test_unknown(self) -> None:
        """What nobody knows has no answer, and does no harm."""
        _, bound = self.begin("<x xmlns='urn:x'/>", "<leave xmlns='urn:example:garden'/>")
        self.assertEqual((bound, Garden.seen), ("<bound xmlns='urn:xmpp:bind:0'/>", []))

    def test_refused_login(self) -> None:
        """Who is refused begins nothing."""
        self.plain(BIND2.replace("</bind>", "<enter xmlns='urn:example:garden'/></bind>"), password="x")
        self.assertEqual(Garden.seen, [])


class Refused(SASL2Case):
    """Who may log in and cannot have a session."""

    configuration = {CAPULET: {"max_sessions": 1}}

    def test_too_many_sessions(self) -> None:
        """It is logged in, without a resource; who asks for one as ever, is told why it gets none (RFC 6120, 7.6.2.1)."""
        self.raw().login()
        raw = self.opened()
        tried = self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2)
        self.assertEqual((tried.identity, [one.name for one in tried.first.elements()]), (JULIET, ["authorization-identifier"]))
        self.assertIn(LEGACY, tried.features)
        (answer,) = raw.send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        self.assertEqual(condition(answer), "resource-constraint")

    def test_its_own_place(self) -> None:
        """Who comes back as the same installation takes the place of its own old session."""
        self.assertEqual(self.plain(BIND2).identity, self.plain(BIND2).identity)


class Guests(SASL2Case):
    """ANONYMOUS by SASL2."""

    configuration = {CAPULET: {"services": {"c2s_ws": {"anonymous": [CAPULET]}}}}

    def test_guest(self) -> None:
        """A guest is bound like everybody, and gets no token: there is no account to keep it for."""
        token = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
        tried = self.attempt(self.opened(), AnonymousClient(), BIND2, token)
        self.assertTrue(tried.accepted)
        self.assertEqual((JID.parse(tried.identity).domain, tried.token), (CAPULET, ""))


class BehindProxy(SASL2Case):
    """TLS ends at a reverse proxy on the same machine."""

    configuration: Mapping[str, Any] = {CAPULET: {"services": {"http": {"tls": "behind-proxy"}}}}

    def raw(self, **options: Any) -> Raw:
        """A client behind the proxy."""
        return super().raw(tls=None, **options)

    def test_offered(self) -> None:
        """SASL2 is offered, with tokens for the binding that there is."""
        _, features = self.raw().open()
        names = "<mechanism>HT-SHA-256-ENDP</mechanism><mechanism>HT-SHA-256-NONE</mechanism>"
        self.assertIn(f"<fast xmlns='urn:xmpp:fast:0'>{names}</fast>", features.to_xml())
        self.assertTrue(self.plain(BIND2).accepted)
