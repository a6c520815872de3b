"""What is assembled from a configuration; check, and the commands of the control socket."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.serialization import Encoding
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase
from twisted.web.test.requesthelper import DummyRequest

from tests.assembling import AssemblyCase, Greeting, names
from tests.services.raw import CAPULET, JULIET, MONTAGUE, Raw, stream_error
from xmppfed import assembly, config, extend, server
from xmppfed.core.jid import JID
from xmppfed.discovery.posh import parse_posh
from xmppfed.e2e.store import FileTrustStore
from xmppfed.e2e.trust import Acquaintance, Trust
from xmppfed.errors import ConfigError, StanzaCondition
from xmppfed.net.certificates import load_certificate
from xmppfed.net.issuing import Authority, self_signed
from xmppfed.storage.accounts import add_account
from xmppfed.storage.sqlite import FILE_NAME
from xmppfed.storage.threads import at_once

STREAMS = ("c2s_ws", "s2s_ws", "clients", "federation")


class Assembly(AssemblyCase):
    """What stands in a server, and in which order."""

    def test_everything(self) -> None:
        """Listening comes first, then the streams, the modules, the control socket, and storage last: they stop in this order."""
        made = assembly.assemble(self.config(), self.world(control=True))
        self.assertEqual(names(made), ["http", *STREAMS, "modules.ping", "modules.disco", "control", "storage"])

    def test_nothing_but_storage(self) -> None:
        """A server without services is one; it listens nowhere."""
        made = self.start("")
        self.assertEqual(names(made), ["storage"])
        self.assertEqual(self.network.leftovers(), [])

    def test_only_what_is_named(self) -> None:
        """Every service stands alone."""
        http = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\n'
        for more, expected in (
            (http, ["http"]),
            (http + "[services.c2s_ws]", ["http", "c2s_ws", "clients"]),
            (http + "[services.s2s_ws]", ["http", "s2s_ws", "federation"]),
            ("[services.c2s_tcp]", ["c2s_tcp", "clients"]),
            ("[services.s2s_tcp]", ["s2s_tcp", "federation"]),
        ):
            made = assembly.assemble(self.config(more), self.world())
            self.assertEqual(names(made), [*expected, "storage"])

    def test_behind_proxy_without_certificates(self) -> None:
        """Behind a proxy a server needs no certificate."""
        text = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\ntls = "behind-proxy"\n[services.c2s_ws]\n'
        made = assembly.assemble(self.config(text, domain=f'[domains."{CAPULET}"]\n'), self.world())
        made.startService()
        raw = Raw(self.network, tls=None)
        self.assertIn("127.0.0.2", str(self.network.leftovers()))
        raw.drop()
        self.stop(made)

    def published(self, made: server.Server, *path: bytes) -> bytes:
        """A document below /.well-known/."""
        resource: Any = made.getServiceNamed("http").root
        for name in (b".well-known", *path):
            resource = resource.children[name]
        body: bytes = resource.render_GET(DummyRequest([]))
        return body

    def test_published(self) -> None:
        """The links are added to the host-meta that the domain has, and its certificate is named, also a new one."""
        (self.folder / "host-meta.json").write_text('{"subject": "capulet"}')
        http = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\nposh = true\nhost_meta_base = "host-meta"\n'
        made = self.start(f"{http}[services.s2s_ws]\n")
        self.assertIn(b'"subject":"capulet"', self.published(made, b"host-meta.json"))
        self.assertIn(b"s2s-websocket", self.published(made, b"host-meta"))
        for _ in range(2):
            der = load_certificate(self.folder / "cert.pem").leaf.public_bytes(Encoding.DER)
            (one,) = parse_posh(self.published(made, b"posh", b"xmpp-server.json")).fingerprints
            self.assertTrue(one.is_of(der))
            (self.folder / "cert.pem").write_bytes(Authority(self.now).issue(CAPULET))
            made.reload()

    def test_published_ports(self) -> None:
        """Ports that begin with TLS are published where they have a number, and only if addresses are."""
        http = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\npublic_addresses = ["203.0.113.7"]\n'
        c2s = '[services.c2s_tcp]\nendpoint = ""\ndirect_tls_endpoint = "tcp:port=5223:interface=127.0.0.2"\n'
        s2s = '[services.s2s_tcp]\nendpoint = ""\ndirect_tls_endpoint = "unix:s2s"\n'
        for more, expected in (
            (f"{http}{c2s}{s2s}", {"urn:xmpp:alt-connections:tls": 5223}),
            (f"{http}[services.s2s_tcp]\n", {"urn:xmpp:alt-connections:s2s-tls": 5270}),
            (f"{http}[services.s2s_tcp]\ndirect_tls_endpoint = ''\n", {}),
            (f"{http.replace('public', '# public')}{c2s}", {}),
        ):
            made = assembly.assemble(self.config(more), self.world())
            document = json.loads(self.published(made, b"host-meta.json"))
            self.assertEqual({link["rel"]: link["port"] for link in document["links"]}, expected)

    def test_nothing_to_publish(self) -> None:
        """POSH without a certificate, and a host-meta that is not there, stop the start; the error names key or file."""
        http = '[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\ntls = "behind-proxy"\n'
        read = self.config(f"{http}posh = true\n", domain=f'[domains."{CAPULET}"]\n')
        error = self.assertRaises(ConfigError, assembly.assemble, read, self.world())
        self.assertIn("services.http.posh: found true, and no certificate; wanted", str(error))
        read = self.config(f'{http}host_meta_base = "host-meta"\n')
        error = self.assertRaises(ConfigError, assembly.assemble, read, self.world())
        self.assertIn(str(self.folder / "host-meta"), str(error))

    def test_modules_of_the_world(self) -> None:
        """A module that is handed in gets its options, and is one of the services."""
        read = self.config("[modules.greeting]\nwords = 'good morrow'\n", greeting=Greeting.options)
        made = assembly.assemble(read, self.world(modules={"greeting": Greeting}))
        module: Any = made.services[0]
        self.assertIsInstance(module, Greeting)
        self.assertEqual(read.modules["greeting"], Greeting.Options(words="good morrow"))

    def test_module_twice(self) -> None:
        """Two modules that answer the same thing stop the start, by name."""
        twice = {"one": extend.load("ping"), "two": extend.load("ping")}
        read = self.config("[modules.one]\n[modules.two]\n", one=twice["one"].options, two=twice["two"].options)
        error = self.assertRaises(ConfigError, assembly.assemble, read, self.world(modules=twice))
        self.assertIn("modules.one", str(error))
        self.assertIn("modules.two", str(error))

    def test_module_gone(self) -> None:
        """A module whose package is gone stops the start, and says so."""
        read = self.config("[modules.gone]\n", gone=Greeting.options)
        error = self.assertRaises(ConfigError, assembly.assemble, read, self.world())
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
        config.load(self.folder / "server.toml", assembly.module_options())
        self.assertEqual(imported[-1:], ["ping"])
        imported.clear()
        config.load(self.folder / "server.toml", assembly.module_options())
        self.assertEqual(set(imported), {"ping"})

    def test_bad_certificate(self) -> None:
        """A certificate that cannot be read stops the start, and names the file."""
        (self.folder / "cert.pem").write_text("x")
        error = self.assertRaises(ConfigError, assembly.assemble, self.config(), self.world())
        self.assertIn("cert.pem", str(error))

    def test_no_federation(self) -> None:
        """Without a service between servers who writes to another domain hears why nothing arrives."""
        made = self.start('[services.http]\nendpoint = "tcp:443:interface=127.0.0.2"\n[services.c2s_ws]\n')
        self.successResultOf(Deferred.fromCoroutine(add_account(made.storage.accounts, JID.parse(JULIET), "wherefore", at_once)))
        raw = Raw(self.network)
        raw.login()
        (answer,) = raw.send(f"<message xmlns='jabber:client' to='x@{MONTAGUE}'/>")
        self.assertIn(StanzaCondition.REMOTE_SERVER_NOT_FOUND.value, answer.to_xml())
        self.assertIn("services.s2s_ws", answer.to_xml())
        raw.drop()


class Checking(AssemblyCase):
    """`xmppfedctl check` does what a start does, up to listening."""

    def test_good(self) -> None:
        """It touches neither the port nor the database, and needs no reactor."""
        self.start()
        before = sorted(self.folder.rglob("*"))
        assembly.check(self.config())
        self.assertEqual(sorted(self.folder.rglob("*")), before)
        self.assertEqual(list((self.folder / "data").iterdir()), [])

    def test_bad(self) -> None:
        """What would stop the start is found: a certificate, a trust anchor, a module."""
        good = self.config()
        (self.folder / "cert.pem").write_text("x")
        self.assertRaises(ConfigError, assembly.check, good)
        (self.folder / "cert.pem").write_bytes(self_signed(CAPULET, self.now))
        assembly.check(good)
        self.assertRaises(ConfigError, assembly.check, replace(good, trust_anchors=(self.folder / "server.toml",)))
        self.assertRaises(ConfigError, assembly.check, self.config("[modules.gone]\n", gone=Greeting.options))

    def test_lan_gateway(self) -> None:
        """The gateway to the local network needs what finds people there, and names that differ; nothing is made by a look."""
        gateway = '[services.e2e.lan_gateway]\nusers = ["a.b@capulet.example"{}]\n'
        assembly.check(self.config(gateway.format("")))
        self.assertEqual(list((self.folder / "data").iterdir()), [])
        with patch("xmppfed.assembly_e2e.find_spec", lambda name: None):
            error = self.assertRaises(ConfigError, assembly.check, self.config(gateway.format("")))
        self.assertIn("pip install 'xmppfed[linklocal]'", str(error))
        self.assertRaises(ConfigError, assembly.check, self.config(gateway.format(', "a-b@capulet.example"')))


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

    def test_modules_forget_who_is_deleted(self) -> None:
        """They hear of it, connected or not: nothing of the account may be left in their memory."""
        made = self.start(control=True)
        left: list[JID] = []
        made.router.handlers.add(("session", "left"), left.append, "m")
        self.ask("user/add", address=JULIET, password="wherefore")
        self.ask("user/delete", address=JULIET)
        self.assertEqual(left, [JID.parse(JULIET)])

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
        self.assertEqual(answer["services"], ["http", *STREAMS, "modules.ping", "modules.disco", "control", "storage"])
        self.assertIsInstance(answer["pid"], int)

    def test_end_to_end(self) -> None:
        """Whom it knows end to end is in a file in its folder; without such streams nobody pairs with it."""
        store = FileTrustStore.under(self.folder / "data")
        store.keep(Acquaintance(name="juliet@pronto", trust=Trust.PLAIN))
        self.start(control=True)
        self.assertEqual([one["name"] for one in self.ask("e2e/trust/list")[1]["peers"]], ["juliet@pronto"])
        status, answer = self.ask("e2e/pair/show")
        self.assertEqual((status, "[services.e2e]" in answer["error"]), (400, True))


class MakeService(TestCase):
    """The server for a real reactor."""

    async def test_database(self) -> None:
        """It has a database in `data_dir`, which a server that is only checked has not."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "server.toml").write_text(f'data_dir = "."\n[domains."{CAPULET}"]\n')
        made = assembly.make_service(config.load(folder / "server.toml", {}), reactor)
        self.assertTrue((folder / FILE_NAME).exists())
        await made.stopService()
