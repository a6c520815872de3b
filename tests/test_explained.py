"""The words in which an operator reads why a domain is reached or not."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.discovery.guard import refusal
from xmppfed.explained import advice, check_lines, stream_lines


def attempt(reason: str = "", outcome: str = "failed") -> dict[str, Any]:
    """A try."""
    candidate = {"url": "wss://b.example/ws", "source": "a test", "priority": 1}
    return {
        "candidate": candidate,
        "address": "192.0.2.1",
        "began": 0.25,
        "seconds": 0.01,
        "outcome": outcome,
        "server_names": [],
        "seen": "",
        "wanted": ["b.example"],
        "proof": "",
        "features": [],
        "mechanism": "",
        "reason": reason,
    }


def trace(*attempts: dict[str, Any], **more: object) -> dict[str, Any]:
    """What the control socket answers."""
    return {"pair": {"sender": "a.example", "to": "b.example"}, "explanations": [], "attempts": [*attempts], **more}


class Advice(SynchronousTestCase):
    """One line that says what to do."""

    def test_by_reason(self) -> None:
        """Each common reason has its own, and the certificate comes before all others."""
        for reason, words in (
            ("found a certificate for DNS x; wanted one for b.example", "does not name the domain"),
            ("no WebSocket: WebSocket connection upgrade failed [426]: Upgrade Required", "Upgrade and Connection"),
            ("no WebSocket: WebSocket connection upgrade failed [404]: Not Found", "There is no WebSocket at that URL"),
            ("no WebSocket: WebSocket connection upgrade failed [502]: Bad Gateway", "does not reach its server"),
            ("no connection: Connection was refused by other side", "Nothing listens there"),
            ("no agreement on TLS within 10 s", "too slow"),
            ("something nobody has seen", "See what each try came to"),
        ):
            self.assertIn(words, advice(trace(attempt(reason))), reason)
        both = trace(attempt("Connection was refused"), attempt("wanted one for b.example"))
        self.assertIn("does not name the domain", advice(both))

    def test_private_address(self) -> None:
        """An address that was found, and may not be connected to, is not the same as none."""
        reason = refusal("10.0.0.7", ())
        self.assertIn("list its network in `allow_private_addresses`", advice(trace(explanations=[f"b.example: {reason}"])))
        self.assertIn("says nowhere how it is reached", advice(trace(explanations=["b.example: no such name"])))


class Checked(SynchronousTestCase):
    """Our own domain."""

    def test_refused_handshake(self) -> None:
        """A proxy that loses a header is named with the header, and what to paste for it."""
        reason = "Found no Upgrade: websocket; a reverse proxy in between must pass it on."
        lines = list(check_lines(trace(attempt("426"), refused=[reason])))
        self.assertIn(f"Advice: A proxy in front of this server changes the handshake. {reason}", lines)
        self.assertIn("  proxy_set_header Upgrade $http_upgrade;", lines)

    def test_other_reasons(self) -> None:
        """Else the advice is that for any domain."""
        lines = list(check_lines(trace(attempt("wanted one for b.example"), refused=[])))
        self.assertTrue(any("does not name the domain" in line for line in lines))


class Streams(SynchronousTestCase):
    """The streams of a server."""

    def test_unproved(self) -> None:
        """Who has proved nothing yet is shown as such."""
        stream = {"direction": "in", "pairs": [], "address": "192.0.2.1", "mechanism": "", "unacknowledged": None}
        self.assertEqual(list(stream_lines([stream])), ["in: not authorized yet (192.0.2.1, no proof yet)"])

    def test_under_way(self) -> None:
        """What was sent and not acknowledged is told."""
        stream = {"direction": "out", "pairs": [("a", "b")], "address": "", "mechanism": "EXTERNAL", "unacknowledged": 2}
        self.assertEqual(list(stream_lines([stream])), ["out: a to b (no address, EXTERNAL, 2 not acknowledged)"])

    def test_broken(self) -> None:
        """And so is a session whose stream broke, with what is kept for it."""
        broken = [{"pair": ["a", "b"], "stanzas": number, "seconds": 5.4} for number in (3, 0)]
        self.assertEqual(
            list(stream_lines([], broken)),
            [
                "broken: a to b (can be resumed for 5 s; 3 stanzas are kept)",
                "broken: a to b (can be resumed for 5 s; nothing is kept)",
            ],
        )
