"""Sessions: what a client may say as whom, and what ends a session."""

from __future__ import annotations

from tests.services.raw import BIND, CAPULET, JULIET, MONTAGUE, RawCase, condition, stream_error
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_FRAMING
from xmppfed.errors import StreamCondition, StreamError
from xmppfed.testing.patterns import stanza

LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class SessionCase(RawCase):
    """juliet at hand, romeo listening."""

    def setUp(self) -> None:
        """Log them in."""
        super().setUp()
        self.romeo = self.federation.client(f"romeo@{CAPULET}/orchard")
        self.juliet = self.raw()
        self.juliet.login()

    def message(self, attributes: str = "") -> list[Element]:
        """What comes back to juliet for a message with these attributes."""
        return self.juliet.send(f"<message xmlns='jabber:client' {attributes}><body>hi</body></message>")

    def iq(self, attributes: str, child: str = "<query xmlns='urn:x'/>") -> Element:
        """The one answer to an iq with these attributes."""
        (answer,) = self.juliet.send(f"<iq xmlns='jabber:client' {attributes}>{child}</iq>")
        return answer


class Senders(SessionCase):
    """Every stanza says truly whom it is from (RFC 6120, 8.1.2.1)."""

    def test_stamped(self) -> None:
        """Without `from`, or with one's own address, bare or full, in any spelling: the full address is what arrives."""
        for sender in ("", JULIET, f"{JULIET}/balcony", "JULIET@Capulet.Example", "ｊuliet@capulet.example/balcony"):
            attributes = f"from='{sender}'" if sender else ""
            self.assertEqual(self.message(f"to='romeo@{CAPULET}' {attributes}"), [])
            self.romeo.expect(f"<message from='{JULIET}/balcony'><body>hi</body></message>")

    def test_id_from_spoof(self) -> None:
        """id-from-spoof: any other `from` ends the stream with invalid-from, and nothing is delivered."""
        foreign = (
            f"romeo@{CAPULET}",
            CAPULET,
            f"{JULIET}/Balcony",
            f"{JULIET}/garden",
            f"x@{MONTAGUE}",
            "",
            " ",
            "@",
            f"{JULIET}/",
        )
        for sender in foreign:
            juliet = self.raw()
            juliet.login()
            came = juliet.send(f"<message xmlns='jabber:client' to='romeo@{CAPULET}/orchard' from='{sender}'/>")
            self.assertEqual(stream_error(came), "invalid-from", sender)
            self.assertNotIn(f"{JULIET}/balcony", self.server.sessions.resources)
        self.romeo.expect_nothing()

    def test_id_from_spoof_each_kind(self) -> None:
        """id-from-spoof: whatever the stanza."""
        for kind in ("message", "iq type='get' id='1'", "iq type='result' id='1'", "presence"):
            juliet = self.raw()
            juliet.login()
            name = kind.partition(" ")[0]
            came = juliet.send(
                f"<{kind} xmlns='jabber:client' to='romeo@{CAPULET}/orchard' from='nurse@{CAPULET}'><x xmlns='y'/></{name}>"
            )
            self.assertEqual(stream_error(came), "invalid-from", kind)
        self.romeo.expect_nothing()

    def test_lang(self) -> None:
        """The stream's language is that of its stanzas, unless they have one of their own (RFC 6120, 8.1.5)."""
        raw = self.raw()
        raw.open()
        raw.plain()
        raw.open(more=" xml:lang='it'")
        raw.send(BIND.format("<resource>garden</resource>"))
        raw.send(f"<message xmlns='jabber:client' to='romeo@{CAPULET}'/>")
        raw.send(f"<message xmlns='jabber:client' to='romeo@{CAPULET}' xml:lang='en'/>")
        self.assertEqual([one.attributes.get(LANG) for one in self.romeo.received], ["it", "en"])

    def test_no_lang(self) -> None:
        """A stream without a language adds none."""
        self.message(f"to='romeo@{CAPULET}'")
        self.assertNotIn(LANG, self.romeo.take("message").attributes)


class Addresses(SessionCase):
    """What stands in `to` is an address, or comes back (RFC 6120, 8.3.3.8)."""

    def test_id_jid_malformed(self) -> None:
        """id-jid-*: jid-malformed to the sender, and the stream lives."""
        for to in ("", "@", "a@", f"@{CAPULET}", f"romeo@{CAPULET}/", "a b", "x@y@z", "\u202e@x.example", "x" * 1024, "a@[::zz]"):
            for kind in ("message", "presence", "iq type='get' id='1'"):
                name = kind.partition(" ")[0]
                (answer,) = self.juliet.send(f"<{kind} xmlns='jabber:client' to='{to}'><x xmlns='y'/></{name}>")
                self.assertEqual((answer.name, answer.get("type"), condition(answer)), (name, "error", "jid-malformed"), to)
                self.assertEqual(answer.get("to"), f"{JULIET}/balcony")

    def test_id_jid_malformed_in_an_answer(self) -> None:
        """An error and a result are not answered, whatever they say (RFC 6120, 8.3.1)."""
        for kind in ("message type='error'", "iq type='result' id='1'", "iq type='error' id='1'", "presence type='error'"):
            name = kind.partition(" ")[0]
            self.assertEqual(self.juliet.send(f"<{kind} xmlns='jabber:client' to='@'><x xmlns='y'/></{name}>"), [])

    def test_other_spelling(self) -> None:
        """Another spelling of an address reaches the same one (RFC 7622)."""
        self.message("to='ROMEO@Capulet.example/orchard'")
        self.romeo.expect(f"<message from='{JULIET}/balcony'/>")


class Requests(SessionCase):
    """What an iq must be (RFC 6120, 8.2.3)."""

    def test_type(self) -> None:
        """Its type is one of four: else bad-request."""
        for kind in ("", "type='x'", "type='GET'"):
            answer = self.iq(f"id='1' {kind} to='romeo@{CAPULET}/orchard'")
            self.assertEqual((answer.get("id"), condition(answer)), ("1", "bad-request"))
        self.romeo.expect_nothing()

    def test_id(self) -> None:
        """A request has an id, which is not empty."""
        for attributes in ("type='get'", "type='set' id=''"):
            self.assertEqual(condition(self.iq(f"{attributes} to='romeo@{CAPULET}/orchard'")), "bad-request")
        self.romeo.expect_nothing()

    def test_one_child(self) -> None:
        """A request has exactly one child."""
        for child in ("", "<x xmlns='y'/><x xmlns='y'/>", "text"):
            answer = self.iq(f"type='get' id='1' to='romeo@{CAPULET}/orchard'", child)
            self.assertEqual((condition(answer), answer.get("from")), ("bad-request", f"romeo@{CAPULET}/orchard"))
        self.romeo.expect_nothing()

    def test_home(self) -> None:
        """A refused request without `to` is refused by the sender's own account (RFC 6120, 10.3)."""
        self.assertEqual(self.iq("type='get' id='1'", "").get("from"), JULIET)

    def test_broken_answers(self) -> None:
        """A result without an id is dropped, for there is nobody to tell (RFC 6120, 8.3.1)."""
        for attributes in ("type='result'", "type='error' id=''"):
            self.assertEqual(self.juliet.send(f"<iq xmlns='jabber:client' {attributes} to='romeo@{CAPULET}/orchard'/>"), [])
        self.romeo.expect_nothing()

    def test_results_pass(self) -> None:
        """A result needs no child, an error has two."""
        self.juliet.send(f"<iq xmlns='jabber:client' type='result' id='1' to='romeo@{CAPULET}/orchard'/>")
        self.juliet.send(
            f"<iq xmlns='jabber:client' type='error' id='2' to='romeo@{CAPULET}/orchard'><x/><error type='cancel'/></iq>"
        )
        self.assertEqual([one.id for one in self.romeo.received], ["1", "2"])

    def test_unknown(self) -> None:
        """A request that nobody knows is answered at once: service-unavailable (RFC 6120, 8.4)."""
        for to in ("", f"to='{CAPULET}'", f"to='{JULIET}'", f"to='nobody@{CAPULET}'", f"to='nobody@{CAPULET}/x'"):
            answer = self.iq(f"type='get' id='1' {to}")
            self.assertEqual((answer.get("id"), condition(answer)), ("1", "service-unavailable"), to)

    def test_id_user_exists_leak(self) -> None:
        """id-user-exists-leak: an account without a session and one that does not exist answer alike (RFC 6121, 8.5.1)."""
        self.federation.account(f"nurse@{CAPULET}")
        for attributes in ("type='get' id='1'", "type='set' id='1'"):
            answers = [self.iq(f"{attributes} to='{name}@{CAPULET}'").to_xml().replace(name, "*") for name in ("nurse", "nobody")]
            self.assertEqual(answers[0], answers[1])


class Ending(SessionCase):
    """What ends a session, and what it leaves."""

    def test_account_ended(self) -> None:
        """When an account ends, all that is logged in to it ends, bound or not yet; nobody else does."""
        unbound, stranger = self.raw(), self.raw()
        unbound.open()
        unbound.plain()
        stranger.open()
        clients = self.server.getServiceNamed("clients")
        clients.end_account(JID.parse(JULIET), StreamError(StreamCondition.NOT_AUTHORIZED, "Gone."))
        self.network.pump()
        for raw in (self.juliet, unbound):
            self.assertEqual(stream_error(raw.take()[-2:]), "not-authorized")
        self.assertEqual((stranger.close_code, self.romeo.established), (None, True))
        self.assertEqual(list(self.server.sessions.resources), [f"romeo@{CAPULET}/orchard"])

    def test_nothing_is_delivered_to_the_ended(self) -> None:
        """Behind the end of its stream nothing is written to a client (RFC 6120, 4.4)."""
        session = self.server.sessions.resources[f"{JULIET}/balcony"].session
        self.juliet.send(f"<close xmlns='{NS_FRAMING}'/>")
        session.deliver(stanza("<message><body>late</body></message>"))
        self.network.pump()
        self.assertEqual([one for one in self.juliet.take() if one.name == "message"], [])

    def test_no_handles_left(self) -> None:
        """A connection that is gone is forgotten."""
        clients = self.server.getServiceNamed("clients")
        self.assertEqual(len(clients.streams), 2)
        self.juliet.drop()
        self.assertEqual(len(clients.streams), 1)

    def test_names_in_the_log(self) -> None:
        """The log says whose stream failed, as far as that is known, and from which address."""
        events = self.logs()
        self.juliet.send("<x xmlns='y'/>")
        unbound = self.raw()
        unbound.open()
        unbound.plain()
        unbound.open("x")
        self.raw().open("x")
        failed = [(one["jid"], one["address"]) for one in events if "sent" in one]
        self.assertEqual([one for one, _ in failed], [f"{JULIET}/balcony", JULIET, "nobody yet"])
        self.assertEqual({address for _, address in failed}, {"127.1.1.1"})
