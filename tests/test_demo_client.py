"""The client of the demo, at the demo's servers in memory."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from tests.demo_world import DemoCase
from xmppfed.demo_client import Person, log_in
from xmppfed.demo_servers import PATIENCE, DemoFailed, Place
from xmppfed.net.tls import TrustRoots


class LoginTests(DemoCase):
    """A login proves both sides to each other."""

    def login(self, place: Place, trust: TrustRoots | None = None) -> Deferred[Person]:
        coming = Deferred.fromCoroutine(log_in(self.network.reactor, place, trust or self.trust))
        self.network.advance(10)
        return coming

    def test_a_login_is_bound_to_its_tls(self) -> None:
        """The client uses the strongest mechanism, with channel binding."""
        self.assertEqual(self.successResultOf(self.login(self.pair[0])).mechanism, "SCRAM-SHA-512-PLUS")

    def test_a_wrong_password_is_told(self) -> None:
        """The reason of a refused login is the server's."""
        failure = self.failureResultOf(self.login(replace(self.pair[0], password="guess")), DemoFailed)
        self.assertIn("not-authorized", str(failure.value))

    def test_a_server_that_nobody_vouches_for_is_refused(self) -> None:
        """A server whose certificate is not trusted hears no password."""
        failure = self.failureResultOf(self.login(self.pair[0], TrustRoots(system=False)), DemoFailed)
        self.assertIn("no WebSocket at wss://capulet.example:40001", str(failure.value))

    def test_nobody_there(self) -> None:
        """A port where nobody listens is named."""
        failure = self.failureResultOf(self.login(replace(self.pair[0], port=40009)), DemoFailed)
        self.assertIn("no WebSocket at wss://capulet.example:40009", str(failure.value))

    def test_an_error_that_comes_back_ends_the_waiting(self) -> None:
        """Who hears that a message could not be delivered learns why."""
        person = self.successResultOf(self.login(self.pair[0]))
        person.say("nobody@montague.example", "hello")
        heard = Deferred.fromCoroutine(person.hear(self.network.reactor))
        self.network.pump()
        self.assertIn("service-unavailable", str(self.failureResultOf(heard, DemoFailed).value))

    def test_silence_has_an_end(self) -> None:
        """Nobody waits for a message for ever."""
        person = self.successResultOf(self.login(self.pair[0]))
        heard = Deferred.fromCoroutine(person.hear(self.network.reactor))
        self.network.advance(PATIENCE)
        self.assertIn("no message came within 60 s", str(self.failureResultOf(heard, DemoFailed).value))
