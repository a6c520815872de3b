"""The whole server: how it starts and stops, and reload."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import LogLevel, globalLogPublisher

from tests.assembling import AssemblyCase, Greeting
from tests.services.raw import CAPULET, JULIET, MONTAGUE, Raw, RawCase, stream_error
from xmppfed import assembly, server
from xmppfed.core.jid import JID
from xmppfed.errors import ConfigError
from xmppfed.net.certificates import load_certificate, moment, spki_sha256
from xmppfed.net.issuing import self_signed
from xmppfed.storage.accounts import add_account
from xmppfed.storage.threads import at_once


class Starting(AssemblyCase):
    """The start, which stops at what cannot be."""

    def test_port_taken(self) -> None:
        """A port that somebody has stops the start: nothing behind it has started."""
        self.start()
        second = assembly.assemble(self.config(), self.world())
        self.assertRaises(CannotListenError, second.startService)
        self.assertEqual([service.running for service in second.services if service.name in ("c2s_ws", "storage")], [0, 0])

    def test_old_expat(self) -> None:
        """An old expat is warned of, a newer one is not."""
        for version, warned in (((2, 5, 0), 1), ((2, 6, 0), 0)):
            self.patch(server.pyexpat, "version_info", version)
            events: Any = []
            globalLogPublisher.addObserver(events.append)
            made = assembly.assemble(self.config(""), self.world())
            made.startService()
            self.stop(made)
            globalLogPublisher.removeObserver(events.append)
            self.assertEqual(len([one for one in events if one["log_level"] is LogLevel.warn]), warned)


class _Stubborn(Service):
    """A service that takes its time, and may fail."""

    def __init__(self, name: str, stopped: list[str], result: object) -> None:
        self.name: Any = name
        self._stopped, self._result = stopped, result

    def stopService(self) -> Any:
        self._stopped.append(self.name)
        if isinstance(self._result, Exception):
            raise self._result
        return self._result


class Stopping(AssemblyCase):
    """The services stop one after another."""

    def test_in_order(self) -> None:
        """The next stops when the one before has stopped, and not earlier."""
        made = assembly.assemble(self.config(""), self.world())
        gate: Deferred[None] = Deferred()
        order: list[str] = []
        for name, result in (("first", gate), ("second", None)):
            _Stubborn(name, order, result).setServiceParent(made)
        made.startService()
        done: list[object] = []
        Deferred.fromCoroutine(made.stopService()).addBoth(done.append)
        self.assertEqual((order, done), (["first"], []))
        gate.callback(None)
        self.assertEqual((order, done), (["first", "second"], [None]))

    def test_fault(self) -> None:
        """A service that cannot stop keeps nobody else from stopping; the fault is logged."""
        made = assembly.assemble(self.config(""), self.world())
        order: list[str] = []
        _Stubborn("faulty", order, ZeroDivisionError()).setServiceParent(made)
        _Stubborn("last", order, None).setServiceParent(made)
        made.startService()
        self.successResultOf(Deferred.fromCoroutine(made.stopService()))
        self.assertEqual((order, len(self.flushLoggedErrors(ZeroDivisionError))), (["faulty", "last"], 1))

    def test_storage_last(self) -> None:
        """Storage closes when every connection is gone."""
        closed: list[int] = []
        real = self.storage.close

        async def close() -> None:
            closed.append(len(clients.streams))
            await real()

        self.patch(self.storage, "close", close)
        made = assembly.assemble(self.config(), self.world())
        clients: Any = made.getServiceNamed("clients")
        made.startService()
        self.successResultOf(Deferred.fromCoroutine(add_account(self.storage.accounts, JID.parse(JULIET), "wherefore", at_once)))
        raw = Raw(self.network)
        raw.login()
        self.stop(made)
        self.assertEqual((stream_error(raw.take()), raw.close_code, closed), ("system-shutdown", 1012, [0]))


class TwoServers(RawCase):
    """One of two servers stops."""

    domains = (CAPULET, MONTAGUE)

    def test_stop(self) -> None:
        """Its clients hear system-shutdown; those of the other stay, and what they write comes back with a reason."""
        juliet, romeo = self.federation.client(f"{JULIET}/balcony"), self.federation.client(f"romeo@{MONTAGUE}/orchard")
        juliet.send(f"<message to='{romeo.jid}' type='chat'><body>hi</body></message>")
        romeo.expect(f"<message from='{JULIET}/balcony'/>")
        self.federation.stop(MONTAGUE)
        self.assertEqual(romeo.failure and romeo.failure.condition.value, "system-shutdown")
        self.assertTrue(juliet.established)
        juliet.send(f"<message to='romeo@{MONTAGUE}' type='chat'><body>art thou there?</body></message>")
        self.federation.advance(60)
        juliet.expect(f"<message from='romeo@{MONTAGUE}' type='error'/>")

    def test_stop_during_a_login(self) -> None:
        """A login under way ends with system-shutdown, and nothing is left of it."""
        raw = self.raw()
        raw.open()
        raw.sasl("auth", "", "SCRAM-SHA-256")
        self.federation.stop(CAPULET)
        self.assertEqual((stream_error(raw.take()), raw.close_code), ("system-shutdown", 1012))


class Reloading(RawCase):
    """SIGHUP and `xmppfedctl reload`: certificates and trust anchors are read again, streams stay."""

    def shown(self) -> bytes:
        """The key of the certificate that a new client sees."""
        raw = self.raw()
        seen = raw.transport.getHandle().get_peer_certificate(as_cryptography=True)
        raw.drop()
        return spki_sha256(seen)

    def renew(self) -> None:
        """Put another certificate in the place of the first."""
        path = self.server.config.domains[CAPULET].certificate
        assert path is not None
        path.write_bytes(self_signed(CAPULET, moment(self.network.reactor)))
        self.expected = spki_sha256(load_certificate(path).leaf)

    def test_certificate(self) -> None:
        """The next connection sees the new certificate; a stream that lives goes on."""
        juliet, before = self.federation.client(f"{JULIET}/balcony"), self.shown()
        self.renew()
        self.assertEqual(self.shown(), before)
        self.server.reload()
        self.assertEqual((self.shown(), before == self.expected), (self.expected, False))
        self.assertEqual(juliet.request(f"<iq type='get' to='{CAPULET}'><ping xmlns='urn:xmpp:ping'/></iq>").type, "result")

    def test_trust(self) -> None:
        """Streams to other servers trust whom the new file names."""
        federation = self.server.federation
        assert federation is not None
        before = federation.trust_roots
        self.server.reload()
        self.assertIsNot(federation.trust_roots, before)

    def test_broken_file(self) -> None:
        """A file that cannot be used changes nothing, and says what is wrong with it."""
        before = self.shown()
        federation = self.server.federation
        assert federation is not None
        trust = federation.trust_roots
        self.renew()
        file = self.server.config.file
        good = file.read_text()
        for text in ("x", good + "\nunknown = 1\n", good.replace("authority.pem", "gone.pem")):
            file.write_text(text)
            self.assertIn(file.name, str(self.assertRaises(ConfigError, self.server.reload)))
            self.assertEqual((self.shown(), federation.trust_roots), (before, trust))

    def test_broken_certificate(self) -> None:
        """So does a certificate that cannot be used."""
        before = self.shown()
        path = self.server.config.domains[CAPULET].certificate
        assert path is not None
        path.write_text("x")
        self.assertRaises(ConfigError, self.server.reload)
        self.assertEqual(self.shown(), before)

    def test_or_log(self) -> None:
        """Who cannot be told finds the reason in the log."""
        events = self.logs()
        self.server.reload_or_log()
        self.server.config.file.write_text("x")
        self.server.reload_or_log()
        (error,) = [one for one in events if one["log_level"] is LogLevel.error]
        self.assertIn(self.server.config.file.name, error["reason"])


class ReloadingTrust(RawCase):
    """Servers that find each other as in production, by host-meta, and trust one authority."""

    domains = (CAPULET, MONTAGUE)
    options = {"directory": False}

    def answer(self) -> str:
        """The type of the answer that a request to the other domain gets."""
        request = f"<iq type='get' to='{MONTAGUE}'><ping xmlns='urn:xmpp:ping'/></iq>"
        return str(self.federation.client(f"{JULIET}/balcony").request(request).type)

    def test_anchors(self) -> None:
        """An authority that the file names no more is believed no more, one that it names again is."""
        file = self.server.config.file
        good = file.read_text()
        file.write_text(good.replace('["authority.pem"]', "[]"))
        self.server.reload()
        self.assertEqual(self.answer(), "error")
        file.write_text(good)
        self.server.reload()
        self.federation.advance(61)  # what was not found is not looked for again at once
        self.assertEqual(self.answer(), "result")


class ReloadingModules(RawCase):
    """A server with a module that was handed in."""

    options = {"modules": {"greeting": Greeting}}

    def test_reload(self) -> None:
        """Its options are known to the reload as well."""
        self.server.reload()


class ReloadingWithoutTLS(AssemblyCase):
    """A server that has no certificates and no federation."""

    def test_reload(self) -> None:
        """There is nothing to take over, and nothing fails."""
        read = self.config("", domain=f'[domains."{CAPULET}"]\n')
        assembly.assemble(read, self.world()).reload()
