"""Sessions: binding a resource, what a client may say as whom, and what ends a session."""

from __future__ import annotations

from base64 import b64encode

from twisted.internet.defer import Deferred

from tests.services.raw import BIND, CAPULET, JULIET, MONTAGUE, Raw, RawCase, condition, jid_of, stream_error
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_FRAMING
from xmppfed.errors import StanzaCondition, StanzaError, StreamCondition, StreamError
from xmppfed.options import MAX_SESSIONS
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.storage.interface import StorageError
from xmppfed.testing.federation import PASSWORD
from xmppfed.testing.patterns import stanza

LANG = "{http://www.w3.org/XML/1998/namespace}lang"
SESSION = "<iq xmlns='jabber:client' type='set' id='s'{}><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"


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


class Binding(RawCase):
    """A client gets a resource (RFC 6120, 7)."""

    def authenticated(self) -> Raw:
        """A client that has logged in."""
        raw = self.raw()
        raw.open()
        raw.plain()
        return raw

    def test_limits(self) -> None:
        """Before login and behind it a client is told how much it may send at once, and when it is pinged (XEP-0478)."""
        raw = self.raw()
        _, first = raw.open()
        raw.plain()
        _, second = raw.open()
        for features, most in ((first, FIRST_LIMIT), (second, 262_144)):
            limits = features.child("{urn:xmpp:stream-limits:0}limits")
            assert limits is not None
            found = {child.name: child.text for child in limits.elements()}
            self.assertEqual(found, {"max-bytes": str(most), "idle-seconds": "30"})

    def test_given(self) -> None:
        """The resource that the client asks for (RFC 6120, 7.7)."""
        self.assertEqual(jid_of(self.authenticated().bind("balcony")), f"{JULIET}/balcony")

    def test_given_is_prepared(self) -> None:
        """It is prepared, but its capitals stay (RFC 7622, 3.4)."""
        self.assertEqual(jid_of(self.authenticated().bind("My\u00a0Balcony")), f"{JULIET}/My Balcony")

    def test_made_by_the_server(self) -> None:
        """Without one the server makes one, long enough that nobody guesses it, and never the same (RFC 6120, 7.6)."""
        made = {jid_of(self.authenticated().bind()) for _ in range(2)}
        self.assertEqual(len(made), 2)
        for jid in made:
            self.assertGreaterEqual(len(JID.parse(jid).resource), 16)

    def test_id_bind_huge_resource(self) -> None:
        """id-bind-huge-resource: more than 1023 octets are a bad request; the client may ask for another (RFC 6120, 7.7.2.1)."""
        raw = self.authenticated()
        self.assertEqual(condition(raw.bind("x" * 1024)), "bad-request")
        (answer,) = raw.send(BIND.format("<resource>x</resource>"))
        self.assertEqual(jid_of(answer), f"{JULIET}/x")

    def test_id_jid_resource(self) -> None:
        """id-jid-*: so is what no address may hold."""
        raw = self.authenticated()
        raw.open()
        for resource in ("\u202e", "a\tb", "\u2028", "\U000e0041"):
            (answer,) = raw.send(BIND.format(f"<resource>{resource}</resource>"))
            self.assertEqual(condition(answer), "bad-request", resource)
        self.assertEqual(dict(self.server.sessions.resources), {})

    def test_conflict(self) -> None:
        """A resource that is bound again: the old session ends with conflict, the new one lives (RFC 6120, 7.7.2.2)."""
        old, new = self.raw(), self.raw()
        old.login()
        new.login()
        self.assertEqual((stream_error(old.take()), old.close_code), ("conflict", 1000))
        old.drop()
        self.assertEqual(list(self.server.sessions.resources), [f"{JULIET}/balcony"])
        romeo = self.federation.client(f"romeo@{CAPULET}/x")
        romeo.send(f"<message to='{JULIET}/balcony'/>")
        self.assertEqual([one.name for one in new.take()], ["message"])

    def test_conflict_in_another_spelling(self) -> None:
        """Two spellings of a resource are one resource."""
        old, new = self.raw(), self.raw()
        old.login(resource="my\u00a0balcony")
        new.login(resource="my balcony")
        self.assertEqual(stream_error(old.take()), "conflict")

    def test_twice(self) -> None:
        """A stream has one resource: a second request is one that nobody answers for."""
        raw = self.authenticated()
        raw.bind("x")
        (answer,) = raw.send(BIND.format("<resource>y</resource>"))
        self.assertEqual(condition(answer), "service-unavailable")
        self.assertEqual(list(self.server.sessions.resources), [f"{JULIET}/x"])

    def test_too_many(self) -> None:
        """An account has as many sessions as `max_sessions` says; one more is a resource-constraint (RFC 6120, 7.6.2.1), and
        is possible again when one has ended."""
        for number in range(MAX_SESSIONS - 1):
            self.federation.client(f"{JULIET}/{number}", presence=False)
        last = self.federation.client(f"{JULIET}/last", presence=False)
        raw = self.authenticated()
        self.assertEqual(condition(raw.bind("x")), "resource-constraint")
        last.close()
        (answer,) = raw.send(BIND.format("<resource>x</resource>"))
        self.assertEqual(jid_of(answer), f"{JULIET}/x")

    def test_modules_read_before(self) -> None:
        """A resource is bound when modules have read what they need; meanwhile nothing reaches it, and nobody else waits."""
        reading: Deferred[None] = Deferred()
        accounts: list[JID] = []

        async def read(account: JID) -> None:
            accounts.append(account)
            await reading

        self.server.router.handlers.add(("session", "binding"), read, "slow")
        raw = self.authenticated()
        raw.open()
        self.assertEqual(raw.send(BIND.format("<resource>x</resource>")), [])
        self.assertEqual((accounts, dict(self.server.sessions.resources)), ([JID.parse(JULIET)], {}))
        self.assertTrue(self.server.sessions.is_connected(JULIET))
        reading.callback(None)
        self.federation.network.pump()
        self.assertEqual([jid_of(answer) for answer in raw.take()], [f"{JULIET}/x"])

    def test_a_module_may_refuse(self) -> None:
        """A StanzaError is the answer; when storage fails it is internal-server-error, to be tried again, and logged."""
        errors: list[Exception] = [StanzaError(StanzaCondition.NOT_ALLOWED), StorageError("the disk is full")]

        async def fail(account: JID) -> None:
            if errors:
                raise errors.pop(0)

        self.server.router.handlers.add(("session", "binding"), fail, "broken")
        raw = self.authenticated()
        self.assertEqual(condition(raw.bind("x")), "not-allowed")
        (answer,) = raw.send(BIND.format("<resource>x</resource>"))
        self.assertEqual(condition(answer), "internal-server-error")
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
        self.assertFalse(self.server.sessions.is_connected(JULIET))
        (answer,) = raw.send(BIND.format("<resource>x</resource>"))
        self.assertEqual(jid_of(answer), f"{JULIET}/x")

    def test_who_leaves_meanwhile_is_no_session(self) -> None:
        """A client that is gone when modules have read leaves nothing behind, and takes nobody's place."""
        reading: Deferred[None] = Deferred()

        async def read(account: JID) -> None:
            await reading

        old = self.raw()
        old.login(resource="x")
        self.server.router.handlers.add(("session", "binding"), read, "slow")
        raw = self.authenticated()
        raw.open()
        raw.send(BIND.format("<resource>x</resource>"))
        raw.drop()
        reading.callback(None)
        self.federation.network.pump()
        self.assertEqual((old.take(), list(self.server.sessions.resources)), ([], [f"{JULIET}/x"]))

    def test_stanza_before(self) -> None:
        """Nothing passes before there is a resource (RFC 6120, 7.1)."""
        romeo = self.federation.client(f"romeo@{CAPULET}/x")
        raw = self.authenticated()
        raw.open()
        came = raw.send(f"<message xmlns='jabber:client' to='romeo@{CAPULET}/x'/>")
        self.assertEqual(stream_error(came), "not-authorized")
        romeo.expect_nothing()

    def test_legacy_session(self) -> None:
        """Clients of RFC 3921 ask for a session, and get a result, with and without `to`."""
        raw = self.raw()
        raw.login()
        for to in ("", f" to='{CAPULET}'"):
            (answer,) = raw.send(SESSION.format(to))
            self.assertEqual((answer.name, answer.get("type"), answer.get("id")), ("iq", "result", "s"))


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


class Storage(RawCase):
    """What the storage does while somebody logs in."""

    def opened(self) -> Raw:
        """A client that may log in."""
        raw = self.raw()
        raw.open()
        return raw

    def slow(self, method: str = "keys") -> Deferred[None]:
        """Let the storage answer only when the result fires."""
        gate: Deferred[None] = Deferred()
        real = getattr(self.server.storage.accounts, method)

        async def late(*arguments: object) -> object:
            await gate
            return await real(*arguments)

        self.patch(self.server.storage.accounts, method, late)
        return gate

    def test_refused(self) -> None:
        """Who is refused goes on on the same stream, and the log says from where it was tried."""
        events, raw = self.logs(), self.opened()
        self.assertEqual(condition(raw.plain(password="x")), "not-authorized")
        self.assertEqual(raw.scram().name, "success")
        tried = [(one["mechanism"], one["address"], one.get("reason", "success")) for one in events if "mechanism" in one]
        self.assertEqual(tried, [("PLAIN", "127.1.1.1", "not-authorized"), ("SCRAM-SHA-256", "127.1.1.1", "success")])

    def test_fails(self) -> None:
        """A storage that fails is no wrong password: temporary-auth-failure, the stream lives (RFC 6120, 6.5.11)."""
        patched = self.patch(self.server.storage.accounts, "keys", self.broken)
        raw = self.opened()
        self.assertEqual(condition(raw.plain()), "temporary-auth-failure")
        self.assertEqual(condition(raw.scram()), "temporary-auth-failure")
        patched.restore()
        self.assertEqual(raw.plain().name, "success")
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 2)

    async def broken(self, *_: object) -> object:
        """A storage that fails."""
        raise StorageError("The disk is full.")

    def test_fault(self) -> None:
        """A fault of ours ends this stream alone, without a detail: internal-server-error."""

        async def faulty(*_: object) -> object:
            raise ZeroDivisionError("a secret detail")

        patched = self.patch(self.server.storage.accounts, "keys", faulty)
        raw, other = self.opened(), self.opened()
        answer = raw.plain()
        self.assertEqual(condition(answer), "internal-server-error")
        self.assertNotIn("detail", answer.to_xml())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        patched.restore()
        self.assertEqual(other.plain().name, "success")

    def test_slow(self) -> None:
        """A slow storage makes this client wait, and nobody else; what it says meanwhile is read later."""
        gate = self.slow()
        raw = self.opened()
        message = b64encode(f"\0juliet\0{PASSWORD}".encode()).decode()
        self.assertEqual(raw.sasl("auth", message, "PLAIN").name, "nothing")
        opening = raw.open()
        self.assertEqual(opening, [])
        gate.callback(None)
        self.network.pump()
        self.assertEqual([one.name for one in raw.take()], ["success", "open", "features"])

    def test_slow_beyond_the_deadline(self) -> None:
        """A storage that never answers costs the login its 30 s, and no more."""
        gate = self.slow()
        raw = self.opened()
        raw.sasl("auth", b64encode(b"n,,n=juliet,r=abcdefgh").decode(), "SCRAM-SHA-256")
        self.network.advance(30)
        self.assertEqual(stream_error(raw.take()), "connection-timeout")
        gate.callback(None)
        self.network.pump()
        self.assertEqual(raw.take(), [])

    def test_client_goes_away(self) -> None:
        """An answer for a client that has gone meanwhile is nobody's."""
        for mechanism, message in (("PLAIN", f"\0juliet\0{PASSWORD}"), ("SCRAM-SHA-256", "n,,n=juliet,r=abcdefgh")):
            gate = self.slow()
            raw = self.opened()
            raw.sasl("auth", b64encode(message.encode()).decode(), mechanism)
            raw.drop()
            gate.callback(None)
            self.network.pump()
            self.assertEqual(dict(self.server.sessions.resources), {})

    def test_client_goes_away_and_storage_fails(self) -> None:
        """Nor is a failure."""
        gate = self.slow()
        raw = self.opened()
        raw.sasl("auth", b64encode(b"n,,n=juliet,r=abcdefgh").decode(), "SCRAM-SHA-256")
        raw.drop()
        gate.errback(StorageError("The disk is gone."))
        self.network.pump()
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
