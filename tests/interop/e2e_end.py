"""One of our ends as a process: it says what it hears, from whom, and by what it knows that.

    python -m tests.interop.e2e_end NAME POLICY listen PORT [code]
    python -m tests.interop.e2e_end NAME POLICY call OTHER PORT TEXT [CODE]

The first answers everybody, the second says one thing, waits for an answer and leaves. Its files are NAME.pem and NAME.json.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from xmppfed.core.stanza import Stanza
from xmppfed.e2e.identity import load_identity
from xmppfed.e2e.library import E2E, Peer, body_of, message
from xmppfed.e2e.store import FileTrustStore
from xmppfed.e2e.trust import Policy


def say(*words: str) -> None:
    """Print a line at once."""
    print(*words, flush=True)


def tell(node: E2E, peer: Peer, stanza: Stanza) -> None:
    """What was heard."""
    stream = node.stream(peer.name)
    assert stream is not None  # it has just brought a stanza, and nothing else has happened since
    handle = getattr(stream.connection._wire.transport, "getHandle", lambda: None)()
    tls = handle.get_protocol_version_name() if stream.beneath.secure else "no TLS"
    mechanism = stream.connection.stream.mechanism or "no SASL"
    say(f"heard {peer.name} ({stream.trust.value}, {tls}, {mechanism}): {body_of(stanza)}")


async def listen(node: E2E, port: str, code: str = "") -> None:
    """Answer everybody."""
    await node.listen(f"tcp:{port}:interface=127.0.0.1")
    if code:
        say("code", node.show_code())
    async for peer, stanza in node:
        tell(node, peer, stanza)
        peer.send(message(f"you said {body_of(stanza)}"))


async def call(node: E2E, other: str, port: str, text: str, code: str = "") -> None:
    """Say one thing, wait for an answer, and leave."""
    place = f"tcp:127.0.0.1:{port}"
    if code:
        say("paired with", await node.pair(other, code, place))
    peer = await node.open(other, place)
    peer.send(message(text))
    async for stanza in peer:
        tell(node, peer, stanza)
        break
    await node.close()
    say("closed")


def main(reactor: Any, name: str, policy: str, verb: str, *rest: str) -> Deferred[None]:
    """Be this end."""
    trust = FileTrustStore(Path(f"{name}.json"))
    node = E2E(reactor, identity=load_identity(Path(f"{name}.pem")), trust=trust, policy=Policy(policy))
    return Deferred.fromCoroutine(listen(node, *rest) if verb == "listen" else call(node, *rest))


if __name__ == "__main__":
    react(main, sys.argv[1:])
