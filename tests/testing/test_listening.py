"""Ports of a test server."""

from __future__ import annotations

from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.testing.federation import Federation
from xmppfed.testing.ways import PORTS

JULIET = "juliet@capulet.example/balcony"


class Ports(SynchronousTestCase):
    """Who listens where."""

    def ports(self, **options: Any) -> set[int]:
        federation = Federation("capulet.example", **options)
        self.addCleanup(federation.cleanup)
        return {listening.name[1] for listening in federation.network.reactor.wiring.listeners}

    def test_one_for_each_kind(self) -> None:
        """WebSocket needs one port; over TCP clients and servers have two each; bare messages one each besides HTTPS."""
        self.assertEqual(self.ports(wire="websocket"), {443})
        self.assertEqual(self.ports(wire="tcp"), {5222, 5223, 5269, 5270})
        self.assertEqual(self.ports(wire="memory"), {443, PORTS["c2s"], PORTS["s2s"]})

    def test_only_what_is_switched_on(self) -> None:
        """A service that the configuration switches off has no port."""
        settings = {"*": {"services": {"s2s_ws": None}}}
        self.assertEqual(self.ports(wire="memory", configuration=settings), {443, PORTS["c2s"]})
        settings = {"*": {"services": {"s2s_tcp": None}}}
        self.assertEqual(self.ports(wire="tcp", configuration=settings), {5222, 5223})


class Streams(SynchronousTestCase):
    """What the services of the server make of such a stream."""

    def test_limits_of_the_service(self) -> None:
        """A stanza may be as long as the service says, and not longer."""
        wires: tuple[tuple[Literal["memory", "tcp"], str], ...] = (("memory", "c2s_ws"), ("tcp", "c2s_tcp"))
        for wire, service in wires:
            settings = {"*": f"[services.{service}]\nmax_stanza_bytes = 10000"}
            federation = Federation("capulet.example", wire=wire, configuration=settings)
            self.addCleanup(federation.cleanup)
            juliet = federation.client(JULIET)
            for size in (9000, 11000):
                juliet.send(f"<message to='{JULIET}'><body>{'x' * size}</body></message>")
            juliet.expect("message")
            juliet.expect_nothing()
            assert juliet.failure is not None
            self.assertEqual(juliet.failure.condition.value, "policy-violation")

    def test_address(self) -> None:
        """Streams come from where they come from, and each client from an address of its own."""
        federation = Federation("capulet.example", wire="tcp")
        self.addCleanup(federation.cleanup)
        juliet, nurse = federation.client(JULIET), federation.client("nurse@capulet.example")
        self.assertEqual([link.client[0] for link in federation.network.links], [juliet.address, nurse.address])
        self.assertEqual([link for link in federation.network.links if juliet.owns(link) and nurse.owns(link)], [])
