"""Accounts of a running server."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.jid import JID
from xmppfed.errors import StreamCondition
from xmppfed.routing.handlers import Handlers
from xmppfed.routing.sessions import Sessions
from xmppfed.services.registrar import Registrar
from xmppfed.storage.accounts import AccountRefused
from xmppfed.storage.interface import AccountExists, NoSuchAccount
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.threads import at_once
from xmppfed.testing.federation import Federation

JULIET = JID("juliet", "capulet.example")


class RegistrarTests(SynchronousTestCase):
    """They come and go."""

    def setUp(self) -> None:
        self.accounts = MemoryStorage().accounts
        self.handlers, self.sessions = Handlers(), Sessions()
        self.said: list[Any] = []
        self.sessions.left = self.said.append
        self.registrar = Registrar(self.accounts, at_once, self.handlers, self.sessions, lambda *said: self.said.append(said))

    def keys(self) -> object:
        return self.successResultOf(Deferred.fromCoroutine(self.accounts.keys(JULIET.domain, JULIET.local)))

    def test_made_once(self) -> None:
        """A password that nobody can have is refused, and so is a second account of the same name."""
        self.failureResultOf(Deferred.fromCoroutine(self.registrar.create(JULIET, "\u0007")), AccountRefused)
        self.assertIsNone(self.keys())
        self.successResultOf(Deferred.fromCoroutine(self.registrar.create(JULIET, "one")))
        first = self.keys()
        self.failureResultOf(Deferred.fromCoroutine(self.registrar.create(JULIET, "two")), AccountExists)
        self.assertEqual(self.keys(), first)

    def test_password(self) -> None:
        """Changed for who has an account."""
        self.failureResultOf(Deferred.fromCoroutine(self.registrar.change_password(JULIET, "x")), NoSuchAccount)
        self.successResultOf(Deferred.fromCoroutine(self.registrar.create(JULIET, "one")))
        first = self.keys()
        self.successResultOf(Deferred.fromCoroutine(self.registrar.change_password(JULIET, "two")))
        self.assertNotEqual(self.keys(), first)

    def test_removed(self) -> None:
        """Modules have their say while it is still there; then it is gone, and who remembers it is told; then its streams
        end."""
        self.successResultOf(Deferred.fromCoroutine(self.registrar.create(JULIET, "one")))
        waiting: Deferred[None] = Deferred()

        async def prepare(account: JID) -> None:
            await waiting
            self.said.append((account, self.keys() is not None))

        self.handlers.add(("session", "removing"), prepare, "m")
        removing = Deferred.fromCoroutine(self.registrar.remove_and_end(JULIET))
        self.assertNoResult(removing)
        waiting.callback(None)
        self.successResultOf(removing)
        self.assertIsNone(self.keys())
        *told, (ended, error) = self.said
        self.assertEqual((told, ended), ([(JULIET, True), JULIET], JULIET))
        self.assertIs(error.condition, StreamCondition.NOT_AUTHORIZED)

    def test_no_such_account(self) -> None:
        """There is nothing to end."""
        self.failureResultOf(Deferred.fromCoroutine(self.registrar.remove_and_end(JULIET)), NoSuchAccount)
        self.assertEqual(self.said, [])


class RemovedTests(SynchronousTestCase):
    """What others see of an account that is removed (XEP-0077, 3.2)."""

    def test_contacts_are_told(self) -> None:
        """Subscriptions end, both ways, here and elsewhere; its streams end; a new account of the same name has nothing."""
        federation = Federation("capulet.example", "montague.example")
        self.addCleanup(federation.cleanup)
        juliet, nurse = (federation.client(f"{name}@capulet.example/x") for name in ("juliet", "nurse"))
        romeo = federation.client("romeo@montague.example/orchard")
        for other in (romeo, nurse):
            bare = other.jid.bare
            juliet.send(f"<presence to='{bare}' type='subscribe'/>")
            other.send(f"<presence to='{JULIET}' type='subscribed'/>")
            other.send(f"<presence to='{JULIET}' type='subscribe'/>")
            juliet.send(f"<presence to='{bare}' type='subscribed'/>")
            other.received.clear()
        host = federation.server("capulet.example").getServiceNamed("modules.roster").host
        federation.result(host.accounts.remove(JULIET))
        host.accounts.end(JULIET)
        federation.network.pump()
        assert juliet.failure is not None
        self.assertIs(juliet.failure.condition, StreamCondition.NOT_AUTHORIZED)
        for other in (romeo, nurse):
            roster = other.request("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>").element
            [item] = next(roster.elements()).elements()
            self.assertEqual((item.get("jid"), item.get("subscription")), (str(JULIET), "none"))
            other.take("<presence type='unavailable'/>")
        again = federation.client("juliet@capulet.example/y")
        roster = again.request("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>").element
        self.assertEqual(list(next(roster.elements()).elements()), [])
