"""What modules add to streams: features, nonzas, and answers to who has not logged in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.services.raw import CAPULET, Raw, RawCase, condition, stream_error
from tests.services.s2s import S2SCase, external, opening
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_STREAM
from xmppfed.extend import (
    Host,
    Module,
    Options,
    Resource,
    Stanza,
    StanzaCondition,
    StanzaError,
    Stranger,
    iq,
    nonza,
    offer,
)
from xmppfed.storage.interface import StorageError

NS = "urn:example:bell"
BELL = f"{{{NS}}}bell"
ASK = f"<iq xmlns='jabber:client' type='%s' id='1'><bell xmlns='{NS}'/></iq>"
RING = f"<bell xmlns='{NS}'/>"


class Bell(Module):
    """Uses every door to a stream."""

    def __init__(self, host: Host, options: Options) -> None:
        super().__init__(host, options)
        self.rung: list[str] = []
        self.strangers: list[Stranger] = []
        self.reply: object = None
        self.waiting: Deferred[None] | None = None

    @offer("stranger")
    def before(self) -> Element:
        return Element("before", NS)

    @offer("client")
    @offer("server")
    def after(self) -> Element:
        return Element("after", NS)

    @nonza(BELL)
    def ring(self, resource: Resource, element: Element) -> None:
        self.rung.append(str(resource.session.jid))

    @iq("get", BELL, target="stranger")
    async def answer(self, stanza: Stanza, stranger: Stranger) -> object:
        self.strangers.append(stranger)
        if self.waiting is not None:
            await self.waiting
        if isinstance(self.reply, Exception):
            raise self.reply
        return self.reply


class ModulesOnStreams(RawCase):
    """A server with a bell."""

    options: ClassVar[Mapping[str, Any]] = {"modules": {"bell": Bell}}

    @property
    def bell(self) -> Bell:
        """The module."""
        found = self.server.getServiceNamed("modules.bell")
        assert isinstance(found, Bell)
        return found

    def offered(self, came: list[Element]) -> set[str]:
        """Names of our features in what came."""
        (features,) = (each for each in came if each.tag == f"{{{NS_STREAM}}}features")
        return {each.name for each in features.elements() if each.namespace == NS}

    def stranger(self) -> Raw:
        """A stream that nobody has logged in on."""
        raw = self.raw()
        raw.open()
        return raw

    def test_offered(self) -> None:
        """Something else to strangers and to who has logged in."""
        raw = self.raw()
        self.assertEqual(self.offered(raw.open()), {"before"})
        raw.plain()
        self.assertEqual(self.offered(raw.open()), {"after"})

    def test_nonza(self) -> None:
        """The module gets the session; nothing is answered."""
        raw = self.raw()
        jid = raw.login()
        self.assertEqual((raw.send(RING, RING), self.bell.rung), ([], [jid, jid]))

    def test_nonza_of_one_who_was_replaced(self) -> None:
        """A stream whose resource another has taken has no session any more."""
        raw = self.raw()
        jid = raw.login()
        self.raw().login()
        raw.send(RING)
        self.assertNotIn(jid, self.bell.rung)

    def test_stranger_is_answered(self) -> None:
        """The module learns the domain and the address; the answer has no addresses, for the stranger has none."""
        raw = self.stranger()
        bell = self.bell
        bell.reply = Element("bell", NS, {"tone": "a"})
        (answer,) = raw.send(ASK % "get")
        self.assertEqual(answer.attributes, {"id": "1", "type": "result"})
        self.assertEqual(list(answer.elements()), [bell.reply])
        self.assertEqual(bell.strangers, [Stranger(CAPULET, "127.1.1.1")])
        bell.reply = None
        (answer,) = raw.send(ASK % "get")
        self.assertEqual((answer.get("type"), answer.children), ("result", []))

    def test_stranger_waits(self) -> None:
        """What comes behind a request waits for its answer, and logging in is possible then."""
        raw = self.stranger()
        bell = self.bell
        bell.waiting = Deferred()
        self.assertEqual(raw.send(ASK % "get"), [])
        bell.waiting.callback(None)
        self.network.pump()
        self.assertEqual([each.get("type") for each in raw.take()], ["result"])
        self.assertEqual(raw.plain().name, "success")

    def test_stranger_is_refused(self) -> None:
        """By the module, for a request that is none, and for a type that it does not answer; the stream stays."""
        raw = self.stranger()
        bell = self.bell
        bell.reply = StanzaError(StanzaCondition.FORBIDDEN)
        for written, wanted in (
            (ASK % "get", "forbidden"),
            (ASK % "set", "service-unavailable"),
            ((ASK % "get").replace(" id='1'", ""), "bad-request"),
        ):
            (answer,) = raw.send(written)
            self.assertEqual(condition(answer), wanted)

    def test_faults(self) -> None:
        """Storage that fails is the stranger's to wait for; a fault of the module ends the stream, and tells nothing."""
        raw = self.stranger()
        bell = self.bell
        bell.reply = StorageError("secret detail")
        (answer,) = raw.send(ASK % "get")
        self.assertEqual(condition(answer), "internal-server-error")
        self.assertNotIn("secret", answer.to_xml())
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
        for reply, logged in ((KeyError("secret detail"), KeyError), ("text", TypeError)):
            raw = self.stranger()
            bell.reply = reply
            came = raw.send(ASK % "get")
            self.assertEqual(stream_error(came), "internal-server-error")
            self.assertNotIn("secret", "".join(each.to_xml() for each in came))
            self.assertEqual(len(self.flushLoggedErrors(logged)), 1)

    def test_others_know_nothing_of_it(self) -> None:
        """Other requests of strangers end the stream, as without modules (RFC 6120, 4.3.5)."""
        came = self.stranger().send((ASK % "get").replace(NS, "urn:other"))
        self.assertEqual(stream_error(came), "not-authorized")


class ModulesOnServerStreams(S2SCase):
    """Another server comes."""

    options: ClassVar[Mapping[str, Any]] = {"modules": {"bell": Bell}}

    def test_offered(self) -> None:
        """It is offered what is for servers once it has proved itself."""
        peer = self.dial(self.issue())
        before, *_, after = (text for text in self.say(peer, opening(), external(), opening()) if "features" in text)
        self.assertNotIn(NS, before)
        self.assertIn(f"<after xmlns='{NS}'/>", after)
