"""STARTTLS on a connection: the stream without TLS, its hand-over, and everything that must not survive it."""

from __future__ import annotations

import socket
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tests.net.plain import ADDRESS, FEATURES, HOST, PAIR, PLAIN, TIMEOUTS, TLS, PlainCase, header
from tests.testing.peers import Remembering
from xmppfed.core.framing import C2S, S2S
from xmppfed.net.admission import Admission
from xmppfed.net.certificates import moment
from xmppfed.net.peer import judge, own_leaf
from xmppfed.net.starttls import PlainServerProtocol, StartTLSFactory, start_tls
from xmppfed.net.tcp import StreamClientProtocol
from xmppfed.net.tls import client_connection_creator

STARTTLS = f"<starttls {TLS}/>"
PROCEED = f"<proceed {TLS}/>"
OFFER = FEATURES % STARTTLS
MESSAGE = f"<message to='juliet@{HOST}'><body>smuggled</body></message>"
PLAIN_AUTH = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>"
WORDS = (header(), STARTTLS, MESSAGE, PLAIN_AUTH, " ", "<", "</stream:stream>", "\0", "\x16\x03\x01")
CLIENT_HELLO = b"\x16\x03\x01\x02\x00\x01\x00"


class StartTLSCase(PlainCase):
    """A client of ours, and the server of the case."""

    def dial(
        self, own: Any = None, profile: Any = C2S, address: str = ADDRESS, name: str = HOST
    ) -> Deferred[StreamClientProtocol]:
        """Begin to connect."""
        endpoint = TCP4ClientEndpoint(self.network.reactor, address, PLAIN, timeout=TIMEOUTS.connect)
        creator = client_connection_creator(name, own, self.trust)
        return self.begin(start_tls(self.network.reactor, endpoint, creator, profile, PAIR, TIMEOUTS))


class Agreeing(StartTLSCase):
    """Both sides go on with TLS."""

    def test_handshake(self) -> None:
        """The connection is what it would be on a port where TLS comes first: both certificates are known, and the stream
        begins anew."""
        self.serve()
        client = self.successResultOf(self.dial(self.own()))
        shown = judge(client.transport, moment(self.network.reactor))
        assert shown is not None
        self.assertEqual((shown.names.dns_names, shown.problems), ((HOST,), ()))
        client.write([header().encode()])
        self.network.pump()
        (wire,) = self.wires
        assert wire.connection is not None
        self.assertEqual(wire.connection.stream.remote, None)  # the header without TLS said who; it is forgotten
        presented = judge(wire.transport, moment(self.network.reactor))
        assert presented is not None and own_leaf(wire.transport) is not None
        self.assertEqual((presented.names.dns_names, presented.problems), ((PAIR.sender,), ()))

    def test_no_server_name(self) -> None:
        """Who names no server by SNI, as Prosody 0.12 does here, is shown the certificate of the stream's domain."""
        self.serve()
        client = self.successResultOf(self.dial(name=ADDRESS))
        shown = judge(client.transport, moment(self.network.reactor))
        assert shown is not None
        self.assertEqual(shown.names.dns_names, (HOST,))

    def test_by_hand(self) -> None:
        """Header, features with STARTTLS alone and required, `<proceed/>`: nothing else is said without TLS."""
        self.serve()
        peer = self.peer(header(), STARTTLS)
        text = peer.received.decode()
        self.assertRegex(
            text,
            r"^<\?xml version='1.0'\?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
            rf"from='{HOST}' id='[0-9a-f]{{32}}' version='1.0'>"
            rf"<stream:features xmlns:stream='http://etherx.jabber.org/streams'><starttls {TLS}><required/></starttls>"
            rf"</stream:features><proceed {TLS}/>$",
        )

    def test_header_between_servers(self) -> None:
        """Text-comparing servers find the header they want: `<stream:stream `, the content namespace, dialback declared."""
        servers = self.script({"stream": header("a.example", S2S.content) + OFFER, "starttls": ""})
        dialing = self.dial(profile=S2S)
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)
        sent = servers.built[0].received.decode()
        self.assertTrue(
            sent.startswith(
                "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
                f"xmlns:db='jabber:server:dialback' from='a.example' to='{HOST}' version='1.0'>"
            ),
            sent,
        )
        self.assertTrue(sent.endswith(STARTTLS))

    def test_any_cut(self) -> None:
        """Bytes may come one by one, on both sides."""
        self.network.split(1)
        self.serve()
        self.successResultOf(self.dial())

    def test_no_delay(self) -> None:
        """Small pieces do not wait for more (TCP_NODELAY), before TLS and under it."""
        self.serve()
        self.peer()
        client = self.successResultOf(self.dial())
        ends = [end for link in self.network.links for end in link._ends]
        self.assertEqual(len(ends), 4)
        peer = next(end for end in ends if end.link.client == self.network.links[0].client)  # by hand: not ours
        ours = [end for end in ends if end is not peer]
        self.assertTrue(all(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for end in ours))
        client.abort()

    def test_two_clocks(self) -> None:
        """The deadline without TLS ends with it, and nothing is cut later."""
        self.serve()
        client = self.successResultOf(self.dial())
        client.write([header().encode()])
        self.network.pump()
        self.wires[0].settled()
        self.network.advance(TIMEOUTS.handshake + 1)
        self.assertEqual(len(self.network.links), 1)


class Smuggling(StartTLSCase):
    """What is said without TLS never reaches the stream under it (RFC 6120, 5.4.3.3)."""

    def refused(self, peer: Any, condition: str) -> None:
        """A stream error, the end, and no stream under TLS."""
        self.assertIn(f"<{condition} ".encode(), peer.received)
        self.assertTrue(peer.received.endswith(b"</stream:stream>"))
        self.assertIsNotNone(peer.lost)
        self.assertEqual(self.wires, [])

    def by_hand(self) -> tuple[Remembering, Any]:
        """A connection without a network, and who takes over."""
        secured, transport = Remembering(), StringTransport()
        made: Any = StartTLSFactory(C2S, {HOST}, lambda _: secured, Clock(), TIMEOUTS, Admission()).buildProtocol(None)
        transport.protocol = made
        made.makeConnection(transport)
        return secured, transport

    def test_behind_starttls(self) -> None:
        """`<starttls/><message/>` in one segment ends the stream; so does a handshake that comes too early, or a space."""
        self.serve()
        for behind in (MESSAGE.encode(), PLAIN_AUTH.encode(), CLIENT_HELLO, b" ", header().encode()):
            peer = self.peer(header(), STARTTLS.encode() + behind)
            self.assertNotIn(b"proceed", peer.received)
            self.refused(peer, "not-authorized")

    def test_all_at_once(self) -> None:
        """A peer that waits for nothing at all."""
        self.serve()
        self.refused(self.peer(header() + STARTTLS + header() + MESSAGE), "not-authorized")

    @given(st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map("".join), max_size=6))
    def test_any_pieces(self, pieces: list[str]) -> None:
        """Whatever is said in whatever pieces: TLS begins only behind a piece that ends in `<starttls/>`, and gets the pieces
        behind that one, and no other byte."""
        secured, transport = self.by_hand()
        agreed = None
        for number, piece in enumerate(pieces):
            if not transport.disconnecting:
                transport.protocol.dataReceived(piece.encode())
            if secured.built and agreed is None:
                agreed = number
        if agreed is not None:
            self.assertTrue(pieces[agreed].endswith(STARTTLS))
            self.assertEqual(secured.built[0].received, "".join(pieces[agreed + 1 :]).encode())

    def test_pieces_that_agree(self) -> None:
        """The property above is not empty: these do begin TLS."""
        for pieces in ([header() + STARTTLS, MESSAGE], [header(), STARTTLS, header(), STARTTLS]):
            secured, transport = self.by_hand()
            for piece in pieces:
                transport.protocol.dataReceived(piece.encode())
            self.assertEqual(len(secured.built), 1)

    def test_behind_proceed(self) -> None:
        """What comes without TLS when TLS should begin is read as TLS, which it is not: the connection ends."""
        self.serve()
        for said in (MESSAGE, header(), PLAIN_AUTH, "</stream:stream>"):
            peer = self.peer(header(), STARTTLS, said)
            self.network.pump()
            self.assertIsNotNone(peer.lost, said)
            self.assertEqual(self.wires, [])

    def test_before_tls(self) -> None:
        """A stanza, a login, a claim: not authorized."""
        self.serve()
        for said in (MESSAGE, PLAIN_AUTH, PROCEED, "<presence/>"):
            self.refused(self.peer(header(), said), "not-authorized")

    def test_before_the_header(self) -> None:
        """What is no stream header of this kind begins no stream."""
        self.serve()
        for said, condition in (
            (STARTTLS, "invalid-namespace"),
            (header(namespace="jabber:server"), "invalid-namespace"),
            ("<html>", "invalid-namespace"),
            ("<stream:stream>", "not-well-formed"),
            (CLIENT_HELLO, "unsupported-encoding"),
        ):
            self.refused(self.peer(said), condition)

    def test_too_long(self) -> None:
        """More bytes than the agreement needs are not kept."""
        self.serve()
        peer = self.peer(header())
        self.say(peer, "<starttls " + "x" * 20_000)
        self.refused(peer, "policy-violation")

    def test_other_domain(self) -> None:
        """A domain that is not served here is refused before TLS shows a certificate for another."""
        self.serve()
        for to in ("c.example", "", "a b"):
            peer = self.peer(header(to))
            self.refused(peer, "host-unknown")

    def test_other_spelling(self) -> None:
        """A domain may be written in other ways (RFC 7622, 3.2); we answer in its own."""
        self.serve()
        self.assertIn(f" from='{HOST}' ".encode(), self.peer(header("B.Example.")).received)


class Strangers(StartTLSCase):
    """Who may be connected without TLS, and for how long."""

    def test_tls_never_begins(self) -> None:
        """Whoever does not begin with TLS in time is dropped, wherever he stopped."""
        self.serve()
        for said in ((), ("<stream:stream ",), (header(),), (header(), "<starttls ")):
            peer = self.peer(*said)
            self.network.advance(TIMEOUTS.handshake - 1)
            self.assertIsNone(peer.lost, said)
            self.network.advance(1)
            self.assertIsNotNone(peer.lost, said)

    def test_handshake_stalls(self) -> None:
        """So is who agrees on TLS and does not go through with it, however much he says."""
        self.serve()
        for said in ((), (CLIENT_HELLO,)):
            peer = self.peer(header(), STARTTLS, *said)
            self.network.advance(TIMEOUTS.handshake - 1)
            self.assertIsNone(peer.lost)
            self.network.advance(1)
            self.assertIsNotNone(peer.lost)

    def test_one_place_each(self) -> None:
        """A stranger counts once, before TLS and under it, until a stream is established."""
        self.serve()
        first = self.successResultOf(self.dial())
        self.assertEqual(len(self.admission), 1)
        self.peer(header())
        self.assertEqual(len(self.admission), 2)
        third = self.peer(header())
        self.assertEqual((third.received, third.lost is not None), (b"", True))
        first.write([header().encode()])
        self.network.pump()
        self.assertEqual(len(self.admission), 1)

    def test_place_is_free_again(self) -> None:
        """When a stranger leaves."""
        self.serve()
        for _ in range(3):
            self.peer(header()).transport.loseConnection()
            self.network.pump()
        self.assertIn(b"features", self.peer(header()).received)

    def test_dismissed(self) -> None:
        """When the server stops they are dropped, with or without TLS."""
        self.serve()
        peer, _ = self.peer(header()), self.successResultOf(self.dial())
        self.admission.dismiss()
        self.network.pump()
        self.assertIsNotNone(peer.lost)
        self.assertEqual(self.network.links, [])

    def test_unix_socket(self) -> None:
        """A peer without an address is one of the machine."""
        factory = StartTLSFactory(C2S, {HOST}, lambda _: Remembering(), self.network.reactor, TIMEOUTS, self.admission)
        protocol = factory.buildProtocol(None)
        transport: Any = StringTransport(peerAddress=object())
        protocol.makeConnection(transport)
        self.assertEqual(self.admission._origins, {protocol: "local"})
        protocol.connectionLost()
        self.assertIsInstance(protocol, PlainServerProtocol)


class Refused(StartTLSCase):
    """TLS is not to be had: whoever wanted it hears why."""

    def refused(self, seconds: float = 1, **more: Any) -> str:
        """The reason, after so many seconds at most; the connection is gone."""
        dialing = self.dial(**more)
        self.network.advance(seconds)
        text = str(self.failureResultOf(dialing, ConnectionError).value)
        self.network.pump()
        self.assertEqual(self.network.links, [])
        return text

    def test_nobody_there(self) -> None:
        """No connection."""
        self.assertIn("no connection: ", self.refused())

    def test_never_connected(self) -> None:
        """No answer to the connection."""
        self.network.blackhole(ADDRESS)
        self.assertIn("no connection: ", self.refused(TIMEOUTS.connect))

    def test_not_offered(self) -> None:
        """A server without STARTTLS is told so, and so are we: with what it offered instead."""
        servers = self.script({"stream": header("a.example", more=" id='1'") + FEATURES % "<dialback xmlns='urn:x'/>"})
        text = self.refused()
        self.assertIn("no TLS: ", text)
        self.assertIn("The server offered {urn:x}dialback; wanted STARTTLS.", text)
        self.assertIn(b"<policy-violation ", servers.built[0].received)
        self.assertTrue(servers.built[0].received.endswith(b"</stream:stream>"))

    def test_failure(self) -> None:
        """`<failure/>` (RFC 6120, 5.4.2.2)."""
        self.script({"stream": header("a.example") + OFFER, "starttls": f"<failure {TLS}/></stream:stream>"})
        self.assertIn("no TLS: we ended the stream with policy-violation: The server failed to start TLS", self.refused())

    def test_stream_error(self) -> None:
        """The server's own words are told."""
        error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
        self.script({"stream": header("a.example") + error})
        self.assertIn("no TLS: the peer ended the stream with host-unknown", self.refused())

    def test_closed(self) -> None:
        """A stream that is closed, a connection that is closed."""
        self.script({"stream": header("a.example") + "</stream:stream>"})
        self.assertEqual(self.refused(), "no TLS: the peer closed the stream")

    def test_connection_closed(self) -> None:
        """A server that just leaves."""
        servers = self.script({})
        dialing = self.dial()
        servers.built[0].transport.loseConnection()
        self.network.pump()
        self.assertIn("no TLS: Connection was closed", str(self.failureResultOf(dialing, ConnectionError).value))

    def test_silence(self) -> None:
        """A server that says nothing, or stops before it agrees, is given up in time."""
        for answers in ({}, {"stream": header("a.example")}, {"stream": header("a.example") + OFFER}):
            self.script(answers)
            self.assertEqual(self.refused(TIMEOUTS.upgrade), "no TLS: no agreement on TLS within 10 s")
            self.stop_listening()

    def test_bytes_behind_proceed(self) -> None:
        """In TLS we speak first: a server that says more has a third party in its line."""
        for behind in (MESSAGE, FEATURES % "", " "):
            self.script({"stream": header("a.example") + OFFER, "starttls": PROCEED + behind})
            self.assertIn("Found more behind <proceed/>; wanted TLS.", self.refused())
            self.stop_listening()

    def test_no_handshake(self) -> None:
        """A server that agrees, and then speaks no TLS, or says nothing."""
        self.script({"stream": header("a.example") + OFFER, "starttls": PROCEED})
        self.assertEqual(self.refused(TIMEOUTS.connect), "no TLS within 10 s")
        self.stop_listening()
        self.script({"stream": header("a.example") + OFFER, "starttls": PROCEED, "\x16\x03": MESSAGE})
        self.assertIn("no TLS: [", self.refused())

    def test_hostile_words(self) -> None:
        """What a server wrote cannot pass for a line of ours."""
        error = "<stream:error><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>a&#10;b</text></stream:error></stream:stream>"
        self.script({"stream": header("a.example") + error})
        self.assertNotIn("\n", self.refused())


class GivenUp(StartTLSCase):
    """Who cancels, since another way was quicker, leaves nothing behind."""

    def gone(self, dialing: Deferred[StreamClientProtocol]) -> None:
        dialing.cancel()
        self.failureResultOf(dialing, CancelledError)
        self.network.pump()
        self.assertEqual(self.network.links, [])

    def test_before_the_agreement(self) -> None:
        """While the server makes up its mind."""
        self.script({})
        self.gone(self.dial())

    def test_during_the_handshake(self) -> None:
        """While TLS is being spoken."""
        self.script({"stream": header("a.example") + OFFER, "starttls": PROCEED})
        self.gone(self.dial())

    def test_agreement_that_came_too_late(self) -> None:
        """A server that agrees with somebody who has just left."""
        servers = self.script({"stream": header("a.example") + OFFER})
        dialing = self.dial()
        servers.built[0].transport.write(PROCEED.encode())
        self.gone(dialing)
