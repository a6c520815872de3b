"""In-Band Registration (XEP-0077)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.modules.hosting import Hosting
from tests.routing.fakes import stanza
from tests.services.raw import CAPULET, JULIET, Raw, RawCase, condition, stream_error
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StreamCondition
from xmppfed.modules.registration import NS, NS_FEATURE, Registration
from xmppfed.testing.client import Client, LoginFailed

IQ = f"<iq xmlns='jabber:client' type='{{}}' id='r'><query xmlns='{NS}'>{{}}</query></iq>"


def login(username: str = "bill", password: str = "Calliope") -> str:
    """The fields."""
    return f"<username>{username}</username><password>{password}</password>"


class RegistrationCase(RawCase):
    """A server with open registration, and strangers."""

    settings = ""

    def setUp(self) -> None:
        """Open it."""
        self.configuration = {"*": f"[modules.registration]\n{self.settings}"}
        super().setUp()

    def stranger(self, source: str = "127.1.1.1") -> Raw:
        """A stream on which nobody has logged in."""
        raw = self.raw(source=source)
        raw.open()
        return raw

    def register(self, raw: Raw, fields: str | None = None) -> str:
        """The condition of the error, or nothing."""
        (answer,) = raw.send(IQ.format("set", login() if fields is None else fields))
        return condition(answer) if answer.get("type") == "error" else ""

    def exists(self, name: str) -> bool:
        """Whether there is such an account."""
        return self.federation.result(self.server.storage.accounts.keys(CAPULET, name)) is not None


class StrangerTests(RegistrationCase):
    """Who has no account (XEP-0077, 3.1)."""

    def test_offered(self) -> None:
        """Before a login, and not behind it."""
        raw = self.raw()
        for offered in (True, False):
            features = raw.open()[-1]
            self.assertEqual(features.tag, f"{{{NS_STREAM}}}features")
            self.assertIs(features.child(f"{{{NS_FEATURE}}}register") is not None, offered)
            raw.plain()

    def test_made(self) -> None:
        """The stranger learns what it takes, says it, and logs in on the same stream; the name is prepared."""
        raw = self.stranger()
        (answer,) = raw.send(IQ.format("get", ""))
        [query] = answer.elements()
        self.assertEqual([field.name for field in query.elements()], ["instructions", "username", "password"])
        self.assertEqual(self.register(raw, login("Bill\u00c9", "C\u00e1lliope")), "")
        self.assertEqual(raw.scram("bill\u00e9", "C\u00e1lliope").name, "success")
        self.assertTrue(raw.bind("globe"))

    def test_refused(self) -> None:
        """A name that is taken, in any spelling; fields that are missing or empty; what no account can have. None is made,
        and the one that is there keeps its password."""
        for fields, wanted in (
            (login("juliet"), "conflict"),
            (login("JULIET"), "conflict"),
            ("", "not-acceptable"),
            ("<username>bill</username>", "not-acceptable"),
            (login("bill", ""), "not-acceptable"),
            (login("", "x"), "not-acceptable"),
            (login("bill", "\u0300\u200b"), "not-acceptable"),
            (login("bi ll"), "not-acceptable"),
            (login("bill@verona.example"), "not-acceptable"),
            (login("b" * 1024), "not-acceptable"),
            ("<remove/>", "unexpected-request"),
            (f"<remove/>{login()}", "unexpected-request"),
            (login().replace("<username>", "<username xmlns='urn:x'>"), "not-acceptable"),
        ):
            self.federation.advance(3600)
            self.assertEqual(self.register(self.stranger(), fields), wanted, fields)
        self.assertEqual(self.federation.result(self.server.storage.accounts.list(CAPULET)), ["juliet"])
        self.assertEqual(self.stranger().plain().name, "success")

    def test_secrets_stay(self) -> None:
        """The log says who was registered from where, and no password."""
        logged = self.logs()
        self.register(self.stranger())
        text = str(logged)
        self.assertIn("was registered from", text)
        self.assertIn("bill@capulet.example", text)
        self.assertNotIn("Calliope", text)

    def test_no_other_requests(self) -> None:
        """A stranger gets no other answers."""
        came = self.stranger().send("<iq xmlns='jabber:client' type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>")
        self.assertEqual(stream_error(came), "not-authorized")


class FloodTests(RegistrationCase):
    """Limits."""

    settings = "attempts_per_hour = 3\naccounts_per_day = 4"

    def test_per_address(self) -> None:
        """Each attempt counts, in vain or not, on one stream or on several; other addresses are not concerned; after an hour
        there is room again."""
        raw = self.stranger()
        self.assertEqual([self.register(raw, login(name)) for name in ("a", "juliet", "")], ["", "conflict", "not-acceptable"])
        for again in (raw, self.stranger()):
            self.assertEqual(self.register(again, login("b")), "resource-constraint")
        self.assertFalse(self.exists("b"))
        self.assertEqual(self.register(self.stranger("127.1.1.2"), login("c")), "")
        self.federation.advance(3600)
        self.assertEqual(self.register(self.stranger(), login("b")), "")

    def test_per_day(self) -> None:
        """From however many addresses; attempts in vain do not count."""
        for number, name in enumerate("abcd", 1):
            self.assertEqual(self.register(self.stranger(f"127.1.2.{number}"), login("juliet")), "conflict")
            self.assertEqual(self.register(self.stranger(f"127.1.3.{number}"), login(name)), "")
        self.assertEqual(self.register(self.stranger("127.1.2.9"), login("e")), "resource-constraint")
        self.assertFalse(self.exists("e"))
        self.federation.advance(86_400)
        self.assertEqual(self.register(self.stranger("127.1.4.1"), login("e")), "")

    def test_looking_is_free(self) -> None:
        """Asking for the fields is no attempt."""
        raw = self.stranger()
        for _ in range(10):
            (answer,) = raw.send(IQ.format("get", ""))
            self.assertEqual(answer.get("type"), "result")


class OwnerTests(RegistrationCase):
    """Who has an account (XEP-0077, 3.2 and 3.3)."""

    def setUp(self) -> None:
        """Log juliet in."""
        super().setUp()
        self.juliet = self.federation.client(f"{JULIET}/balcony")

    def ask(self, written: str, to: str | None = None, client: Client | None = None) -> Stanza:
        """The answer to a request."""
        addressed = "" if to is None else f" to='{to}'"
        return (client or self.juliet).request(written.replace(" id='r'", addressed))

    def change(self, fields: str, to: str | None = None, client: Client | None = None) -> str:
        """The condition of the error, or nothing."""
        answer = self.ask(IQ.format("set", fields), to, client)
        return condition(answer.element) if answer.type == "error" else ""

    def test_registered(self) -> None:
        """Server and account tell that it is registered, and not its password."""
        for to in (None, CAPULET, JULIET):
            [query] = self.ask(IQ.format("get", ""), to).element.elements()
            self.assertEqual(
                [(field.name, field.text) for field in query.elements()],
                [("registered", ""), ("username", "juliet"), ("password", "")],
            )

    def test_password(self) -> None:
        """Asked of server or account, by the own name in any spelling; the old one opens nothing then."""
        for to, username, password in ((None, "juliet", "one"), (CAPULET, "JULIET", "two"), (JULIET, "juliet", "three")):
            self.assertEqual(self.change(login(username, password), to), "")
            self.federation.client(f"{JULIET}/tablet", password=password).close()
        for old in ("wherefore", "one"):
            self.assertRaises(LoginFailed, self.federation.client, f"{JULIET}/tablet", password=old)

    def test_password_refused(self) -> None:
        """Of another account, in vain; empty, or none: the old one stays; and not too often."""
        for fields, wanted in (
            (login("nurse", "x"), "not-allowed"),
            (login("juliet", ""), "bad-request"),
            (login("", "x"), "bad-request"),
            ("<password>x</password>", "bad-request"),
            ("", "bad-request"),
            (login("@", "x"), "not-acceptable"),
            (login("juliet", "\u0300\u200b"), "not-acceptable"),
        ):
            self.assertEqual(self.change(fields), wanted)
        self.federation.client(f"{JULIET}/tablet").close()
        changes = [self.change(login("juliet", f"p{number}")) for number in range(6)]
        self.assertEqual((changes[0], changes[-1]), ("", "resource-constraint"))

    def test_removed(self) -> None:
        """The answer comes first, then all sessions of the account end; whoever comes by its name afterwards is new."""
        tablet = self.federation.client(f"{JULIET}/tablet")
        self.juliet.received.clear()
        self.assertEqual(self.change("<remove/>"), "")
        for client in (self.juliet, tablet):
            assert client.failure is not None
            self.assertIs(client.failure.condition, StreamCondition.NOT_AUTHORIZED)
        self.assertFalse(self.exists("juliet"))
        self.assertEqual(self.stranger().plain().name, "failure")
        self.assertEqual(self.register(self.stranger(), login("juliet", "new")), "")
        self.federation.client(f"{JULIET}/x", password="new")

    def test_removed_when_its_session_is_gone(self) -> None:
        """Who asked and left in the meantime gets no answer, and has no account."""
        server = Hosting(Registration)
        accounts = server.storage.accounts
        self.successResultOf(Deferred.fromCoroutine(accounts.create("example.org", "juliet", {})))
        element = stanza("iq", "set", None, f"{{{NS}}}query", sender="juliet@example.org/gone").element
        next(element.elements()).add("remove")
        server.route(Stanza.from_element(element))
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(accounts.keys("example.org", "juliet"))))
        self.assertEqual((len(server.juliet.errors), server.juliet.take()), (1, []))

    def test_removal_refused(self) -> None:
        """<remove/> stands alone."""
        for fields in (f"<remove/>{login('juliet', 'x')}", "<remove/><x/>"):
            self.assertEqual(self.change(fields), "bad-request")
        self.assertTrue(self.exists("juliet"))

    def test_of_others(self) -> None:
        """Nobody learns of, changes or removes another account, whether there is such an account or not."""
        nurse = self.federation.client(f"nurse@{CAPULET}/hall")
        for to in (JULIET, f"nobody@{CAPULET}"):
            self.assertEqual(condition(self.ask(IQ.format("get", ""), to, nurse).element), "service-unavailable")
            for fields in ("<remove/>", login("juliet", "x")):
                self.assertEqual(self.change(fields, to, nurse), "service-unavailable")
        self.assertTrue(self.exists("juliet"))

    def test_from_elsewhere(self) -> None:
        """An account of another server is no account here, even by the same name."""
        module = self.server.getServiceNamed("modules.registration")
        for sender in ("juliet@montague.example/x", "montague.example"):
            for type, fields in (("get", ""), ("set", "<remove/>")):
                element = Element("iq", "jabber:client", {"type": type, "id": "1", "from": sender, "to": CAPULET})
                query = element.add("query", NS)
                if fields:
                    query.add("remove")
                answers: list[Stanza] = []
                self.patch(self.server.router, "_remotes", _Catching(answers))
                self.server.router.route_received(Stanza.from_element(element))
                self.assertEqual([condition(answer.element) for answer in answers], ["service-unavailable"])
        self.assertTrue(self.exists("juliet"))
        self.assertTrue(module.running)


class _Catching:
    """Where stanzas for other servers go in a test."""

    def __init__(self, sent: list[Stanza]) -> None:
        self.send = sent.append


class GuestTests(RegistrationCase):
    """Anonymous guests."""

    def setUp(self) -> None:
        """Let them in."""
        self.settings = f"[services.c2s_ws]\nanonymous = ['{CAPULET}']"
        super().setUp()

    def test_no_account(self) -> None:
        """Who has none has nothing to change or to remove."""
        guest = self.federation.client(CAPULET)
        name = guest.jid.local
        for fields in (login(name, "x"), "<remove/>"):
            answer = guest.request(IQ.format("set", fields).replace(" id='r'", ""))
            self.assertEqual(condition(answer.element), "registration-required")


class OffTests(RawCase):
    """Without its table there is no registration."""

    options: ClassVar[Mapping[str, Any]] = {}

    def test_off(self) -> None:
        """It is not offered, a stranger's request ends the stream, and an owner's is refused."""
        raw = self.raw()
        features = raw.open()[-1]
        self.assertIsNone(features.child(f"{{{NS_FEATURE}}}register"))
        self.assertEqual(stream_error(raw.send(IQ.format("set", login()))), "not-authorized")
        juliet = self.federation.client(f"{JULIET}/balcony")
        answer = juliet.request(IQ.format("set", "<remove/>").replace(" id='r'", ""))
        self.assertEqual(condition(answer.element), "service-unavailable")
        self.assertIsNotNone(self.federation.result(self.server.storage.accounts.keys(JID.parse(JULIET).domain, "juliet")))
