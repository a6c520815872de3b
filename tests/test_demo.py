"""The conversation of the demo, between the demo's servers in memory."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.demo_world import DemoCase
from xmppfed import demo
from xmppfed.demo import converse, established_by, main
from xmppfed.demo_servers import DemoFailed, Place


class ConversationTests(DemoCase):
    """Messages go both ways, and the words on the screen are true."""

    def test_both_ways(self) -> None:
        """The first message makes a stream, trusted by certificates; the others find the way open, back and forth."""
        told: list[str] = []
        talk = Deferred.fromCoroutine(converse(self.network.reactor, self.pair, self.trust, told.append))
        self.network.pump()
        self.successResultOf(talk)
        text = "\n".join(told)
        self.assertEqual(text.count("arrived after"), 3)
        self.assertEqual((text.count("SASL EXTERNAL"), text.count("XEP-0288")), (1, 1))
        self.assertIn(self.pair[1].url, text)
        for place in self.pair:
            self.assertNotIn(place.password, text)

    def test_a_stream_that_the_log_does_not_know_is_a_failure(self) -> None:
        """The demo claims nothing that the server's log does not say."""
        self.pair[0].log.unlink()
        self.pair[0].log.write_text("nothing\n")
        talk = Deferred.fromCoroutine(converse(self.network.reactor, self.pair, self.trust, lambda _: None))
        self.network.pump()
        self.assertIn("knows no stream to montague.example", str(self.failureResultOf(talk, DemoFailed).value))


class EstablishedByTests(SynchronousTestCase):
    """The log says how a server was believed."""

    LINE = "[Outgoing#info] stream from a.example to b.example is established by {}\n"

    def test_the_last_word_counts(self) -> None:
        """After a reconnection the newer stream is the one that carries."""
        log = self.LINE.format("EXTERNAL") + self.LINE.format("dialback")
        self.assertEqual(established_by(log, "a.example", "b.example"), "dialback")

    def test_directions_are_told_apart(self) -> None:
        """The stream of the other direction says nothing, nor does a name that only looks alike."""
        log = self.LINE.format("EXTERNAL")
        self.assertIsNone(established_by(log, "b.example", "a.example"))
        self.assertIsNone(established_by(log, "a.example", "bxexample"))


class FakeServer:
    """A server that is in memory already, instead of a process."""

    pid = 4711
    made: list[FakeServer] = []

    def __init__(self, reactor: object, place: Place) -> None:
        self.place = place
        self.ended: Deferred[str] = Deferred()
        self.stopped = False
        self.made.append(self)

    def start(self) -> None:
        """It runs already."""

    async def ready(self) -> None:
        """It is."""

    async def stop(self) -> None:
        self.stopped = True

    def report(self) -> str:
        return f"the log of {self.place.domain}"


class Reactor:
    """The network's reactor, with a shutdown that a test can begin."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.shutdown: Callable[[], Deferred[None]]

    def addSystemEventTrigger(self, phase: str, event: str, call: Callable[[], Deferred[None]]) -> None:
        self.shutdown = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class MainTests(DemoCase):
    """The demo leaves nothing behind, however it ends."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.servers: list[FakeServer] = []
        self.patch(FakeServer, "made", self.servers)
        self.patch(demo, "Server", FakeServer)
        self.patch(demo, "command", self.command)
        self.patch(demo, "places", lambda folder, ports: self.pair)
        self.patch(demo, "write_files", lambda pair, now: self.pair[0].folder / "authority.pem")
        self.patch(demo.tempfile, "mkdtemp", lambda prefix: str(self.folder))
        self.patch(signal, "signal", lambda *_: None)
        self.patch(sys, "stdout", io.StringIO())
        self.patch(sys, "stderr", io.StringIO())
        self.reactor = Reactor(self.network.reactor)

    async def command(self, reactor: object, place: Place, name: str, arguments: dict[str, str]) -> dict[str, str]:
        """The accounts are there already."""
        return arguments

    def run_main(self, once: bool) -> Deferred[None]:
        self.patch(demo.os, "environ", {"ONCE": "1"} if once else {})
        finished = main(self.reactor)
        self.network.pump()
        return finished

    def assert_clean(self) -> None:
        self.assertEqual([server.stopped for server in self.servers], [True, True])
        self.assertFalse(self.folder.exists())

    def test_once(self) -> None:
        """With ONCE=1 the demo ends by itself after the messages, and shows no password: nobody can use one."""
        self.successResultOf(self.run_main(once=True))
        self.assert_clean()
        self.assertIn("Done", sys.stdout.getvalue())
        self.assertNotIn(self.pair[0].password, sys.stdout.getvalue())

    def test_until_interrupted(self) -> None:
        """Otherwise it stays up, with all that a client needs on the screen, and an interruption is no failure."""
        finished = self.run_main(once=False)
        self.assertNoResult(finished)
        for place in self.pair:
            for text in (place.address, place.password, place.local_url):
                self.assertIn(text, sys.stdout.getvalue())
        self.assertTrue(self.folder.exists())
        self.successResultOf(self.reactor.shutdown())
        self.assert_clean()

    def test_a_server_that_ends_is_a_failure(self) -> None:
        """When a server ends by itself the demo fails with the end of its log, and of no other."""
        finished = self.run_main(once=False)
        self.servers[1].ended.callback("killed")
        self.assertEqual(self.failureResultOf(finished, SystemExit).value.code, 1)
        self.assert_clean()
        self.assertIn("the log of montague.example", sys.stderr.getvalue())
        self.assertNotIn("the log of capulet.example", sys.stderr.getvalue())

    def test_an_early_interruption_is_a_failure(self) -> None:
        """Who ends the demo before the messages came through has not seen it succeed."""
        finished = main(self.reactor)
        self.assertNoResult(finished)
        self.reactor.shutdown()
        self.assertEqual(self.failureResultOf(finished, SystemExit).value.code, 1)
        self.assert_clean()
        self.assertIn("interrupted", sys.stderr.getvalue())
