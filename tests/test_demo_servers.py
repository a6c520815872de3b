"""The servers of the demo: their files, their processes and their control sockets."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionDone, ProcessDone, ProcessExitedAlready
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import assembly, config
from xmppfed.demo_servers import (
    PATIENCE,
    DemoFailed,
    Place,
    Server,
    command,
    first_end,
    free_ports,
    places,
    write_files,
)
from xmppfed.net.certificates import load_certificate, presented_names

HANG_UP = b""
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FakeTransport:
    """A process that ends when it is told to, unless it is stubborn."""

    pid = 4711

    def __init__(self, protocol: Server) -> None:
        self.protocol = protocol
        self.signals: list[str] = []
        self.stubborn = False
        self.gone = False

    def signalProcess(self, name: str) -> None:
        if self.gone:
            raise ProcessExitedAlready
        self.signals.append(name)
        if name == "KILL" or not self.stubborn:
            self.end()

    def end(self) -> None:
        self.gone = True
        self.protocol.processEnded(Failure(ProcessDone(0)))


class FakeReactor(Clock):
    """Starts no process; at the control socket it gives `answers`, or nobody is there when they are used up."""

    def __init__(self) -> None:
        super().__init__()
        self.spawned: list[Any] = []
        self.answers: list[bytes] = []
        self.requests: list[StringTransport] = []
        self.paths: list[str] = []

    def spawnProcess(self, protocol: Any, executable: str, args: Any, **more: Any) -> None:
        self.spawned.append((executable, args, more))
        protocol.makeConnection(FakeTransport(protocol))

    def connectUNIX(self, path: str, factory: Any, **_: Any) -> None:
        self.paths.append(path)
        if not self.answers:
            factory.clientConnectionFailed(None, Failure(ConnectError("nobody")))
            return
        protocol = factory.buildProtocol(None)
        self.requests.append(StringTransport())
        protocol.makeConnection(self.requests[-1])
        answer = self.answers.pop(0)
        if answer == HANG_UP:
            self.callLater(0, protocol.connectionLost, Failure(ConnectionDone()))
        else:
            self.callLater(0, protocol.dataReceived, answer)


def answer(code: int, body: bytes) -> bytes:
    """What a control socket sends back."""
    return b"HTTP/1.1 %d Whatever\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n%b" % (code, len(body), body)


class Case(SynchronousTestCase):
    """A folder with two places."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.pair = places(self.folder, (40001, 40002))
        self.reactor = FakeReactor()

    def started(self, place: Place) -> tuple[Server, FakeTransport]:
        server = Server(self.reactor, place)
        server.start()
        transport: Any = server.transport
        return server, transport


class PlacesTests(Case):
    """What is decided before anything runs."""

    def test_ports_differ(self) -> None:
        """Ports found together are different ones."""
        self.assertEqual(len(set(free_ports(5))), 5)

    def test_passwords_are_new_each_time(self) -> None:
        """No two accounts share a password, and no two runs."""
        found = {place.password for place in (*self.pair, *places(self.folder, (1, 2)))}
        self.assertEqual(len(found), 4)
        self.assertTrue(all(len(password) >= 12 for password in found))

    def test_addresses(self) -> None:
        """An account, the URL that the other server uses, and one for any client on this machine."""
        juliet, romeo = self.pair
        self.assertEqual((juliet.address, romeo.address), ("juliet@capulet.example", "romeo@montague.example"))
        self.assertEqual(juliet.url, "wss://capulet.example:40001/xmpp-websocket")
        self.assertEqual(romeo.local_url, "wss://localhost:40002/xmpp-websocket")


class FilesTests(Case):
    """The files are what a server can start with."""

    def test_a_server_can_start_with_each_configuration(self) -> None:
        """Everything that a start does up to listening works, with the certificates that were made."""
        write_files(self.pair, NOW)
        for place in self.pair:
            assembly.check(config.load(place.config, assembly.module_options()))

    def test_each_is_told_where_the_other_is(self) -> None:
        """The route to the other domain needs no DNS, and its address is the one private network that is allowed."""
        write_files(self.pair, NOW)
        for place, other in (self.pair, self.pair[::-1]):
            loaded = config.load(place.config, assembly.module_options())
            routes = loaded.federation.static_routes
            self.assertEqual(
                {domain: (route.url, route.addresses) for domain, route in routes.items()},
                {other.domain: (other.url, ("127.0.0.1",))},
            )
            self.assertEqual([str(network) for network in loaded.allow_private_addresses], ["127.0.0.1/32"])

    def test_certificates_are_good_for_any_client(self) -> None:
        """A certificate proves the domain to servers and `localhost` to a client that is told to go there."""
        write_files(self.pair, NOW)
        for place in self.pair:
            names = presented_names(load_certificate(self.folder / f"{place.domain}.pem").leaf)
            self.assertEqual(names.dns_names, (place.domain, "localhost"))


class ProcessTests(Case):
    """A server is a process of its own, which ends with the demo."""

    def test_it_is_twistd_by_the_same_python(self) -> None:
        """The process is this Python, in the environment of the demo, told which configuration to read."""
        server, _ = self.started(self.pair[0])
        executable, arguments, more = self.reactor.spawned[0]
        self.assertEqual((executable, arguments[-2:]), (sys.executable, ["--config", str(self.pair[0].config)]))
        self.assertIsNone(more["env"])
        self.assertEqual((server.pid, sorted(more["childFDs"])), (4711, [0, 1, 2]))

    def test_ready_when_it_answers(self) -> None:
        """A server is ready when its control socket answers, however long nobody was there."""
        server, _ = self.started(self.pair[0])
        ready = Deferred.fromCoroutine(server.ready())
        self.reactor.pump([0.1] * 3)
        self.assertNoResult(ready)
        self.reactor.answers.append(answer(200, b"{}"))
        self.reactor.pump([0.1] * 3)
        self.successResultOf(ready)
        self.assertIn(b"POST /status ", self.reactor.requests[0].value())
        self.assertEqual(self.reactor.paths[0], str(self.folder / "capulet.example" / "control.sock"))

    def test_an_early_end_is_told(self) -> None:
        """Nobody waits for a server that has ended."""
        server, transport = self.started(self.pair[0])
        ready = Deferred.fromCoroutine(server.ready())
        transport.end()
        self.reactor.advance(0.1)
        self.assertIn("capulet.example has ended", str(self.failureResultOf(ready, DemoFailed).value))

    def test_waiting_has_an_end(self) -> None:
        """A server that never answers is given up."""
        server, _ = self.started(self.pair[0])
        ready = Deferred.fromCoroutine(server.ready())
        self.reactor.pump([0.1] * int(PATIENCE * 10 + 3))
        self.assertIn("was not ready within 60 s", str(self.failureResultOf(ready, DemoFailed).value))

    def test_stop_is_gentle(self) -> None:
        """SIGTERM is enough for a server that obeys, and leaves no timer behind."""
        server, transport = self.started(self.pair[0])
        self.successResultOf(Deferred.fromCoroutine(server.stop()))
        self.assertEqual((transport.signals, self.reactor.getDelayedCalls()), (["TERM"], []))

    def test_stop_has_an_end(self) -> None:
        """A server that does not obey is killed."""
        server, transport = self.started(self.pair[0])
        transport.stubborn = True
        stopped = Deferred.fromCoroutine(server.stop())
        self.assertNoResult(stopped)
        self.reactor.advance(PATIENCE)
        self.successResultOf(stopped)
        self.assertEqual(transport.signals, ["TERM", "KILL"])

    def test_stop_after_its_end(self) -> None:
        """To stop a server that has ended by itself is no fault."""
        server, transport = self.started(self.pair[0])
        transport.end()
        self.successResultOf(Deferred.fromCoroutine(server.stop()))
        self.assertEqual(transport.signals, [])

    def test_first_end(self) -> None:
        """Of several servers the first that ends is told; the others may end later."""
        one, two = self.started(self.pair[0]), self.started(self.pair[1])
        ended = Deferred.fromCoroutine(first_end([one[0], two[0]]))
        self.assertNoResult(ended)
        two[1].end()
        one[1].end()
        self.assertIs(self.successResultOf(ended), two[0])

    def test_report_is_the_end_of_the_log(self) -> None:
        """Who must find out what went wrong sees the last lines of the log."""
        server, _ = self.started(self.pair[0])
        self.pair[0].log.write_text("".join(f"line {number}\n" for number in range(100)))
        report = server.report()
        self.assertIn("line 99", report)
        self.assertNotIn("line 50", report)


class CommandTests(Case):
    """Accounts are made through the control socket."""

    def ask(self) -> Deferred[dict[str, Any]]:
        asked = Deferred.fromCoroutine(command(self.reactor, self.pair[0], "user/add", {"address": "juliet@capulet.example"}))
        self.reactor.advance(0)
        return asked

    def test_answer(self) -> None:
        """A command is a POST with its arguments as JSON; its answer is a JSON object."""
        self.reactor.answers.append(answer(200, b'{"added": "juliet@capulet.example"}'))
        self.assertEqual(self.successResultOf(self.ask()), {"added": "juliet@capulet.example"})
        self.assertTrue(self.reactor.requests[0].value().endswith(b'\r\n\r\n{"address": "juliet@capulet.example"}'))

    def test_refusal(self) -> None:
        """A refusal ends the demo with the server's reason."""
        self.reactor.answers.append(answer(409, b'{"error": "there is one already"}'))
        self.assertIn("there is one already", str(self.failureResultOf(self.ask(), DemoFailed).value))

    def test_interruption(self) -> None:
        """Who interrupts the demo is not told that a server failed."""
        self.reactor.answers.append(b"HTTP/1.1")
        asked = self.ask()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)

    def test_no_answer(self) -> None:
        """A server that hangs up has not answered."""
        self.reactor.answers.append(HANG_UP)
        self.assertIn("user/add was not answered", str(self.failureResultOf(self.ask(), DemoFailed).value))
