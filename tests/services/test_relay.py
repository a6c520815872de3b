"""Clients of a backend, over WebSocket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.trial.unittest import SynchronousTestCase

from tests.net.plain import Scripted, header
from tests.services.raw import Raw, mechanisms, stream_error
from tests.services.test_gateway import ADDRESSES, BACKEND, EDGE
from tests.testing.peers import Remembering
from xmppfed.core.element import Element
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.testing.federation import PASSWORD, Federation

JULIET, ROMEO = f"juliet@{BACKEND}", f"romeo@{BACKEND}"
LARGE = f"<message xmlns='jabber:client' to='{ROMEO}'><body>{'x' * 20_000}</body></message>"


class Client(Raw):
    """A client of the backend, unless it says otherwise."""

    def open(self, to: str | None = BACKEND, version: str | None = "1.0", more: str = "") -> list[Element]:
        """See `Raw.open`."""
        return super().open(to, version, more)


class RelayCase(SynchronousTestCase):
    """A backend whose clients come in at the edge; juliet has an account there."""

    clients = "xmpp://127.0.0.2:5222"
    gateway: Mapping[str, Any] = {}

    def setUp(self) -> None:
        self.federation = Federation(
            BACKEND,
            "world.example",
            EDGE,
            wire="tcp",
            configuration={
                EDGE: {
                    "services": {
                        "http": {"endpoint": "tcp:443:interface=127.0.0.4"},
                        "c2s_ws": {},
                        "gateway": {"endpoint": "tcp:5299:interface=127.0.0.4"},
                    },
                    "gateways": {BACKEND: {"backend": "xmpp://127.0.0.2:5269", "clients": self.clients, **self.gateway}},
                }
            },
        )
        self.addCleanup(self.federation.cleanup)
        self.network = self.federation.network
        for address in (JULIET, ROMEO):
            self.federation.account(address)

    def raw(self, to: str = BACKEND) -> Raw:
        """A client on a WebSocket."""
        raw = Client(self.network, ADDRESSES[EDGE], sni=to)
        self.addCleanup(raw.drop)
        return raw


class Through(RelayCase):
    """A client logs in to the backend."""

    def test_login(self) -> None:
        """By a password, binds, and talks to somebody who came another way; limits grow with the login."""
        romeo = self.federation.client(f"{ROMEO}/orchard")
        raw = self.raw()
        raw.open()
        self.assertEqual(raw.scram("juliet", PASSWORD).name, "success")
        self.assertEqual(raw.bind("balcony").name, "iq")
        raw.send(LARGE)
        romeo.take(f"<message from='{JULIET}/balcony'/>")
        romeo.send(f"<message to='{JULIET}/balcony'><body>&lt;hi&gt;</body></message>")
        (message,) = [one for one in raw.take() if one.name == "message"]
        self.assertEqual(message.to_xml().count("&lt;hi&gt;"), 1)

    def test_offer(self) -> None:
        """Neither TLS nor what is bound to it is offered, for it ends here."""
        came = self.raw().open()
        names = mechanisms(came)
        self.assertIn("SCRAM-SHA-256", names)
        self.assertFalse([name for name in names if name.endswith("-PLUS")])
        self.assertNotIn("sasl-cb", came[-1].to_xml())
        self.assertNotIn("urn:xmpp:sasl:2", came[-1].to_xml())

    def test_wrong_password(self) -> None:
        """The backend judges; the client may try again."""
        raw = self.raw()
        raw.open()
        self.assertEqual(raw.scram("juliet", "wrong").name, "failure")
        self.assertEqual(raw.scram("juliet", PASSWORD).name, "success")

    def test_own_domain(self) -> None:
        """Clients of the edge's own domain are its own."""
        self.federation.account(f"tybalt@{EDGE}")
        raw = self.raw(EDGE)
        raw.open(EDGE)
        self.assertEqual(raw.auth(ScramClient("SCRAM-SHA-256", "tybalt", PASSWORD, "n" * 20, {})).name, "success")

    def test_closed_by_client(self) -> None:
        """Its end is the backend's."""
        raw = self.raw()
        raw.login()
        sessions = self.federation.server(BACKEND).sessions.resources
        self.assertEqual(list(sessions), [f"{JULIET}/balcony"])
        came = raw.send("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>")
        self.assertEqual((came[-1].name, raw.close_code, list(sessions)), ("close", 1000, []))

    def test_dropped_by_client(self) -> None:
        """A connection that is gone leaves no session behind."""
        raw = self.raw()
        raw.login()
        raw.drop()
        self.assertEqual(list(self.federation.server(BACKEND).sessions.resources), [])


class Ends(RelayCase):
    """What ends a stream."""

    def test_backend_stops(self) -> None:
        """Its stream error is the client's."""
        raw = self.raw()
        raw.login()
        self.federation.stop(BACKEND)
        self.assertEqual(stream_error(raw.take()), "system-shutdown")

    def test_backend_gone(self) -> None:
        """Without a backend there is a stream error that says so."""
        self.federation.stop(BACKEND)
        self.assertEqual(stream_error(self.raw().open()), "remote-connection-failed")

    def test_edge_stops(self) -> None:
        """With the edge all its streams end."""
        raw = self.raw()
        raw.login()
        self.federation.stop(EDGE)
        self.assertEqual(stream_error(raw.take()), "system-shutdown")

    def test_hostile(self) -> None:
        """What is no XMPP, or too large for a stranger, ends here, and the backend hears nothing of it."""
        for sent, condition in (
            ("<!DOCTYPE a><a/>", "restricted-xml"),
            ("<a/><b/>", "not-well-formed"),
            ("<message xmlns='jabber:server'/>", "invalid-namespace"),
        ):
            raw = self.raw()
            raw.open()
            raw.send(sent)
            self.assertIn(condition.encode(), b"".join(raw.peer.texts))

    def test_too_large(self) -> None:
        """Before the login the limit is that of strangers (1009)."""
        raw = self.raw()
        raw.open()
        raw.send(LARGE)
        self.assertEqual(raw.close_code, 1009)

    def test_leaves_early(self) -> None:
        """Who is gone before the backend has answered leaves nothing behind."""
        self.network.reactor.wiring.blackholes.add(ADDRESSES[BACKEND])
        raw = self.raw()
        raw.open()
        raw.drop()
        self.network.reactor.wiring.blackholes.clear()

    def test_fault(self) -> None:
        """A fault of ours is logged, and the client told no more than that."""
        service: Any = self.federation.server(EDGE).getServiceNamed(f"relay {BACKEND}")

        async def faulty(arrival: object) -> None:
            raise ZeroDivisionError

        self.patch(service, "dial", faulty)
        raw = self.raw()
        self.assertEqual(stream_error(raw.open()), "internal-server-error")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class DirectTLS(RelayCase):
    """A backend where connections begin with TLS."""

    clients = "xmpps://127.0.0.2:5223"

    def test_login(self) -> None:
        """It is the same."""
        self.assertEqual(self.raw().login(), f"{JULIET}/balcony")


class Announced(RelayCase):
    """A backend without TLS, written by hand, that wants to know whom it serves."""

    clients = "tcp:127.0.0.2:5298"
    gateway: Mapping[str, Any] = {"proxy_protocol": True}

    def test_header(self) -> None:
        """The PROXY header comes first, then the stream."""
        peers = Remembering(Scripted)
        endpoint = TCP4ServerEndpoint(self.network.reactor, 5298, interface=ADDRESSES[BACKEND])
        port = self.successResultOf(endpoint.listen(peers))
        raw = self.raw()
        raw.open()
        (peer,) = peers.built
        self.assertTrue(peer.received.startswith(b"PROXY TCP4 127.1.1.1 127.0.0.1 0 0\r\n<?xml"), peer.received)
        peer.transport.write(header("", "jabber:client").encode())
        self.network.pump()
        self.assertEqual([one.name for one in raw.take()], ["open"])
        raw.drop()
        port.stopListening()
        self.network.pump()
        self.assertIsNotNone(peer.lost)
