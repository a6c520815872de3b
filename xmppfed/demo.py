"""`make run`: two servers that federate over WebSocket, a conversation between them, and what happened in plain words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import react

from xmppfed.core.jid import JID
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.demo_client import Person, log_in
from xmppfed.demo_servers import HOST, DemoFailed, Place, Server, command, first_end, free_ports, places, write_files
from xmppfed.errors import XMPPFedError
from xmppfed.net.certificates import moment
from xmppfed.net.tls import TrustRoots

__all__ = ["converse", "established_by", "main"]

Tell = Callable[[str], None]


def established_by(log: str, sender: str, to: str) -> str | None:
    """How a server proved itself, by the words of its log; none if it has not."""
    found = re.findall(rf"stream from {re.escape(sender)} to {re.escape(to)} is established by (\S+)", log)
    return found[-1] if found else None


def goes_back(log: str, sender: str, to: str) -> bool:
    """Whether a server may answer on the stream that the other one opened, by the words of its log."""
    return f"stanzas from {sender} to {to} may go back on its stream" in log


async def converse(reactor: Any, pair: tuple[Place, Place], trust: TrustRoots, tell: Tell) -> None:
    """Log both in and let them talk, both ways and once more. Raises `DemoFailed`."""
    people = []
    tell("Both log in as any client would, over a WebSocket inside TLS:")
    for place in pair:
        start = reactor.seconds()
        people.append(await log_in(reactor, place, trust))
        tell(f"    {place.address:<25} by {people[-1].mechanism} in {_milliseconds(reactor, start)}")
    tell("They talk, from one server to the other:")
    await _exchange(reactor, people, pair, "Art thou not Romeo, and a Montague?", tell)
    _explain_first(*pair, tell)
    await _exchange(reactor, people[::-1], pair[::-1], "Neither, fair maid, if either thee dislike.", tell)
    _explain_first(*pair[::-1], tell)
    await _exchange(reactor, people, pair, "How camest thou hither, tell me, and wherefore?", tell)
    tell("      The way was open already; so this is what a message costs from now on.")


async def _exchange(reactor: Any, people: list[Person], pair: tuple[Place, ...], text: str, tell: Tell) -> None:
    start = reactor.seconds()
    people[0].say(pair[1].address, text)
    message = await people[1].hear(reactor)
    body = message.child(f"{{{NS_CLIENT}}}body")
    found = (body.text if body else None, JID.parse(message.get("from") or "").bare)
    wanted = (text, JID.parse(pair[0].address))
    if found != wanted:
        raise DemoFailed(f"found the message {found}; wanted {wanted}")
    tell(f'    {pair[0].user} to {pair[1].user}: "{text}" - arrived after {_milliseconds(reactor, start)}')


def _explain_first(sender: Place, to: Place, tell: Tell) -> None:
    """Which way the first message went, and why it took longer: by the words of the log of the sender's server."""
    log = sender.log.read_text(errors="replace")
    mechanism = established_by(log, sender.domain, to.domain)
    if mechanism is None and goes_back(log, sender.domain, to.domain):
        tell("      It went back on the same stream: both servers have agreed on both ways (XEP-0288).")
        return
    if mechanism is None:
        raise DemoFailed(f"the message arrived, but the log of {sender.domain} knows no stream to {to.domain}")
    tell(f"      {sender.domain} opened a stream for this, at {to.url} ({HOST}).")
    if mechanism == "EXTERNAL":
        tell("      Each server showed a certificate that proves its domain (trust: SASL EXTERNAL).")
    else:
        tell(f"      The other server believed it by another way (trust: {mechanism}).")


def _milliseconds(reactor: Any, start: float) -> str:
    return f"{(reactor.seconds() - start) * 1000:.0f} ms"


async def _play(reactor: Any, servers: list[Server], folder: Path, once: bool, tell: Tell) -> None:
    """The whole demo; `servers` gets what must be stopped afterwards, however this ends."""
    pair = places(folder, free_ports(2))
    authority = write_files(pair, moment(reactor))
    tell(f"A throw-away certificate authority, and for each domain a certificate and a configuration: {folder}")
    await _start(reactor, pair, servers, tell)
    await converse(reactor, pair, TrustRoots.load([authority]), tell)
    if not once:
        _invite(pair, authority, tell)
        await _stay_up(servers, tell)


async def _start(reactor: Any, pair: tuple[Place, Place], servers: list[Server], tell: Tell) -> None:
    start = reactor.seconds()
    tell("Two servers, each a process of its own:")
    for place in pair:
        servers.append(Server(reactor, place))
        servers[-1].start()
    for server in servers:
        place = server.place
        await server.ready()
        tell(f"    {place.domain:<25} at {HOST}, port {place.port}, process {server.pid}")
        await command(reactor, place, "user/add", {"address": place.address, "password": place.password})
    tell(f"    ready after {reactor.seconds() - start:.1f} s, with an account on each")


def _invite(pair: tuple[Place, Place], authority: Path, tell: Tell) -> None:
    tell("Now you: both servers stay up until Ctrl-C, for any client that speaks XMPP over WebSocket.")
    for place in pair:
        tell(f"    {place.address:<25} password {place.password}   {place.local_url}")
    tell(f"    The client must trust this authority: {authority}")


async def _stay_up(servers: list[Server], tell: Tell) -> None:
    try:
        server = await first_end(servers)
    except CancelledError:
        return
    raise DemoFailed(f"the server of {server.place.domain} has ended by itself")


async def _finish(story: Deferred[None], servers: list[Server], folder: Path, tell: Tell) -> None:
    """Wait for the end of the story, say why if it is an early one, and leave nothing behind."""
    try:
        await story
    except XMPPFedError as error:
        ended = [server.report() for server in servers if server.ended.called]
        print(f"The demo failed: {error}", *ended, sep="\n", file=sys.stderr)
        raise SystemExit(1) from None
    except (CancelledError, ConnectingCancelledError):
        print("The demo was interrupted.", file=sys.stderr)
        raise SystemExit(1) from None
    finally:
        for server in servers:
            await server.stop()
        shutil.rmtree(folder)
    tell("Done: both servers have stopped, and their files are gone.")


def main(reactor: Any) -> Deferred[None]:
    """Run the demo and clean up, whatever happens; ONCE=1 in the environment ends it after the messages."""
    folder, servers, tell = Path(tempfile.mkdtemp(prefix="xmppfed-demo-")), list[Server](), partial(print, flush=True)
    story = Deferred.fromCoroutine(_play(reactor, servers, folder, os.environ.get("ONCE") == "1", tell))
    finished = Deferred.fromCoroutine(_finish(story, servers, folder, tell))

    def stop() -> Deferred[None]:
        if not story.called:  # Cleaning up is never cut short.
            story.cancel()
        return finished

    reactor.addSystemEventTrigger("before", "shutdown", stop)
    # A terminal that is closed ends the demo as Ctrl-C does.
    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(reactor.stop))
    return finished


if __name__ == "__main__":
    react(main)
