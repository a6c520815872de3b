"""Clients over WebSocket as a service: the stream's beginning and end, limits, time, and the stop (RFC 7395)."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.net.websockets import TEXT, frame
from tests.services.raw import CAPULET, JULIET, MONTAGUE, RawCase, condition, jid_of, mechanisms, stream_error
from xmppfed.core.namespaces import NS_FRAMING, NS_STREAM
from xmppfed.timeouts import Timeouts

CLOSE = f"<close xmlns='{NS_FRAMING}'/>"
BODY = "<message xmlns='jabber:client' to='{to}'><body>{body}</body></message>"


class Opening(RawCase):
    """A stream is opened to a domain that is served here (RFC 7395, 3.4)."""

    def test_subprotocol(self) -> None:
        """The handshake is answered with the subprotocol `xmpp` (RFC 7395, 3.1)."""
        self.assertIn(b"sec-websocket-protocol: xmpp", self.raw().peer.head.lower())

    def test_hs_no_subprotocol(self) -> None:
        """Who does not ask for the subprotocol gets no WebSocket."""
        raw = self.raw(Sec_WebSocket_Protocol=None)
        self.assertIn(b" 400 ", raw.peer.head)

    def test_open(self) -> None:
        """`<open/>` is answered by `<open/>` from the domain, with an id, and by the features."""
        opened, features = self.raw().open()
        self.assertEqual((opened.tag, opened.get("from"), opened.get("version")), (f"{{{NS_FRAMING}}}open", CAPULET, "1.0"))
        self.assertTrue(opened.get("id"))
        self.assertEqual(features.tag, f"{{{NS_STREAM}}}features")

    def test_ids(self) -> None:
        """Every stream, also after a restart, has an id of its own (RFC 6120, 4.7.3)."""
        raw = self.raw()
        ids = [raw.open()[0].get("id"), self.raw().open()[0].get("id")]
        raw.plain()
        ids.append(raw.open()[0].get("id"))
        self.assertEqual(len(set(ids)), 3)

    def test_domain_is_prepared(self) -> None:
        """Capitals and full-width letters name the same domain (RFC 7622, 3.2); the answer has its one spelling."""
        for to in ("CAPULET.Example", "ｃapulet。example", "capulet.example."):
            opened, features = self.raw().open(to)
            self.assertEqual((opened.get("from"), features.name), (CAPULET, "features"))

    def test_not_served(self) -> None:
        """A domain of others, no domain, an address of a user and what is no address: host-unknown (RFC 6120, 4.9.3.6)."""
        for to in (MONTAGUE, "", JULIET, f"{CAPULET}/x", "a b", "&lt;", "x" * 2000, None):
            raw = self.raw()
            came = raw.open(to)
            self.assertEqual([one.name for one in came], ["open", "error", "close"], to)
            self.assertEqual(stream_error(came), "host-unknown", to)
            self.assertEqual(raw.close_code, 1000)

    def test_version(self) -> None:
        """A stream before version 1.0 would have no features: unsupported-version (RFC 6120, 4.7.5)."""
        for version in (None, "", "0.9", "x"):
            self.assertEqual(stream_error(self.raw().open(version=version)), "unsupported-version")

    def test_version_higher(self) -> None:
        """A later version is answered with ours (RFC 6120, 4.7.5)."""
        self.assertEqual(self.raw().open(version="1.1")[0].get("version"), "1.0")

    def test_first_message_is_no_open(self) -> None:
        """x-stanza-before-open: nothing is read before the stream is open; the answer opens it to end it."""
        came = self.raw().send(BODY.format(to=JULIET, body="hi"))
        self.assertEqual([one.name for one in came], ["open", "error", "close"])
        self.assertEqual(stream_error(came), "not-authorized")

    def test_first_message_is_no_xml(self) -> None:
        """x-garbage: not-well-formed, in the words of a stream."""
        self.assertEqual(stream_error(self.raw().send("<open")), "not-well-formed")

    def test_open_wrong_ns(self) -> None:
        """x-open-wrong-ns: `<open/>` of another language is no header (RFC 7395, 3.3.2)."""
        self.assertEqual(stream_error(self.raw().send(f"<open xmlns='urn:x' to='{CAPULET}'/>")), "invalid-namespace")

    def test_unmasked(self) -> None:
        """A client that does not mask is cut with 1002 (RFC 6455, 5.1)."""
        raw = self.raw()
        raw.write(frame(f"<open xmlns='{NS_FRAMING}' to='{CAPULET}' version='1.0'/>".encode(), mask=None))
        self.assertEqual((raw.close_code, raw.take()), (1002, []))

    def test_unmasked_later(self) -> None:
        """So is one that masks at first."""
        raw = self.raw()
        raw.login()
        raw.write(frame(b"<presence xmlns='jabber:client'/>", mask=None))
        self.assertEqual(raw.close_code, 1002)


class Restart(RawCase):
    """After a login the stream begins anew (RFC 7395, 3.7)."""

    def test_restart(self) -> None:
        """The features behind it are those of a session: no SASL any more, but binding."""
        raw = self.raw()
        raw.open()
        raw.plain()
        _, features = raw.open()
        self.assertEqual([one.name for one in features.elements() if "ietf" in one.namespace], ["bind", "session"])

    def test_sasl_cross_host_restart(self) -> None:
        """sasl-cross-host-restart: the restarted stream goes to the same domain, or ends."""
        raw = self.raw()
        raw.open()
        raw.plain()
        self.assertEqual(stream_error(raw.open(MONTAGUE)), "not-authorized")

    def test_reopen_midstream(self) -> None:
        """x-reopen-midstream: `<open/>` comes when a stream begins, and at no other time."""
        raw = self.raw()
        raw.login()
        self.assertEqual(stream_error(raw.open()), "not-authorized")

    def test_preauth(self) -> None:
        """x-preauth-stanza, x-preauth-bind: who has not logged in says nothing to anybody."""
        juliet = self.federation.client(f"{JULIET}/balcony")
        for text in (BODY.format(to=JULIET, body="hi"), "<presence xmlns='jabber:client'/>"):
            raw = self.raw()
            raw.open()
            self.assertEqual(stream_error(raw.send(text)), "not-authorized")
        raw = self.raw()
        raw.open()
        self.assertEqual(
            stream_error(
                raw.send("<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
            ),
            "not-authorized",
        )
        juliet.expect_nothing()


class Closing(RawCase):
    """A stream is closed by `<close/>`, and then the WebSocket (RFC 7395, 3.6)."""

    def test_close(self) -> None:
        """`<close/>` is answered, the WebSocket ends with 1000, and the session is over."""
        raw = self.raw()
        raw.login()
        self.assertEqual([one.name for one in raw.send(CLOSE)], ["close"])
        self.assertEqual((raw.close_code, dict(self.server.sessions.resources)), (1000, {}))

    def test_close_at_any_time(self) -> None:
        """Also while somebody logs in, and before the stream was open."""
        raw = self.raw()
        raw.open()
        self.assertEqual([one.name for one in raw.send(CLOSE)], ["close"])
        early = self.raw()
        early.send(CLOSE)
        self.assertEqual((raw.close_code, early.close_code), (1000, 1000))

    def test_nothing_after_close(self) -> None:
        """What a client says behind its own `<close/>` is not read."""
        raw = self.raw()
        raw.login()
        juliet = self.federation.client(f"{JULIET}/garden")
        raw.send(CLOSE, BODY.format(to=str(juliet.jid), body="late"))
        juliet.expect_nothing()

    def test_error_then_close(self) -> None:
        """A stream error comes before `<close/>`, as a message of its own (RFC 7395, 3.5)."""
        raw = self.raw()
        raw.login()
        came = raw.send("<nonsense xmlns='urn:x'/>")
        self.assertEqual([one.name for one in came], ["error", "close"])
        self.assertEqual((stream_error(came), raw.close_code), ("unsupported-stanza-type", 1000))
        self.assertEqual(dict(self.server.sessions.resources), {})

    def test_connection_lost(self) -> None:
        """Without a word the session is over as well, and other resources are told (RFC 6121, 4.5.2)."""
        raw = self.raw()
        raw.login()
        raw.send("<presence xmlns='jabber:client'/>")
        juliet = self.federation.client(f"{JULIET}/garden")
        juliet.take("presence")
        raw.drop()
        juliet.expect(f"<presence type='unavailable' from='{JULIET}/balcony'/>")
        self.assertEqual(list(self.server.sessions.resources), [f"{JULIET}/garden"])

    def test_error_of_the_client(self) -> None:
        """A stream error of the client ends its session; what it says there is one line of the log."""
        events = self.logs()
        raw = self.raw()
        raw.login()
        text = "bye&#10;2027-01-01 root logged in&#x202e;"
        error = "<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
        error += f"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{text}</text>"
        came = raw.send(f"<stream:error xmlns:stream='{NS_STREAM}'>{error}</stream:error>")
        self.assertEqual(([one.name for one in came], dict(self.server.sessions.resources)), (["close"], {}))
        (reason,) = [one["reason"] for one in events if one.get("sent") is False]
        self.assertTrue(reason.isprintable(), reason)


class SeeOther(RawCase):
    """During a move every client is sent to another place (RFC 7395, 3.6.1)."""

    configuration = {CAPULET: {"services": {"c2s_ws": {"see_other_uri": "wss://other.example/ws"}}}}

    def test_see_other_uri(self) -> None:
        """Its `<open/>` is answered by `<close/>` with the address, and nobody can log in."""
        raw = self.raw()
        came = raw.open()
        self.assertEqual([(one.name, one.get("see-other-uri")) for one in came], [("close", "wss://other.example/ws")])
        self.assertEqual(raw.close_code, 1000)

    def test_see_other_uri_of_a_foreign_domain(self) -> None:
        """Who asks for a domain that is not served is not sent anywhere."""
        self.assertEqual(stream_error(self.raw().open(MONTAGUE)), "host-unknown")


class Limits(RawCase):
    """How much a client may send at once (RFC 6120, 13.12)."""

    def test_ws_len_before_login(self) -> None:
        """ws-len: more than 10 000 bytes before the login are refused by the frame header, nothing of them is awaited."""
        raw = self.raw()
        raw.open()
        raw.write(frame(b"", announce=10_001))
        self.assertEqual((stream_error(raw.take()), raw.close_code), ("policy-violation", 1009))

    def test_sasl_huge_initial(self) -> None:
        """sasl-huge-initial: so is an initial response of that size."""
        raw = self.raw()
        raw.open()
        self.assertEqual(raw.sasl("auth", "A" * 11_000, "PLAIN").name, "error")
        self.assertEqual(raw.close_code, 1009)

    def test_first_message(self) -> None:
        """The very first message has the same limit."""
        raw = self.raw()
        raw.write(frame(b"", announce=10_001))
        self.assertEqual(raw.close_code, 1009)

    def test_ws_len_after_login(self) -> None:
        """After the login 262 144 bytes pass, and no more."""
        raw, romeo = self.raw(), self.federation.client(f"romeo@{CAPULET}/x")
        raw.login()
        empty = len(BODY.format(to=f"romeo@{CAPULET}", body=""))
        raw.send(BODY.format(to=f"romeo@{CAPULET}", body="x" * (262_144 - empty)))
        romeo.expect(f"<message from='{JULIET}/balcony'/>")
        raw.write(frame(b"", announce=262_145))
        self.assertEqual((stream_error(raw.take()), raw.close_code), ("policy-violation", 1009))

    def test_limit_is_configured(self) -> None:
        """The service's limit is that of the configuration."""
        self.assertEqual(self.server.getServiceNamed("c2s_ws").limit, 262_144)

    def test_slow_reader(self) -> None:
        """slow-reader: who lets more than 1 MiB wait is cut; who writes to it goes on."""
        raw, romeo = self.raw(), self.federation.client(f"romeo@{CAPULET}/x")
        raw.login()
        raw.transport.pauseProducing()
        for _ in range(20):
            romeo.send(f"<message to='{JULIET}/balcony' type='chat'><body>{'x' * 80_000}</body></message>")
        self.assertEqual(list(self.server.sessions.resources), [f"romeo@{CAPULET}/x"])
        self.assertTrue(romeo.established)

    def test_slow_reader_with_little(self) -> None:
        """slow-reader: who lets anything wait for 60 s is cut as well."""
        raw, romeo = self.raw(), self.federation.client(f"romeo@{CAPULET}/x")
        raw.login()
        raw.transport.pauseProducing()
        for _ in range(6):
            romeo.send(f"<message to='{JULIET}/balcony' type='chat'><body>{'x' * 60_000}</body></message>")
        self.assertIn(f"{JULIET}/balcony", self.server.sessions.resources)
        self.network.advance(Timeouts().output_blocked)
        self.assertNotIn(f"{JULIET}/balcony", self.server.sessions.resources)


class Time(RawCase):
    """Nothing may take for ever (security: slow-*)."""

    def test_slow_open(self) -> None:
        """slow-open: without `<open/>` the WebSocket ends after 10 s."""
        raw = self.raw()
        self.network.advance(9.9)
        self.assertIsNone(raw.close_code)
        self.network.advance(0.2)
        self.assertEqual(raw.close_code, 1008)

    def test_slow_login(self) -> None:
        """slow-login: who is not logged in and bound 30 s after `<open/>` is cut, whatever it said meanwhile."""
        raw = self.raw()
        raw.open()
        self.network.advance(20)
        raw.plain()
        raw.open()
        self.network.advance(9.9)
        self.assertEqual(raw.take(), [])
        self.network.advance(0.2)
        self.assertEqual((stream_error(raw.take()), raw.close_code), ("connection-timeout", 1000))

    def test_bound_in_time(self) -> None:
        """A session has no such limit; it is pinged after 30 s of silence, and cut when it does not answer twice."""
        raw = self.raw()
        raw.login()
        self.network.advance(89)
        self.assertEqual([one.opcode for one in raw.peer.frames if one.opcode != TEXT], [9, 9])
        self.assertFalse(raw.lost)
        self.network.advance(2)
        self.assertEqual((raw.lost, dict(self.server.sessions.resources)), (True, {}))


class Stopping(RawCase):
    """The operator stops the server (RFC 6120, 4.9.3.21)."""

    def stop(self) -> list[object]:
        """Begin to stop; the list has the result once there is one."""
        done: list[object] = []
        service = self.server.getServiceNamed("clients")
        service.stopService().addBoth(done.append)
        self.network.pump()
        return done

    def test_system_shutdown(self) -> None:
        """Each client hears system-shutdown and close code 1012; the stop waits until the last connection is gone."""
        raws = [self.raw(), self.raw()]
        for number, raw in enumerate(raws):
            raw.login(resource=f"r{number}")
        done = self.stop()
        for raw in raws:
            self.assertEqual((stream_error(raw.take()), raw.close_code), ("system-shutdown", 1012))
        self.assertEqual((done, dict(self.server.sessions.resources)), ([], {}))
        raws[0].drop()
        self.assertEqual(done, [])
        self.network.advance(1.1)
        self.assertEqual((done, raws[1].lost), ([None], True))

    def test_polite_clients(self) -> None:
        """Where every client answers, the stop takes no time."""
        client = self.federation.client(f"{JULIET}/balcony")
        self.assertEqual(self.stop(), [None])
        self.assertEqual(
            client.closed is not None and client.failure is not None and client.failure.condition.value, "system-shutdown"
        )

    def test_nobody_there(self) -> None:
        """A server without clients stops at once."""
        self.assertEqual(self.stop(), [None])

    def test_stop_while_storage_is_slow(self) -> None:
        """A stop during a login ends it; the late answer of the storage changes nothing."""
        answer: Deferred[object] = Deferred()

        async def keys(*_: object) -> object:
            return await answer

        self.patch(self.server.storage.accounts, "keys", keys)
        raw = self.raw()
        raw.open()
        self.assertEqual(raw.sasl("auth", "AGp1bGlldAB3aGVyZWZvcmU=", "PLAIN").name, "nothing")
        done = self.stop()
        self.assertEqual(stream_error(raw.take()), "system-shutdown")
        answer.callback(None)
        self.network.advance(1.1)
        self.assertEqual((done, raw.take()), ([None], []))

    def test_restart_after_a_login(self) -> None:
        """A client between its login and its session hears of the stop, too."""
        raw = self.raw()
        raw.open()
        raw.plain()
        self.stop()
        self.assertEqual(stream_error(raw.take()), "system-shutdown")


class Both(RawCase):
    """What the two helpers of these tests say of a whole login."""

    def test_login(self) -> None:
        """A login by hand gives the resource asked for."""
        raw = self.raw()
        self.assertIn("PLAIN", mechanisms(raw.open()))
        self.assertEqual(raw.plain().name, "success")
        self.assertEqual(jid_of(raw.bind("balcony")), f"{JULIET}/balcony")
        self.assertEqual(
            condition(raw.send("<iq xmlns='jabber:client' type='get' id='1'><x xmlns='urn:x'/></iq>")[0]), "service-unavailable"
        )
