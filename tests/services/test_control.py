"""The control socket: who may listen where, and what commands answer."""

from __future__ import annotations

import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.sasl.keys import verify_password
from xmppfed.errors import ConfigError, XMPPFedError
from xmppfed.services.control import SOCKET_NAME, Command, CommandRefused, Control, user_commands
from xmppfed.storage.memory import MemoryAccounts
from xmppfed.storage.threads import at_once


class ControlTestCase(SynchronousTestCase):
    """A control service on a reactor in memory; its directory is short, as the names of Unix sockets must be."""

    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.data_dir = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.data_dir)
        self.path = self.data_dir / SOCKET_NAME

    def start(self, commands: dict[str, Command] | None = None) -> Control:
        """A service that runs."""
        control = Control(self.reactor, self.data_dir, commands or {})
        control.startService()
        return control

    def stop(self, control: Control) -> None:
        """End `control`."""
        self.successResultOf(Deferred.fromCoroutine(control.stopService()))

    def send(self, request: bytes) -> tuple[Protocol, StringTransport]:
        """A connection to the socket on which `request` was sent."""
        _, site, *_ = self.reactor.unixServers[0]
        protocol, transport = site.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        protocol.dataReceived(request)
        return protocol, transport

    def ask(self, name: str, body: bytes = b"{}", method: str = "POST") -> tuple[int, Any]:
        """The status and the JSON that the command `name` answers."""
        head = f"{method} /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        _, transport = self.send(head.encode() + body)
        return read(transport)


def read(transport: StringTransport) -> tuple[int, Any]:
    """The status and the JSON of the response that was written to `transport`."""
    head, _, body = transport.value().partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head, head
    if b"chunked" in head:
        body = body.split(b"\r\n")[1]
    return int(head.split()[1]), json.loads(body)


class Listening(ControlTestCase):
    """One server listens, at a socket that is its user's alone."""

    def test_listens(self) -> None:
        """The socket is in the data directory, and nobody else may open it."""
        self.start()
        [(path, _, _, mode, _)] = self.reactor.unixServers
        self.assertEqual((path, mode), (str(self.path), 0o600))

    def test_stops(self) -> None:
        """A service that ends stops listening, once."""
        control = self.start()
        stopped: list[bool] = []
        self.patch(control._port, "stopListening", lambda: stopped.append(True))
        self.stop(control)
        self.stop(control)
        self.assertEqual((stopped, control.running), ([True], 0))

    def test_no_directory(self) -> None:
        """Without a data directory the start ends, with a reason."""
        control = Control(self.reactor, self.data_dir / "file" / "gone", {})
        (self.data_dir / "file").touch()
        error = self.assertRaises(ConfigError, control.startService)
        self.assertIn("Not a directory", str(error))
        self.assertIn("data_dir", str(error))

    def test_cannot_listen(self) -> None:
        """A bind that fails stops the start, and says which socket could not be made and why."""

        def refuse(path: str, *_: Any, **__: Any) -> None:
            raise CannotListenError(None, path, OSError(2, "No such file or directory"))

        self.patch(self.reactor, "listenUNIX", refuse)
        control = Control(self.reactor, self.data_dir, {})
        error = self.assertRaises(ConfigError, control.startService)
        self.assertIn(f"{self.path}: found: ", str(error))
        self.assertIn("No such file or directory", str(error))
        self.assertFalse(control.running)

    def test_stale(self) -> None:
        """The socket of a server that was killed is replaced."""
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(self.path))
        self.start()
        self.assertFalse(self.path.exists())  # The reactor in memory makes no file.
        self.assertEqual(len(self.reactor.unixServers), 1)

    def test_living(self) -> None:
        """The socket of a server that runs is left to it; even when that one is too busy to take another connection."""
        with socket.socket(socket.AF_UNIX) as living:
            living.bind(str(self.path))
            living.listen(0)
            for _ in range(3):  # Each attempt stays in the queue, which has hardly any room.
                error = self.assertRaises(ConfigError, self.start)
                self.assertIn("a server that listens there", str(error))
            self.assertTrue(self.path.exists())
        self.assertEqual(self.reactor.unixServers, [])

    def test_no_socket(self) -> None:
        """A file that is no socket was not left by us, and is not removed."""
        self.path.write_text("precious")
        error = self.assertRaises(ConfigError, self.start)
        self.assertIn("no socket", str(error))
        self.assertEqual(self.path.read_text(), "precious")


class Commands(ControlTestCase):
    """A request names a command, and the answer is JSON."""

    def setUp(self) -> None:
        super().setUp()
        self.calls: list[dict[str, Any]] = []
        self.waiting: Deferred[object] = Deferred()

        async def echo(arguments: dict[str, Any]) -> object:
            self.calls.append(arguments)
            return {"echo": arguments}

        async def refuse(arguments: dict[str, Any]) -> object:
            raise XMPPFedError("not today")

        async def fail(arguments: dict[str, Any]) -> object:
            raise KeyError("hidden")

        async def wait(arguments: dict[str, Any]) -> object:
            return await self.waiting

        self.start({"echo/it": echo, "refuse": refuse, "fail": fail, "wait": wait})

    def test_command(self) -> None:
        """The command gets the object of the body, and its result comes back."""
        self.assertEqual(self.ask("echo/it", b'{"a": [1, "\xc3\xa9"]}'), (200, {"echo": {"a": [1, "é"]}}))

    def test_no_body(self) -> None:
        """No body is an empty object."""
        self.assertEqual(self.ask("echo/it", b""), (200, {"echo": {}}))

    def test_waits(self) -> None:
        """A command may take its time."""
        _, transport = self.send(b"POST /wait HTTP/1.0\r\n\r\n")
        self.assertEqual(transport.value(), b"")
        self.waiting.callback("done")
        self.assertEqual(read(transport), (200, "done"))

    def test_gone(self) -> None:
        """When nobody waits for the answer any more, the command is finished all the same."""
        protocol, transport = self.send(b"POST /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        protocol.connectionLost(Failure(ConnectionDone()))
        self.waiting.callback("done")
        self.assertEqual((transport.value(), self.flushLoggedErrors()), (b"", []))

    def test_unknown(self) -> None:
        """An unknown command is refused with those that are known."""
        wanted = "found the command 'echo'; wanted one of echo/it, fail, refuse, wait"
        self.assertEqual(self.ask("echo"), (400, {"error": wanted}))

    def test_method(self) -> None:
        """Only POST runs commands: nothing happens because somebody looked."""
        self.assertEqual(self.ask("echo/it", method="GET"), (400, {"error": "found the method GET; wanted POST"}))
        self.assertEqual(self.calls, [])

    def test_bodies(self) -> None:
        """A body is a JSON object."""
        for body, found in ((b"{", "no JSON"), (b"\xff", "no JSON"), (b"[1]", "of type list")):
            status, answer = self.ask("echo/it", body)
            self.assertEqual(status, 400)
            self.assertIn(found, answer["error"])
            self.assertIn("wanted a JSON object", answer["error"])
        self.assertEqual(self.calls, [])

    def test_refused(self) -> None:
        """A refusal of the command is told in its words."""
        self.assertEqual(self.ask("refuse"), (400, {"error": "not today"}))

    def test_failed(self) -> None:
        """A fault of ours goes to the log, and not over the wire."""
        wanted = {"error": "fail failed inside the server; its log says why"}
        self.assertEqual(self.ask("fail"), (500, wanted))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    @given(st.binary(max_size=30))
    def test_any_body(self, body: bytes) -> None:
        """Whatever comes, it is answered, and no fault of ours."""
        status, _ = self.ask("echo/it", body)
        self.assertIn(status, (200, 400))


class Users(ControlTestCase):
    """Accounts are added, changed, deleted and listed while the server runs."""

    def setUp(self) -> None:
        super().setUp()
        self.accounts = MemoryAccounts()
        self.start(user_commands(self.accounts, ["example.org", "example.net"], at_once))

    def run_command(self, name: str, **arguments: str) -> tuple[int, Any]:
        """The answer to `user/name`."""
        return self.ask(f"user/{name}", json.dumps(arguments).encode())

    def password_is(self, password: str) -> bool:
        """Whether Juliet has this password."""
        keys = self.successResultOf(Deferred.fromCoroutine(self.accounts.keys("example.org", "juliet")))
        return all(verify_password(one, password) for one in keys.values())

    def test_add(self) -> None:
        """An account is there when the answer comes, under its prepared address."""
        added = self.run_command("add", address="Juliet@example.org", password="R0m30")
        self.assertEqual(added, (200, {"added": "juliet@example.org"}))
        self.assertTrue(self.password_is("R0m30"))

    def test_add_twice(self) -> None:
        """An account that exists is a conflict."""
        self.run_command("add", address="juliet@example.org", password="R0m30")
        status, answer = self.run_command("add", address="juliet@example.org", password="other")
        self.assertEqual(status, 409)
        self.assertIn("juliet@example.org exists already", answer["error"])
        self.assertTrue(self.password_is("R0m30"))

    def test_passwd(self) -> None:
        """A new password counts at once."""
        self.run_command("add", address="juliet@example.org", password="first")
        changed = self.run_command("passwd", address="juliet@example.org", password="second")
        self.assertEqual(changed, (200, {"changed": "juliet@example.org"}))
        self.assertTrue(self.password_is("second"))

    def test_delete(self) -> None:
        """A deleted account is gone; the next attempt says so."""
        self.run_command("add", address="juliet@example.org", password="first")
        self.assertEqual(self.run_command("delete", address="juliet@example.org"), (200, {"deleted": "juliet@example.org"}))
        status, answer = self.run_command("delete", address="juliet@example.org")
        self.assertEqual(status, 404)
        self.assertIn("there is no juliet@example.org", answer["error"])

    def test_list(self) -> None:
        """All accounts of all domains, domain by domain."""
        for address in ("romeo@example.net", "nurse@example.org", "juliet@example.org"):
            self.run_command("add", address=address, password="x")
        wanted = ["juliet@example.org", "nurse@example.org", "romeo@example.net"]
        self.assertEqual(self.run_command("list"), (200, {"accounts": wanted}))

    def test_wrong_fields(self) -> None:
        """What a command wants and does not get, or gets and does not want, is told."""
        for name, arguments, part in (
            ("add", {"address": "juliet@example.org"}, "missing required field `password`"),
            ("delete", {"address": "juliet@example.org", "force": "yes"}, "unknown field `force`"),
            ("list", {"domain": "example.org"}, "wanted no fields"),
        ):
            status, answer = self.run_command(name, **arguments)
            self.assertEqual(status, 400)
            self.assertIn(part, answer["error"])

    def test_elsewhere(self) -> None:
        """Accounts are at our own domains only."""
        status, answer = self.run_command("add", address="juliet@example.com", password="x")
        self.assertEqual(status, 400)
        self.assertIn("DOMAIN is example.net or example.org", answer["error"])

    def test_refusal_for_python(self) -> None:
        """Who calls a command without the socket gets the same refusals."""
        commands = user_commands(self.accounts, ["example.org"], at_once)
        self.failureResultOf(Deferred.fromCoroutine(commands["user/add"]({})), CommandRefused)
