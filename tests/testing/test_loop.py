"""The loop: calls and sockets, one after the other, until all is quiet."""

from __future__ import annotations

from threading import Thread
from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.testing.peers import Echo, connect
from xmppfed.testing.loop import Loop
from xmppfed.testing.network import Network


class Time(SynchronousTestCase):
    """Delayed calls."""

    def setUp(self) -> None:
        self.loop = Loop()
        self.calls: list[Any] = []

    def note(self, what: object) -> None:
        self.calls.append((what, self.loop.seconds()))

    def test_each_at_its_time(self) -> None:
        """In one `advance`, every call sees the time it was made for, in order; later ones wait."""
        for delay in (3.0, 1.0, 2.0, 9.0):
            self.loop.callLater(delay, self.note, delay)
        self.loop.advance(5)
        self.assertEqual(self.calls, [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)])
        self.assertEqual((self.loop.seconds(), len(self.loop.getDelayedCalls())), (5.0, 1))

    def test_calls_made_by_calls(self) -> None:
        """A call may schedule another, which is made at its own time."""
        self.loop.callLater(1, lambda: self.loop.callLater(1, self.note, "second"))
        self.loop.advance(5)
        self.assertEqual(self.calls, [("second", 2.0)])

    def test_cancelled_by_one_before_it(self) -> None:
        """A call that is cancelled by another of the same moment is not made."""
        first = self.loop.callLater(1, lambda: second.cancel())
        second = self.loop.callLater(1, self.note, "never")
        self.loop.advance(1)
        self.assertEqual((self.calls, first.active(), second.active()), ([], False, False))

    def test_quiet_needs_no_time(self) -> None:
        """`run_until_quiet` makes calls without delay, and no others."""
        self.loop.callLater(0, self.note, "now")
        self.loop.callLater(0.1, self.note, "later")
        self.loop.run_until_quiet()
        self.assertEqual(self.calls, [("now", 0.0)])


class Interleaving(SynchronousTestCase):
    """Timers and deliveries take their turns."""

    def test_replies_between_timers(self) -> None:
        """What a timer writes is answered before the next timer is due."""
        network = Network()
        client, _ = connect(network, Echo)
        seen: list[bytes] = []
        network.reactor.callLater(1, client.transport.write, b"ping")
        network.reactor.callLater(2, lambda: seen.append(client.received))
        network.advance(3)
        self.assertEqual(seen, [b"ping"])


class NeverQuiet(SynchronousTestCase):
    """What goes on for ever is an error that helps."""

    def test_call_without_delay(self) -> None:
        """A call that schedules itself without delay is reported after the rounds allowed."""
        loop = Loop()

        def again() -> None:
            loop.callLater(0, again)

        again()
        raised = self.assertRaises(AssertionError, loop.run_until_quiet, 50)
        self.assertIn("not quiet after 50 rounds: 1 delayed calls", str(raised))

    def test_two_that_answer_each_other(self) -> None:
        """Two protocols that never stop answering are reported with their transports."""
        network = Network()
        client, _ = connect(network, Echo)
        client.dataReceived = client.transport.write
        client.transport.write(b"ping")
        raised = self.assertRaises(AssertionError, network.pump, 100)
        self.assertIn("answer each other", str(raised))


class Exceptions(SynchronousTestCase):
    """Exceptions are logged, and do what they do in production."""

    def test_of_a_delayed_call(self) -> None:
        """An exception in a call is logged, and the calls after it are made."""
        loop, called = Loop(), []
        loop.callLater(1, int, "one")
        loop.callLater(1, called.append, 2)
        loop.advance(1)
        self.assertEqual(called, [2])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_of_a_protocol(self) -> None:
        """A protocol that raises loses its connection with that exception."""
        network = Network()
        client, server = connect(network)
        server.dataReceived = int
        client.transport.write(b"ten")
        network.pump()
        self.assertIsInstance(server.lost, ValueError)
        self.assertIsNotNone(client.lost)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class Threads(SynchronousTestCase):
    """Calls that other threads hand in."""

    def test_made_by_the_loop(self) -> None:
        """A call handed in by another thread is made when the loop runs, not in that thread."""
        loop, called = Loop(), []
        thread = Thread(target=loop.callFromThread, args=(called.append, "done"))
        thread.start()
        thread.join()
        self.assertEqual(called, [])
        loop.run_until_quiet()
        self.assertEqual(called, ["done"])


@implementer(IPushProducer)
class Stopping:
    """A producer that stops another transport's writing as soon as it is asked for more."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport

    def resumeProducing(self) -> None:
        self.transport.stopWriting()

    def pauseProducing(self) -> None:
        raise AssertionError("There was room.")

    def stopProducing(self) -> None:
        raise AssertionError("The connection lives.")


class Readiness(SynchronousTestCase):
    """Who waits to read and to write."""

    def test_removed_all(self) -> None:
        """`removeAll` tells who waited, once each, and nothing is delivered any more."""
        network = Network()
        client, server = connect(network)
        client.transport.write(b"never sent")
        removed = network.reactor.removeAll()
        self.assertEqual(removed.count(client.transport), 1)
        self.assertIn(server.transport, removed)
        self.assertEqual((network.reactor.getReaders(), network.reactor.getWriters()), ([], []))
        network.pump()
        self.assertEqual(server.received, b"")

    def test_paused_by_one_before_it(self) -> None:
        """Who is paused by another's delivery in the same round gets nothing."""
        network = Network()
        first, first_server = connect(network, port=1)
        second, second_server = connect(network, port=2)
        stopping = {first_server: second_server, second_server: first_server}
        for server, other in stopping.items():
            self._pausing(server, other)
        first.transport.write(b"x")
        second.transport.write(b"x")
        network.pump()
        self.assertEqual(sorted([first_server.received, second_server.received]), [b"", b"x"])

    def _pausing(self, server: Any, other: Any) -> None:
        def received(data: bytes) -> None:
            server.deliveries.append(data)
            other.transport.pauseProducing()

        server.dataReceived = received

    def test_stopped_before_its_turn(self) -> None:
        """Who is told to stop writing by another in the same round writes nothing."""
        network = Network()
        first, _ = connect(network, port=1)
        second, second_server = connect(network, port=2)
        first.transport.write(b"x")
        second.transport.write(b"y")
        first.transport.registerProducer(Stopping(second.transport), streaming=True)
        first.transport.producerPaused = True
        network.pump()
        self.assertEqual(second_server.received, b"")
        second.transport.startWriting()
        network.pump()
        self.assertEqual(second_server.received, b"y")
