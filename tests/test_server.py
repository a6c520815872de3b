"""The whole server: what is assembled from a configuration, how it starts and stops, reload, check and commands."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.services.raw import CAPULET, JULIET, MONTAGUE, Raw, RawCase, stream_error
from xmppfed import config, extend, server
from xmppfed.core.jid import JID
from xmppfed.errors import ConfigError, StanzaCondition
from xmppfed.net.certificates import load_certificate, moment, spki_sha256
from xmppfed.net.issuing import Authority, self_signed
from xmppfed.storage.accounts import add_account
from xmppfed.storage.memory import MemoryAccounts
from xmppfed.storage.sqlite import FILE_NAME
from xmppfed.storage.threads import at_once
from xmppfed.testing.network import Network

DOMAIN = f'[domains."{CAPULET}"]\ncertificate = "cert.pem"\n'
ALL = """
[services.http]
endpoint = "tcp:443:interface=127.0.0.2"
[services.c2s_ws]
[services.s2s_ws]
[modules.ping]
[modules.disco]
"""


class Greeting(extend.Module):
    """A module with an option."""

    class Options(msgspec.Struct, forbid_unknown_fields=True):
        """Its option."""

        words: str = "hail"

    options = Options


class AssemblyCase(SynchronousTestCase):
    """A configuration in a folder of its own, and a network to assemble its server in."""

    def setUp(self) -> None:
        """A folder with a certificate."""
        self.network = Network()
        self.network.reactor.advance(1_800_000_000)
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "data").mkdir(parents=True)
        self.now: datetime = moment(self.network.reactor)
        (self.folder / "cert.pem").write_bytes(Authority(self.now).issue(CAPULET))
        self.accounts = MemoryAccounts()

    def config(self, text: str = ALL, domain: str = DOMAIN, **known: Any) -> config.Config:
        """What is read from a file with this text."""
        file = self.folder / "server.toml"
        file.write_text(f'data_dir = "data"\n{domain}{text}')
        return config.load(file, {**server.module_options(), **known})

    def world(self, **changes: Any) -> server.World:
        """The network, with accounts in memory."""
        given: dict[str, Any] = {
            "reactor": self.network.reactor,
            "resolve": self.network.resolver.addresses,
            "accounts": self.accounts,
            "run_in_thread": at_once,
            "control": False,
        }
        return server.World(**{**given, **changes})

    def start(self, text: str = ALL, **changes: Any) -> server.Server:
        """A server that runs, and is stopped at the end."""
        made = server.assemble(self.config(text), self.world(**changes))
        made.startService()
        self.addCleanup(self.stop, made)
        return made

    def stop(self, made: server.Server) -> None:
        """Stop it; nothing is left."""
        done: list[object] = []
        Deferred.fromCoroutine(made.stopService()).addBoth(done.append)
        self.network.advance(10)
        self.assertEqual(done, [None])
        self.network.check_clean()


def names(made: server.Server) -> list[str]:
    """The names of its services, in their order."""
    return [str(service.name or type(service).__name__) for service in made.services]


class Assembly(AssemblyCase):
    """What stands in a server, and in which order."""

    def test_everything(self) -> None:
        """Listening comes first, then the streams, the modules, the control socket, and storage last: they stop in this order."""
        made = server.assemble(self.config(), self.world(control=True))
        self.assertEqual(names(made), ["http", "c2s_ws", "s2s_ws", "modules.ping", "modules.disco", "control", "storage"])

    def test_nothing_but_storage(self) -> None:
        """A server without services is one; it listens nowhere."""
        made = self.start("")
        self.assertEqual(names(made), ["storage"])
        self.assertEqual(self.network.leftovers(), [])

    def test_only_what_is_named(self) -> None:
        """Every service stands alone."""
        http = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\n'
        for more, expected in (("", []), ("[services.c2s_ws]", ["c2s_ws"]), ("[services.s2s_ws]", ["s2s_ws"])):
            made = server.assemble(self.config(http + more), self.world())
            self.assertEqual(names(made), ["http", *expected, "storage"])

    def test_behind_proxy_without_certificates(self) -> None:
        """Behind a proxy a server needs no certificate."""
        text = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\ntls = "behind-proxy"\n[services.c2s_ws]\n'
        made = server.assemble(self.config(text, domain=f'[domains."{CAPULET}"]\n'), self.world())
        made.startService()
        raw = Raw(self.network, tls=None)
        self.assertIn("127.0.0.2", str(self.network.leftovers()))
        raw.drop()
        self.stop(made)

    def test_modules_of_the_world(self) -> None:
        """A module that is handed in gets its options, and is one of the services."""
        read = self.config("[modules.greeting]\nwords = 'good morrow'\n", greeting=Greeting.options)
        made = server.assemble(read, self.world(modules={"greeting": Greeting}))
        module: Any = made.services[0]
        self.assertIsInstance(module, Greeting)
        self.assertEqual(read.modules["greeting"], Greeting.Options(words="good morrow"))

    def test_module_twice(self) -> None:
        """Two modules that answer the same thing stop the start, by name."""
        twice = {"one": extend.load("ping"), "two": extend.load("ping")}
        read = self.config("[modules.one]\n[modules.two]\n", one=twice["one"].options, two=twice["two"].options)
        error = self.assertRaises(ConfigError, server.assemble, read, self.world(modules=twice))
        self.assertIn("modules.one", str(error))
        self.assertIn("modules.two", str(error))

    def test_module_gone(self) -> None:
        """A module whose package is gone stops the start, and says so."""
        read = self.config("[modules.gone]\n", gone=Greeting.options)
        error = self.assertRaises(ConfigError, server.assemble, read, self.world())
        self.assertIn("modules.gone: no installed package has this module", str(error))

    def test_module_unknown(self) -> None:
        """A module that is not installed is an unknown name in the file."""
        error = self.assertRaises(ConfigError, self.config, "[modules.pign]\n")
        self.assertIn("pign", str(error))
        self.assertIn("ping", str(error))

    def test_broken_module_that_nobody_named(self) -> None:
        """What is installed and not named is not even imported: it cannot stop the start."""
        imported: list[str] = []
        real = extend.load

        def load(name: str) -> Any:
            imported.append(name)
            return real(name)

        self.patch(extend, "load", load)
        self.config("[modules.ping]\n")
        config.load(self.folder / "server.toml", server.module_options())
        self.assertEqual(imported[-1:], ["ping"])
        imported.clear()
        config.load(self.folder / "server.toml", server.module_options())
        self.assertEqual(set(imported), {"ping"})

    def test_bad_certificate(self) -> None:
        """A certificate that cannot be read stops the start, and names the file."""
        (self.folder / "cert.pem").write_text("x")
        error = self.assertRaises(ConfigError, server.assemble, self.config(), self.world())
        self.assertIn("cert.pem", str(error))

    def test_no_federation(self) -> None:
        """Without [services.s2s_ws] who writes to another domain hears why nothing arrives."""
        made = self.start('[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\n[services.c2s_ws]\n')
        self.successResultOf(Deferred.fromCoroutine(add_account(made.accounts, JID.parse(JULIET), "wherefore", at_once)))
        raw = Raw(self.network)
        raw.login()
        (answer,) = raw.send(f"<message xmlns='jabber:client' to='x@{MONTAGUE}'/>")
        self.assertIn(StanzaCondition.REMOTE_SERVER_NOT_FOUND.value, answer.to_xml())
        self.assertIn("services.s2s_ws", answer.to_xml())
        raw.drop()


class Starting(AssemblyCase):
    """The start, which stops at what cannot be."""

    def test_port_taken(self) -> None:
        """A port that somebody has stops the start: nothing behind it has started."""
        self.start()
        second = server.assemble(self.config(), self.world())
        self.assertRaises(CannotListenError, second.startService)
        self.assertEqual([service.running for service in second.services if service.name in ("c2s_ws", "storage")], [0, 0])

    def test_old_expat(self) -> None:
        """An old expat is warned of, a newer one is not."""
        for version, warned in (((2, 5, 0), 1), ((2, 6, 0), 0)):
            self.patch(server.pyexpat, "version_info", version)
            events: Any = []
            globalLogPublisher.addObserver(events.append)
            made = server.assemble(self.config(""), self.world())
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
        made = server.assemble(self.config(""), self.world())
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
        made = server.assemble(self.config(""), self.world())
        order: list[str] = []
        _Stubborn("faulty", order, ZeroDivisionError()).setServiceParent(made)
        _Stubborn("last", order, None).setServiceParent(made)
        made.startService()
        self.successResultOf(Deferred.fromCoroutine(made.stopService()))
        self.assertEqual((order, len(self.flushLoggedErrors(ZeroDivisionError))), (["faulty", "last"], 1))

    def test_storage_last(self) -> None:
        """Storage closes when every connection is gone."""
        closed: list[int] = []
        real = self.accounts.close

        async def close() -> None:
            closed.append(len(clients.streams))
            await real()

        self.patch(self.accounts, "close", close)
        made = server.assemble(self.config(), self.world())
        c2s: Any = made.getServiceNamed("c2s_ws")
        clients = c2s.clients
        made.startService()
        self.successResultOf(Deferred.fromCoroutine(add_account(self.accounts, JID.parse(JULIET), "wherefore", at_once)))
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


class Checking(AssemblyCase):
    """`xmppfedctl check` does what a start does, up to listening."""

    def test_good(self) -> None:
        """It touches neither the port nor the database, and needs no reactor."""
        self.start()
        before = sorted(self.folder.rglob("*"))
        server.check(self.config())
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        self.assertEqual(list((self.folder / "data").iterdir()), [])

    def test_bad(self) -> None:
        """What would stop the start is found: a certificate, a trust anchor, a module."""
        good = self.config()
        (self.folder / "cert.pem").write_text("x")
        self.assertRaises(ConfigError, server.check, good)
        (self.folder / "cert.pem").write_bytes(self_signed(CAPULET, self.now))
        server.check(good)
        self.assertRaises(ConfigError, server.check, replace(good, trust_anchors=(self.folder / "server.toml",)))
        self.assertRaises(ConfigError, server.check, self.config("[modules.gone]\n", gone=Greeting.options))


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
        server.assemble(read, self.world()).reload()


class Commands(AssemblyCase):
    """What the control socket offers besides accounts as such."""

    def setUp(self) -> None:
        """A server whose control socket is taken in memory."""
        super().setUp()
        self.sites: list[Any] = []
        memory: Any = self.network.reactor
        memory.listenUNIX = self.listen

    def listen(self, path: str, site: Any, mode: int) -> Any:
        """Take what would listen."""
        self.sites.append(site)
        return self

    def stopListening(self) -> None:
        """End it."""

    def ask(self, name: str, **arguments: object) -> tuple[int, Any]:
        """The status and the JSON of a command's answer."""
        body = json.dumps(arguments).encode()
        transport = StringTransport()
        channel = self.sites[-1].buildProtocol(None)
        channel.makeConnection(transport)
        head = f"POST /{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        channel.dataReceived(head.encode() + body)
        self.network.pump()
        answered, _, rest = transport.value().partition(b"\r\n\r\n")
        return int(answered.split()[1]), json.loads(rest.split(b"\r\n")[1] if b"chunked" in answered else rest)

    def test_delete(self) -> None:
        """Deleting an account ends its streams, bound or not, and leaves those of others."""
        self.start(control=True)
        for name in ("juliet", "nurse"):
            self.assertEqual(self.ask("user/add", address=f"{name}@{CAPULET}", password="wherefore")[0], 200)
        bound, unbound, nurse = Raw(self.network), Raw(self.network), Raw(self.network)
        bound.login()
        unbound.open()
        unbound.plain()
        nurse.login("nurse")
        self.assertEqual(self.ask("user/delete", address="Juliet@capulet.example"), (200, {"deleted": JULIET}))
        for raw in (bound, unbound):
            self.assertEqual(stream_error(raw.take()), "not-authorized")
        self.assertIsNone(nurse.close_code)
        again = Raw(self.network)
        again.open()
        self.assertEqual(again.plain().name, "failure")
        for raw in (bound, unbound, nurse, again):
            raw.drop()

    def test_delete_nobody(self) -> None:
        """Who is not there cannot be deleted: the command fails and ends nobody's stream."""
        self.start(control=True)
        self.ask("user/add", address=JULIET, password="wherefore")
        raw = Raw(self.network)
        raw.login()
        status, answer = self.ask("user/delete", address=f"romeo@{CAPULET}")
        self.assertEqual((status, "romeo" in answer["error"], raw.close_code), (404, True, None))
        raw.drop()

    def test_delete_without_clients(self) -> None:
        """A server that takes no clients has accounts nevertheless."""
        self.start("", control=True)
        self.ask("user/add", address=JULIET, password="wherefore")
        self.assertEqual(self.ask("user/delete", address=JULIET)[0], 200)

    def test_reload(self) -> None:
        """The answer names the file; a broken one is told, with the reason."""
        made = self.start(control=True)
        self.assertEqual(self.ask("reload"), (200, {"reloaded": str(made.config.file)}))
        made.config.file.write_text("x")
        status, answer = self.ask("reload")
        self.assertEqual((status, "server.toml" in answer["error"]), (400, True))

    def test_status(self) -> None:
        """The process, the domains and the services."""
        self.start(control=True)
        status, answer = self.ask("status")
        self.assertEqual((status, answer["domains"]), (200, [CAPULET]))
        self.assertEqual(answer["services"], ["http", "c2s_ws", "s2s_ws", "modules.ping", "modules.disco", "control", "storage"])
        self.assertIsInstance(answer["pid"], int)


class MakeService(TestCase):
    """The server for a real reactor."""

    async def test_database(self) -> None:
        """It has a database in `data_dir`, which a server that is only checked has not."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "server.toml").write_text(f'data_dir = "."\n[domains."{CAPULET}"]\n')
        made = server.make_service(config.load(folder / "server.toml", {}), reactor)
        self.assertTrue((folder / FILE_NAME).exists())
        await made.stopService()
