"""Two running servers of any make, each with somebody on it, and what must cross between them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.interop.client import Client
from tests.interop.processes import wait_until
from tests.interop.scenario import Failure, show

__all__ = ["Host", "Peer", "Server", "converse", "converse_over"]


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server and its log."""

    domain: str
    log: Path

    def client(self, user: str) -> Client:
        """Log in somebody whose password is their name."""
        raise NotImplementedError

    def has_said(self, text: str) -> bool:
        """Whether the log has this text by now."""
        return text in self.log.read_text(errors="replace")

    def must_say(self, text: str) -> None:
        """Wait for a text in the log; raises `Failure` with the end of the log when it does not come."""
        try:
            wait_until(lambda: self.has_said(text), f"{text!r} in {self.log.name}")
        except Failure as failure:
            raise Failure(f"{failure}; it ends with: {self.log.read_text(errors='replace')[-1500:]}") from None

    def must_not_say(self, text: str) -> None:
        """Look once whether the log has a text that nobody should see."""
        if self.has_said(text):
            raise Failure(f"found {text!r} in {self.log.name}")


@dataclass(frozen=True)
class Host:
    """What a server of others is told of itself: its one domain, its own address, and its certificate (chain and key)."""

    domain: str
    address: str
    certificate: Path
    authority: Path


@dataclass(frozen=True, kw_only=True)
class Peer(Server):
    """A server of others, whose clients find it over WebSocket at port 443 of `host`."""

    host: Host

    def client(self, user: str) -> Client:
        """Log in somebody whose password is their name."""
        host = self.host
        return Client.log_in(user, user, host.domain, 443, host.authority, address=host.address)


def converse_over(streams: str, here: Server, there: Peer, mechanism: str) -> None:
    """Romeo, on ours, and Juliet, on a Prosody, speak over `two` streams; or over one by bidi, of `ours` or of `theirs`."""
    romeo, juliet = here.client("romeo"), there.client("juliet")
    converse(*(juliet, romeo) if streams == "theirs" else (romeo, juliet))
    if streams != "theirs":
        here.must_say(f"stream from {here.domain} to {there.domain} is established by {mechanism}")
    if streams != "ours":
        here.must_say(f"server {there.domain} authenticated by {mechanism}")
    found = len(re.findall("s2s connection .* complete", there.log.read_text(errors="replace")))
    if found != (2 if streams == "two" else 1):
        raise Failure(f"found {found} streams; wanted {streams}")
    show(f"{mechanism}, {'two streams' if streams == 'two' else f'one stream for both ways (bidi), {streams}'}")


def converse(alice: Client, bob: Client) -> None:
    """A message, a question and a subscription each way, the first messages by the clock."""
    times = [_say(*pair, text) for pair, text in (((alice, bob), "first"), ((bob, alice), "back"), ((alice, bob), "warm"))]
    for one, other in ((alice, bob), (bob, alice)):
        one.ask(other)
        one.subscribe(other)
    show(
        "message, question and subscription each way; first message {:.0f} ms, first answer {:.0f} ms, warm {:.0f} ms".format(
            *times
        )
    )


def _say(sender: Client, to: Client, text: str) -> float:
    """Milliseconds from one client to the other."""
    start = time.monotonic()
    sender.say(to.address, text)
    to.hear(text)
    return (time.monotonic() - start) * 1000
