"""Somebody at a real client: a process that is told what to do on its stdin, and tells on its stdout what is to be seen.

Both are lines of JSON. The deeds that every script in `clients/` knows: `login`, `ping`, `say`, `show`, `subscribe`,
`approve`, `remove`, `leave`; others only some do. The events: `ready`, `online` (the roster is there, presence is
sent), `offline`, `pong`,
`message`, `presence` (as in the stanza), `contact` (an item of the roster, `subscription` is `remove` when it is gone),
`complaint` (a warning of the client), `failed`, and what one client alone can tell.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from tests.interop.processes import PATIENCE
from tests.interop.scenario import Failure, need

__all__ = ["CLIENTS", "Account", "Contact", "Person", "Program", "person"]

CLIENTS = Path(__file__).parent / "clients"


@dataclass(frozen=True)
class Account:
    """Whose account. Without a `url` the client finds the server by itself, as its kind does."""

    domain: str
    user: str
    password: str
    url: str = ""

    @property
    def address(self) -> str:
        """The bare JID."""
        return f"{self.user}@{self.domain}"


@dataclass(frozen=True)
class Program:
    """A client that can be run by `interpreter clients/SCRIPT`, and the commands and files that it needs."""

    name: str
    script: str
    interpreter: str | Path
    needs: tuple[str | Path, ...]


@dataclass
class Contact:
    """What a client shows of somebody: the `show` is `available`, `unavailable`, or a word of RFC 6121, 4.7.2.1."""

    subscription: str = "none"
    show: str = "unavailable"
    asks: bool = False
    """Whether they wait for an answer to their request."""


@dataclass
class Person:
    """What is known of a client by what it has told."""

    account: Account
    program: Program
    log: Path
    _process: subprocess.Popen[str]
    jid: str = ""
    contacts: dict[str, Contact] = field(default_factory=dict)
    told: list[dict[str, Any]] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    def do(self, deed: str, **facts: str) -> None:
        """Tell it to do something."""
        stream = self._process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps({"deed": deed, **facts}) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise self._failure(f"cannot {deed}: it has ended") from None

    def can(self, deed: str) -> bool:
        """Whether its script knows a deed that not all know."""
        return any(deed in told.get("deeds", []) for told in self.events("ready"))

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until `condition` is true of what it has told; raises `Failure` if that is never, naming `what`."""
        with self._news:
            self._news.wait_for(lambda: condition() or self._ended, PATIENCE)
            if not condition():
                raise self._failure(f"{what} did not come")

    def contact(self, address: str) -> Contact:
        """What is shown of a bare JID."""
        return self.contacts.setdefault(address, Contact())

    def events(self, name: str, **facts: Any) -> list[dict[str, Any]]:
        """What it has told under `name`, with these facts."""
        wanted = {"event": name, **facts}
        return [told for told in self.told if wanted.items() <= told.items()]

    def listen(self, stream: IO[str]) -> None:
        """Take in what it tells, until it ends. Runs in a thread."""
        with self.log.open("w") as log:
            for line in stream:
                log.write(line)
                log.flush()
                if line.startswith('{"event"'):
                    with self._news:
                        self._take(json.loads(line))
                        self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _take(self, told: dict[str, Any]) -> None:
        self.told.append(told)
        match told:
            case {"event": "online", "jid": jid}:
                self.jid = jid
            case {"event": "offline"}:
                self.jid = ""
                self.contacts.clear()
            case {"event": "contact", "jid": jid, "subscription": "remove"}:
                self.contact(jid).subscription = "none"
            case {"event": "contact", "jid": jid, "subscription": subscription}:
                self.contact(jid).subscription = subscription or "none"
            case {"event": "presence", "from": jid, **rest}:
                self._take_presence(self.contact(jid.partition("/")[0]), rest.get("type"), rest.get("show"))

    def _take_presence(self, contact: Contact, kind: str | None, show: str | None) -> None:
        if kind == "subscribe":
            contact.asks = True
        elif kind in (None, "available"):
            contact.show = show or "available"
        elif kind == "unavailable":
            contact.show = kind

    def _failure(self, what: str) -> Failure:
        last = " | ".join(self.log.read_text(errors="replace").splitlines()[-4:])[-2000:]
        return Failure(f"{self.program.name} of {self.account.address}: {what}; the last lines of {self.log.name}: {last}")


@contextmanager
def person(program: Program, account: Account, authority: Path | None, folder: Path) -> Iterator[Person]:
    """Somebody with a running client, who is not logged in yet. `authority` (PEM) signs the certificates of servers, if there
    are any."""
    need(program.interpreter, *program.needs)
    home = folder / f"{account.user}-{Path(program.script).stem}"
    home.mkdir()
    environment = {"NODE_EXTRA_CA_CERTS": str(authority), "INTEROP_AUTHORITY": str(authority)} if authority else {}
    process = subprocess.Popen(
        [program.interpreter, CLIENTS / program.script, json.dumps(asdict(account))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=home,
        env=os.environ | environment,
    )
    somebody = Person(account, program, home / "client.log", process)
    listener = threading.Thread(target=somebody.listen, args=[process.stdout])
    listener.start()
    try:
        somebody.until("readiness", lambda: somebody.events("ready"))
        yield somebody
    finally:
        _end(process)
        listener.join()


def _end(process: subprocess.Popen[str]) -> None:
    """Close its stdin, which ends a script that is not in the middle of a deed; else end it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.terminate()
        process.wait()
