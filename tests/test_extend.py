"""The door for modules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib.metadata import EntryPoint
from typing import Any, ClassVar, cast

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.modules.hosting import JULIET, Hosting
from tests.routing.fakes import available, condition, stanza
from xmppfed import extend
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.errors import ConfigError
from xmppfed.extend import (
    JID,
    Element,
    Host,
    Module,
    Options,
    Pair,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    blocks,
    broken,
    delivered,
    hook,
    inline,
    iq,
    message,
    nonza,
    offer,
    owner_only,
    presence,
    session,
    subscribed,
    watchers,
)

NS = "urn:example:lamp"
LAMP = f"{{{NS}}}lamp"


class LampOptions(Options, frozen=True):
    """Options of the module below."""

    brightness: int = 7


class Lamp(Module):
    """A module as somebody else would write it."""

    options = LampOptions
    features = (NS,)

    def __init__(self, host: Host, options: LampOptions) -> None:
        super().__init__(host, options)
        self.brightness = options.brightness
        self.seen: list[str | None] = []
        self.delay: Deferred[None] = Deferred()

    @iq("get", LAMP, target="server")
    @iq("get", LAMP, target="account")
    def look(self, stanza: Stanza) -> Element:
        return Element("lamp", NS, {"brightness": str(self.brightness)})

    @iq("set", LAMP, target="server")
    async def light(self, stanza: Stanza) -> None:
        await self.delay

    @iq("set", LAMP, target="account")
    def refuse(self, stanza: Stanza) -> Stanza:
        raise StanzaError(StanzaCondition.NOT_ALLOWED)

    @message("server")
    def echo(self, stanza: Stanza) -> Stanza:
        return stanza.with_attributes(to=stanza.attributes["from"], sender=stanza.attributes["to"])

    @hook("sent")
    @hook("received")
    def look_on(self, stanza: Stanza) -> Stanza:
        self.seen.append(stanza.id)
        return stanza

    @delivered
    def copy(self, stanza: Stanza, others: Sequence[Resource]) -> None:
        self.seen.extend(other.session.jid.resource for other in others)

    @offer("client")
    def light_bulb(self) -> Element:
        return Element("bulb", NS)

    @nonza(f"{{{NS}}}on")
    @inline(f"{{{NS}}}on")
    def switch(self, resource: Resource, element: Element) -> None:
        resource.wants.add(NS)

    @message("undeliverable")
    def store(self, stanza: Stanza) -> None:
        self.host.route(stanza.with_attributes(to=JULIET))

    @presence("own")
    def greet(self, stanza: Stanza, resource: Resource) -> None:
        self.seen.append(resource.full)

    @presence("subscription")
    def answer_probe(self, stanza: Stanza) -> Stanza:
        return stanza.with_attributes(to=JULIET, sender="nurse@example.org", type="unavailable")


class MarkedMethodsTests(SynchronousTestCase):
    """Marked methods see what they are marked for."""

    def test_iq(self) -> None:
        """A method may have several marks; it answers with an Element."""
        server = Hosting(Lamp)
        for to in ("example.org", "juliet@example.org"):
            answer = server.ask("get", to, LAMP).element.child(LAMP)
            assert answer is not None
            self.assertEqual(answer.attributes, {"brightness": "7"})

    def test_refusing(self) -> None:
        """StanzaError is the answer."""
        self.assertEqual(condition(Hosting(Lamp).ask("set", None, LAMP)), "not-allowed")

    def test_async(self) -> None:
        """An async method answers when it is done."""
        server = Hosting(Lamp)
        [lamp] = server.modules
        assert isinstance(lamp, Lamp)
        server.route(stanza("iq", "set", "example.org", LAMP, sender=JULIET))
        self.assertEqual(server.juliet.take(), [])
        lamp.delay.callback(None)
        self.assertEqual([answer.type for answer in server.juliet.take()], ["result"])

    def test_messages(self) -> None:
        """Messages to the server and undeliverable ones are taken."""
        server = Hosting(Lamp)
        server.route(stanza("message", "chat", "example.org", sender=JULIET))
        self.assertEqual([each.attributes["from"] for each in server.juliet.take()], ["example.org"])
        server.route(stanza("message", "chat", "nurse@example.org", sender=JULIET))
        self.assertEqual([each.attributes["to"] for each in server.juliet.take()], [JULIET])

    def test_hooks(self) -> None:
        """What comes in is seen where the method is marked for it, and copies where others did not get a message."""
        server = Hosting(Lamp)
        [lamp] = server.modules
        assert isinstance(lamp, Lamp)
        server.session("juliet@example.org/chamber")
        for enter in (server.router.route_sent, server.router.route_received, server.route):
            enter(stanza("message", "chat", JULIET, sender="romeo@example.org/orchard"))
        self.assertEqual(lamp.seen, ["1", "chamber", "1", "chamber", "chamber"])

    def test_on_streams(self) -> None:
        """What a module has for streams is found by its tag, and offered."""
        handlers = Hosting(Lamp).handlers
        self.assertEqual((list(handlers.named("nonza")), list(handlers.named("inline"))), ([f"{{{NS}}}on"],) * 2)
        self.assertEqual(handlers.offers("client"), f"<bulb xmlns='{NS}'/>")

    def test_forms(self) -> None:
        """What a module tells of the server besides features is known to the others."""

        class Told(Module):
            forms = (Element("x", "jabber:x:data"),)

        server = Hosting(Told)
        self.assertEqual(list(server.modules[0].host.forms), [Element("x", "jabber:x:data")])

    def test_presence(self) -> None:
        """Own presence is seen; probes and subscription requests are taken."""
        server = Hosting(Lamp)
        [lamp] = server.modules
        assert isinstance(lamp, Lamp)
        server.route(available(JULIET))
        self.assertEqual((lamp.seen, len(server.juliet.take())), ([JULIET], 1))
        server.route(stanza("presence", "probe", "nurse@example.org", sender=JULIET))
        self.assertEqual([each.type for each in server.juliet.take()], ["unavailable"])

    def test_sessions_and_streams(self) -> None:
        """Binding, the end of a session and of the last one, and broken streams are seen."""

        class Watching(Module):
            seen: ClassVar[list[object]] = []

            @session("binding")
            async def prepare(self, account: JID) -> None:
                self.seen.append(account)

            @session("ended")
            def ended(self, resource: Resource) -> None:
                self.seen.append(resource.full)

            @session("left")
            def left(self, account: JID) -> None:
                self.seen.append(account)

            @broken
            def doubt(self, pair: Pair) -> None:
                self.seen.append(pair)

        server, account = Hosting(Watching), JID.parse(JULIET).bare
        self.successResultOf(Deferred.fromCoroutine(cast(Any, server.handlers.binders[0](account))))
        server.sessions.remove(server.juliet)
        server.router.broken([Pair("example.net", "example.org")])
        self.assertEqual(Watching.seen, [account, JULIET, account, Pair("example.net", "example.org")])

    def test_who_sees_whom(self) -> None:
        """One module knows who is subscribed to whose presence; without it nobody is."""

        class Knowing(Module):
            @subscribed
            async def sees(self, account: JID, watcher: JID) -> bool:
                return account.local == "juliet" and watcher.local == "romeo"

        juliet, romeo = JID.parse("juliet@example.org"), JID.parse("romeo@example.net")
        for modules, wanted in (((Knowing,), [True, False]), ((), [False, False])):
            host = Hosting(*modules, Module).modules[-1].host
            found = [Deferred.fromCoroutine(cast(Any, host.subscribed(*pair))) for pair in ((juliet, romeo), (romeo, juliet))]
            self.assertEqual([self.successResultOf(each) for each in found], wanted)

    def test_whom_an_account_hides_from(self) -> None:
        """One module knows the watchers of an account, one whom it has blocked; without them there is nobody."""

        class Knowing(Module):
            @watchers
            def seen_by(self, account: str) -> Collection[str]:
                return ("romeo@example.net",) if account == "juliet@example.org" else ()

            @blocks
            def is_blocked(self, account: str, jid: JID) -> bool:
                return account == "juliet@example.org" and jid.local == "tybalt"

        for modules, wanted in (((Knowing,), (("romeo@example.net",), True, False)), ((), ((), False, False))):
            host = Hosting(*modules, Module).modules[-1].host
            juliet = "juliet@example.org"
            asked = [host.blocks(juliet, JID.parse(f"{name}@example.org")) for name in ("tybalt", "nurse")]
            self.assertEqual((host.watchers(juliet), *asked), wanted)

    def test_an_overridden_method_is_marked_anew(self) -> None:
        """A subclass that replaces a method without a mark withdraws it; what it inherits stays marked."""

        class Dark(Lamp):
            def echo(self, stanza: Stanza) -> Stanza:
                return stanza

        server = Hosting(Dark)
        self.assertNotIn(("message", "server"), server.handlers.takers)
        self.assertIn(("message", "undeliverable"), server.handlers.takers)


class WrongUseTests(SynchronousTestCase):
    """Mistakes show when a module is imported or registered, not when a stanza comes."""

    def refused(self, mark: Any, *arguments: str, **options: str) -> str:
        return str(self.assertRaises(ValueError, mark, *arguments, **options))

    def test_unknown_words(self) -> None:
        """Types, targets and points are named with what was wanted."""
        self.assertEqual(
            self.refused(iq, "result", LAMP, target="server"), "@iq: the type 'result' is unknown. Wanted: get, set."
        )
        self.assertEqual(
            self.refused(iq, "get", LAMP, target="servr"),
            "@iq: the target 'servr' is unknown. Wanted: server, account, stranger.",
        )
        self.assertIn("Wanted: server, undeliverable.", self.refused(message, "own"))
        self.assertIn("Wanted: own, subscription, failed.", self.refused(presence, "routed"))
        self.assertIn("Wanted: sent, received, routed.", self.refused(hook, "own"))
        self.assertIn("Wanted: binding, ended, left, removing.", self.refused(session, "own"))
        self.assertIn("Wanted: stranger, client, server.", self.refused(offer, "account"))

    def test_tags(self) -> None:
        """A tag without namespace or name would never match."""
        for tag in ("lamp", "{}lamp", "{urn:x}", "{urn:x}a b", "urn:x}lamp", ""):
            self.assertIn("Wanted: '{namespace}name'.", self.refused(iq, "get", tag, target="server"))
            for mark in (nonza, inline):
                self.assertIn("Wanted: '{namespace}name'.", self.refused(mark, tag))

    def test_two_modules_for_one_answer(self) -> None:
        """Both are named, by their names in the configuration where they have them."""
        server = Hosting(Lamp)
        other = Lamp(server.modules[0].host, LampOptions())
        other.setName("lantern")
        error = self.assertRaises(ConfigError, extend.register, other, server.handlers)
        self.assertIn("Lamp and lantern both want to answer", str(error))


class ServiceTests(SynchronousTestCase):
    """A module is a Twisted service."""

    def test_a_module_is_a_service(self) -> None:
        """It starts and stops with its parent."""
        module = Module(Hosting(Lamp).modules[0].host, Options())
        verifyObject(IService, module)
        parent = MultiService()
        module.setServiceParent(parent)
        parent.startService()
        self.assertTrue(module.running)
        parent.stopService()
        self.assertFalse(module.running)


class OwnerOnlyTests(SynchronousTestCase):
    """Requests to an account that concern its owner alone."""

    def test_the_owner_may(self) -> None:
        """Any resource of the account may ask it, with its address in any spelling or none."""
        for to in ("juliet@example.org", "JULIET@example.org", None):
            self.assertIsNone(owner_only(stanza("iq", "get", to, LAMP, sender=JULIET)))

    def test_others_may_not(self) -> None:
        """Others, namesakes elsewhere and a stanza without `from` are refused as if there was no account."""
        for sender in ("nurse@example.org/hall", "juliet@example.net/balcony", "example.org", None):
            asked = stanza("iq", "get", "juliet@example.org", LAMP).with_attributes(sender=sender)
            error = self.assertRaises(StanzaError, owner_only, asked)
            self.assertEqual(error.condition, StanzaCondition.SERVICE_UNAVAILABLE)


class LoadTests(SynchronousTestCase):
    """Modules are found by their entry points."""

    def install(self, **values: str) -> None:
        """Pretend that packages register these modules and no others."""
        found = [EntryPoint(name, value, "xmppfed.modules") for name, value in values.items()]
        self.patch(extend, "entry_points", lambda group: found if group == "xmppfed.modules" else [])
        extend._installed.cache_clear()
        self.addCleanup(extend._installed.cache_clear)

    def refused(self, name: str) -> str:
        return str(self.assertRaises(ConfigError, extend.load, name))

    def test_our_own_modules_come_through_the_same_door(self) -> None:
        """What the project brings is registered as anybody's module is."""
        for name in ("disco", "ping", "version"):
            self.assertEqual(extend.load(name).__module__, f"xmppfed.modules.{name}")
        self.assertEqual(extend.load("roster").__module__, "xmppfed.modules.roster.module")

    def test_unknown(self) -> None:
        """An unknown name is answered with the known ones."""
        self.install(lamp="tests.test_extend:Lamp", bell="nowhere:Bell")
        self.assertIn("modules.lmap: no installed package has this module. Known: bell, lamp.", self.refused("lmap"))
        self.install()
        self.assertIn("Known: none at all.", self.refused("lamp"))

    def test_broken(self) -> None:
        """A module that cannot be imported, or is no Module, is named with the reason."""
        self.install(a="xmppfed.nowhere:A", b="tests.test_extend:Nothing", c="tests.test_extend:LAMP", d="tests.test_extend:JID")
        self.assertIn("No module named 'xmppfed.nowhere'", self.refused("a"))
        self.assertIn("has no attribute 'Nothing'", self.refused("b"))
        for name in "cd":
            self.assertIn("is no xmppfed.extend.Module", self.refused(name))

    def test_options_are_looked_at_one_by_one(self) -> None:
        """All names are known without an import; a broken module harms only who names it."""
        self.install(lamp="tests.test_extend:Lamp", bell="xmppfed.nowhere:Bell")
        options = extend.installed_options()
        self.assertEqual((list(options), len(options), "lamp" in options, "x" in options), (["bell", "lamp"], 2, True, False))
        self.assertEqual(options["lamp"].__name__, "LampOptions")
        self.assertRaises(ConfigError, options.__getitem__, "bell")
        self.assertRaises(KeyError, options.__getitem__, "x")


class VocabularyTests(SynchronousTestCase):
    """A module needs one import."""

    def test_what_modules_need_is_here(self) -> None:
        """The words of the door name the core's own things."""
        self.assertEqual(JID.parse("a@b").domain, "b")
        self.assertEqual(Stanza.from_element(Element("message", NS_CLIENT)).kind, "message")
        self.assertEqual([name for name in extend.__all__ if not hasattr(extend, name)], [])
