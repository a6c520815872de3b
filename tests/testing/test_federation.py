"""The test door: whole servers, whatever wire the test chooses, and a cleanup that finds what they leave behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal
from unittest import TestResult, defaultTestLoader

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.errors import ConfigError
from xmppfed.extend import Element, Host, Module, Options, Stanza, iq
from xmppfed.storage.interface import AccountExists
from xmppfed.testing.certificates import CertificateKind
from xmppfed.testing.client import Client
from xmppfed.testing.federation import Federation
from xmppfed.timeouts import Timeouts

Wire = Literal["memory", "tcp", "websocket"]
WIRES: tuple[Wire, ...] = ("memory", "tcp", "websocket")
JULIET, ROMEO = "juliet@capulet.example/balcony", "romeo@montague.example/orchard"


class HelloOptions(Options, frozen=True):
    """What to say."""

    word: str = "hello"


class Hello(Module):
    """Answers with a word."""

    options = HelloOptions

    def __init__(self, host: Host, options: HelloOptions) -> None:
        super().__init__(host, options)
        self._word = options.word

    @iq("get", "{urn:example:hello}hello", target="server")
    def hello(self, stanza: Stanza) -> Element:
        return Element("hello", "urn:example:hello", {}, [self._word])


class _Scenario:
    """What two people do, over the wire that a subclass names."""

    wire: Wire

    def setUp(self: Any) -> None:
        self.federation = Federation("capulet.example", "montague.example", wire=self.wire)
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(JULIET)
        self.romeo = self.federation.client(ROMEO)

    def test_login(self: Any) -> None:
        """Clients log in with a channel binding, get the resource they ask for, and hear of themselves alone."""
        self.assertEqual(str(self.juliet.jid), JULIET)
        self.assertEqual(self.juliet.connection.stream.mechanism, "SCRAM-SHA-512-PLUS")
        self.juliet.expect_nothing()

    def test_messages_both_ways(self: Any) -> None:
        """A message reaches the other domain, and the answer comes back."""
        self.juliet.send("<message to='romeo@montague.example' type='chat'><body>Art thou not Romeo?</body></message>")
        self.romeo.expect(f"<message from='{JULIET}' type='chat'><body>Art thou not Romeo?</body></message>")
        self.romeo.send(f"<message to='{JULIET}' type='chat'><body>Neither, fair saint.</body></message>")
        self.juliet.expect(f"<message from='{ROMEO}'><body>Neither, fair saint.</body></message>")

    def test_ping(self: Any) -> None:
        """A request to another domain is answered (XEP-0199)."""
        answer = self.juliet.request("<iq type='get' to='montague.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.assertEqual((answer.type, answer.attributes["from"]), ("result", "montague.example"))

    def test_presence_to_own_resources(self: Any) -> None:
        """A second resource and the first hear of each other (RFC 6121, 4.2.2)."""
        garden = self.federation.client("juliet@capulet.example/garden")
        garden.expect(f"<presence from='{JULIET}'/>")
        self.juliet.expect("<presence from='juliet@capulet.example/garden'/>")

    def test_close(self: Any) -> None:
        """Who logs out is gone: no error, no session, and the other resources are told (RFC 6121, 4.5.2)."""
        garden = self.federation.client("juliet@capulet.example/garden")
        self.juliet.close()
        garden.take(f"<presence type='unavailable' from='{JULIET}'/>")
        self.assertIsNone(self.juliet.failure)
        self.assertIsNotNone(self.juliet.closed)
        self.assertEqual(list(self.federation.server("capulet.example").sessions.resources), ["juliet@capulet.example/garden"])


class OverMemory(_Scenario, SynchronousTestCase):
    """The scenario over bare messages."""

    wire: Wire = "memory"


class OverTCP(_Scenario, SynchronousTestCase):
    """The scenario over the streams of RFC 6120."""

    wire: Wire = "tcp"


class OverWebSocket(_Scenario, SynchronousTestCase):
    """The scenario over WebSocket, as in production."""

    wire: Wire = "websocket"


class Certificates(SynchronousTestCase):
    """What becomes of a message to, and from, a domain whose certificate is bad."""

    def talk(
        self, kind: CertificateKind, wire: Wire, trust: str = "external", *, answer_first: bool = False
    ) -> tuple[Client, Client]:
        settings = f'[federation]\ntrust = "{trust}"'
        domains = ("capulet.example", "montague.example")
        federation = Federation(
            *domains, wire=wire, certificates={"montague.example": kind}, configuration=dict.fromkeys(domains, settings)
        )
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        texts = [(juliet, f"<message to='{ROMEO}'><body>to</body></message>")]
        texts.insert(0 if answer_first else 1, (romeo, f"<message to='{JULIET}'><body>from</body></message>"))
        for client, text in texts:
            client.send(text)
        return juliet, romeo

    def test_bad(self) -> None:
        """Nobody believes it, whoever connects; each side is told why, over every wire."""
        reasons: dict[CertificateKind, str] = {
            "expired": "certificate has expired",
            "wrong-name": "found a certificate for",
            "self-signed": "self-signed certificate",
        }
        for wire in WIRES:
            for kind, reason in reasons.items():
                juliet, romeo = self.talk(kind, wire)
                refused = juliet.take(f"<message type='error' from='{ROMEO}'/>")
                self.assertIn(reason, refused.letter.decode())
                romeo.take(f"<message type='error' from='{JULIET}'/>")
                self.assertEqual([one for one in juliet.received + romeo.received if one.type != "error"], [])

    def test_valid(self) -> None:
        """A good one opens both ways."""
        for wire in WIRES:
            juliet, romeo = self.talk("valid", wire)
            romeo.expect("<message><body>to</body></message>")
            juliet.expect("<message><body>from</body></message>")

    def test_none(self) -> None:
        """Who shows none is reached; and believed only where dialback is enough."""
        for wire in WIRES:
            juliet, romeo = self.talk("none", wire, answer_first=True)
            romeo.take("<message type='error'/>")
            romeo.take("<message><body>to</body></message>")
            juliet.expect_nothing()
            juliet, romeo = self.talk("none", wire)
            juliet.expect("<message><body>from</body></message>")  # on the stream that reached it, by its certificate
            juliet, romeo = self.talk("none", wire, "external-or-dialback")
            juliet.expect("<message><body>from</body></message>")


class Configuration(SynchronousTestCase):
    """What a test changes in its servers."""

    def federation(self, **options: Any) -> Federation:
        federation = Federation("capulet.example", "montague.example", wire="memory", **options)
        self.addCleanup(federation.cleanup)
        return federation

    def test_every_server_and_one(self) -> None:
        """Settings under "*" are for every server; those of a domain come after them."""
        federation = self.federation(
            configuration={
                "*": "[services.c2s_ws]\nmax_stanza_bytes = 20000",
                "montague.example": {"services": {"c2s_ws": {"max_stanza_bytes": 30000}}, "modules": {"ping": None}},
            }
        )
        configs = [federation.server(domain).config for domain in ("capulet.example", "montague.example")]
        limits = [config.services.c2s_ws.max_stanza_bytes for config in configs if config.services.c2s_ws is not None]
        self.assertEqual(limits, [20000, 30000])
        self.assertEqual(["ping" in config.modules for config in configs], [True, False])

    def test_wrong_settings(self) -> None:
        """Settings that no server takes are refused as those of a file are; nothing is left behind."""
        error = self.assertRaises(ConfigError, self.federation, configuration={"*": "[services.c2s]"})
        self.assertIn("services.c2s: found an unknown service", str(error))
        self.assertFalse(Path(str(error).partition(": ")[0]).parent.exists())

    def test_unknown_names(self) -> None:
        """Domains and wires that do not exist are errors that name those that do."""
        for options in ({"certificates": {"verona.example": "valid"}}, {"configuration": {"verona.example": ""}}):
            error = self.assertRaises(ValueError, self.federation, **options)
            self.assertIn("found 'verona.example'", str(error))
        wire: Any = "pigeon"
        error = self.assertRaises(ValueError, Federation, "capulet.example", wire=wire)
        self.assertEqual(str(error), "found the wire 'pigeon'; wanted one of memory, tcp, websocket")
        self.assertRaises(ValueError, self.federation().client, "prince@verona.example")

    def test_module(self) -> None:
        """A module of the test need not be installed; it takes its options from the configuration."""
        settings = {"capulet.example": '[modules.hello]\nword = "farewell"'}
        federation = self.federation(modules={"hello": Hello}, configuration=settings)
        juliet = federation.client(JULIET)
        for domain, word in (("capulet.example", "farewell"), ("montague.example", "hello")):
            answer = juliet.request(f"<iq type='get' to='{domain}'><hello xmlns='urn:example:hello'/></iq>")
            self.assertEqual(answer.element.child("{urn:example:hello}hello").text, word)

    def test_timeouts(self) -> None:
        """A test can have limits of time of its own."""
        federation = self.federation(timeouts=Timeouts(queue=5))
        juliet = federation.client(JULIET)
        federation.network.blackhole("127.0.0.3")
        juliet.send(f"<message to='{ROMEO}'/>")
        federation.advance(5)
        juliet.take("<message type='error'/>")
        federation.advance(10)

    def test_service_switched_off(self) -> None:
        """A server without federation sends back what is for others."""
        federation = self.federation(configuration={"capulet.example": {"services": {"s2s_ws": None}}})
        juliet = federation.client(JULIET)
        juliet.send(f"<message to='{ROMEO}'/>")
        condition = "<remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
        juliet.take(f"<message type='error'><error type='cancel'>{condition}</error></message>")

    def test_other_scripts(self) -> None:
        """Domains may be written in any script."""
        for wire in WIRES:
            federation = Federation("bücher.example", "capulet.example", wire=wire)
            self.addCleanup(federation.cleanup)
            reader, juliet = federation.client("leser@bücher.example/1"), federation.client(JULIET)
            reader.send(f"<message to='{JULIET}'/>")
            juliet.expect("<message from='leser@bücher.example/1'/>")

    def test_without_directory(self) -> None:
        """Servers find each other by host-meta then, and a domain without an address not at all."""
        federation = Federation("capulet.example", "montague.example", directory=False)
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        juliet.send(f"<message to='{ROMEO}'/>")
        romeo.expect(f"<message from='{JULIET}'/>")
        juliet.send("<message to='prince@verona.example'/>")
        juliet.expect("<message type='error' from='prince@verona.example'/>")

    def test_stranger(self) -> None:
        """With the directory a domain that is none of the test's is not found either."""
        juliet = self.federation().client(JULIET)
        juliet.send("<message to='prince@verona.example'/>")
        self.assertIn("the test: none of its domains", juliet.expect("<message type='error'/>").letter.decode())


class Networks(SynchronousTestCase):
    """What can be done to the wires, whatever they carry."""

    def talking(self, wire: Wire) -> tuple[Federation, Client, Client]:
        """Two clients whose servers have a stream."""
        federation = Federation("capulet.example", "montague.example", wire=wire)
        self.addCleanup(federation.cleanup)
        juliet, romeo = federation.client(JULIET), federation.client(ROMEO)
        self.talk(juliet, romeo)
        return federation, juliet, romeo

    def talk(self, juliet: Client, romeo: Client) -> None:
        juliet.send(f"<message to='{ROMEO}'/>")
        romeo.expect("message")
        romeo.send(f"<message to='{JULIET}'/>")
        juliet.expect("message")

    def test_cut_between_servers(self) -> None:
        """Clients stay, and the next message makes a new stream, which serves both ways (XEP-0288)."""
        for wire in WIRES:
            federation, juliet, romeo = self.talking(wire)
            self.assertEqual(federation.network.cut(federation.between_servers), 1)
            federation.network.pump()
            self.assertEqual((juliet.closed, romeo.closed), (None, None))
            self.talk(juliet, romeo)

    def test_delay(self) -> None:
        """A message takes its time."""
        for wire in WIRES:
            federation, juliet, romeo = self.talking(wire)
            federation.network.delay(2)
            juliet.send(f"<message to='{ROMEO}'/>")
            federation.advance(5)
            romeo.expect_nothing()
            federation.advance(1)
            romeo.expect("message")
            federation.network.delay(0)

    def test_split(self) -> None:
        """How the bytes are cut does not matter."""
        for wire in WIRES:
            federation, juliet, romeo = self.talking(wire)
            federation.network.split(1)
            self.talk(juliet, romeo)

    def test_freeze(self) -> None:
        """A client that is frozen learns nothing; over WebSocket its server finds out, and forgets it."""
        federation, juliet, romeo = self.talking("websocket")
        self.assertEqual(federation.network.freeze(romeo.owns), 1)
        juliet.send(f"<message to='{ROMEO}'/>")
        romeo.expect_nothing()
        federation.advance(200)
        self.assertNotIn(ROMEO, federation.server("montague.example").sessions.resources)
        self.assertIsNone(juliet.closed)


class Results(SynchronousTestCase):
    """Coroutines, run to their end."""

    def setUp(self) -> None:
        self.federation = Federation(wire="memory")
        self.addCleanup(self.federation.cleanup)

    def test_result_and_exception(self) -> None:
        """The result is returned, and an exception raised."""

        async def one() -> int:
            return 1

        async def none() -> int:
            raise LookupError("nothing")

        self.assertEqual(self.federation.result(one()), 1)
        self.assertRaises(LookupError, self.federation.result, none())

    def test_not_done(self) -> None:
        """What waits for time to pass is not done."""

        async def waiting() -> None:
            await later

        later: Deferred[None] = Deferred()
        error = self.assertRaises(AssertionError, self.federation.result, waiting())
        self.assertIn("is not done", str(error))
        later.callback(None)


class ComingAndGoing(SynchronousTestCase):
    """Servers that stop or crash, and start again."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example", wire="memory")
        self.addCleanup(self.federation.cleanup)
        self.juliet = self.federation.client(JULIET)
        self.romeo = self.federation.client(ROMEO)
        self.juliet.send(f"<message to='{ROMEO}' type='chat'/>")
        self.romeo.expect("message")
        self.federation.advance(1)  # until the server has said that it has it: who crashes before is sent it once more

    def test_stopped(self) -> None:
        """Clients are told that the server shuts down; others do not find it until it starts again."""
        self.federation.stop("montague.example")
        assert self.romeo.failure is not None
        self.assertEqual(self.romeo.failure.condition.value, "system-shutdown")
        self.juliet.send(f"<message to='{ROMEO}' type='chat' id='1'/>")
        self.juliet.expect("<message type='error' id='1'/>")
        self.again()

    def test_crashed(self) -> None:
        """Nobody is told anything: connections of both directions are reset, and time does not pass."""
        before = self.federation.network.reactor.seconds()
        heard: list[object] = []
        self.federation.server("capulet.example").router.handlers.add(("hook", "received"), heard.append, "m")
        self.federation.crash("montague.example")
        self.assertIsNone(self.romeo.failure)
        self.assertIsNotNone(self.romeo.closed)
        self.assertEqual([link for link in self.federation.network.links if not self.juliet.owns(link)], [])
        self.assertEqual((heard, self.federation.network.reactor.seconds()), ([], before))
        self.again()

    def again(self) -> None:
        """The server starts with its accounts, and federates as before."""
        self.federation.start("montague.example")
        romeo = self.federation.client(ROMEO, presence=False)
        self.assertRaises(AccountExists, self.federation.account, "romeo@montague.example")
        self.juliet.send(f"<message to='{ROMEO}' type='chat' id='2'/>")
        romeo.expect("<message id='2'/>")


class CleaningUp(SynchronousTestCase):
    """A test that leaves something behind fails."""

    def setUp(self) -> None:
        self.federation = Federation("capulet.example", "montague.example", wire="memory")
        self.juliet = self.federation.client(JULIET)

    def complaint(self) -> str:
        return str(self.assertRaises(AssertionError, self.federation.cleanup))

    def test_clean(self) -> None:
        """Sessions and streams end with their servers; who stopped before is not stopped again."""
        romeo = self.federation.client(ROMEO)
        self.juliet.send(f"<message to='{ROMEO}'/>")
        romeo.expect("message")
        self.federation.stop("montague.example")
        assert romeo.failure is not None
        self.assertEqual(romeo.failure.condition.value, "system-shutdown")
        self.assertRaises(ValueError, self.federation.server, "montague.example")
        self.federation.cleanup()

    def test_delayed_call(self) -> None:
        """A call that nobody canceled."""
        self.federation.network.reactor.callLater(3600, self.fail)
        self.assertIn("The federation is not clean:\nin 3600 s: <DelayedCall", self.complaint())

    def test_connection(self) -> None:
        """A port that nobody closed."""
        self.federation.network.reactor.listenTCP(1, Factory())
        self.assertIn("listening on 0.0.0.0 port 1", self.complaint())

    def test_queued_stanza(self) -> None:
        """A stanza that still waits for a stream."""
        self.federation.network.blackhole("127.0.0.3")
        self.juliet.send(f"<message to='{ROMEO}' id='late'/>")
        self.assertIn("capulet.example: <Stanza message {'to': 'romeo@montague.example/orchard', 'id': 'late'", self.complaint())

    def test_session(self) -> None:
        """A session that survives its server."""
        sessions = self.federation.server("capulet.example").sessions
        self.patch(sessions, "remove", lambda session: None)
        self.assertIn(f"capulet.example: {JULIET} is still a session", self.complaint())

    def test_server_that_does_not_stop(self) -> None:
        """A service that takes for ever, named by its domain; the other servers are stopped."""

        class Stubborn(Service):
            def stopService(self) -> Deferred[None]:
                return Deferred()

        Stubborn().setServiceParent(self.federation.server("capulet.example"))
        self.assertIn("capulet.example has not stopped: not within 60 seconds", self.complaint())
        self.assertEqual(self.federation.network.leftovers(), [])

    def test_slow_server(self) -> None:
        """Time passes while a server stops, as much as it needs."""
        reactor = self.federation.network.reactor

        class Slow(Service):
            def stopService(self) -> Deferred[None]:
                return deferLater(reactor, 10, lambda: None)

        Slow().setServiceParent(self.federation.server("capulet.example"))
        self.federation.cleanup()

    def test_frozen_connections(self) -> None:
        """Connections that nobody can close in good order end nevertheless."""
        self.federation.network.freeze()
        self.federation.cleanup()


class Manual(SynchronousTestCase):
    """What the manual shows works."""

    def test_example(self) -> None:
        """The first example of docs/how-to/testing.md passes."""
        page = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
        example = page.read_text().partition("```python\n")[2].partition("```")[0]
        names: dict[str, Any] = {"__name__": "example"}
        exec(compile(example, str(page), "exec"), names)
        suite = defaultTestLoader.loadTestsFromTestCase(names["Garden"])
        result = TestResult()
        suite.run(result)
        self.assertEqual((result.testsRun, result.failures, result.errors), (3, [], []))
