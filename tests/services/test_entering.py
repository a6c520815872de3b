"""The way in: what storage does during a login, and binding a resource."""

from __future__ import annotations

from base64 import b64encode

from twisted.internet.defer import Deferred

from tests.services.raw import BIND, CAPULET, JULIET, Raw, RawCase, condition, jid_of, stream_error
from xmppfed.core.jid import JID
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.options import MAX_SESSIONS
from xmppfed.services.intake import FIRST_LIMIT
from xmppfed.storage.interface import StorageError
from xmppfed.testing.federation import PASSWORD

SESSION = "<iq xmlns='jabber:client' type='set' id='s'{}><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>"


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
