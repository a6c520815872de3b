"""What we ask of python-zeroconf, and what it tells (L1, L3, L4, L5, L7, L10, L14, X5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ifaddr
from twisted.trial.unittest import SynchronousTestCase
from zeroconf import (
    DNSCache,
    EventLoopBlocked,
    IPVersion,
    NonUniqueNameException,
    ServiceInfo,
    ServiceListener,
    ServiceNameAlreadyRegistered,
    Zeroconf,
    current_time_millis,
)

from xmppfed.e2e.linklocal import responder as module
from xmppfed.e2e.linklocal.discovery import PeerNotFound, Place
from xmppfed.e2e.linklocal.responder import SERVICE, MulticastResponder
from xmppfed.e2e.linklocal.txt import LinkPresence
from xmppfed.errors import DiscoveryError

ADAPTERS = [
    ifaddr.Adapter("lo", "lo", [ifaddr.IP("127.0.0.1", 8, "lo"), ifaddr.IP(("::1", 0, 0), 128, "lo")], 1),
    ifaddr.Adapter("eth0", "eth0", [ifaddr.IP("192.0.2.5", 24, "eth0"), ifaddr.IP(("fe80::5", 0, 2), 64, "eth0")], 2),
    ifaddr.Adapter("down", "down", [], 3),
]
STRINGS = {"txtvers": b"1", "status": b"away"}


class FakeZeroconf(Zeroconf):
    """Takes what is said, has a cache to be filled, and fails as it is told to."""

    started = True

    def __init__(self, interfaces: Any, unicast: bool = False, ip_version: IPVersion | None = None) -> None:
        self.opened = interfaces, ip_version
        self.cache = DNSCache()
        self.loop = asyncio.new_event_loop()
        self.question_history: Any = None
        self.said: list[tuple[str, ServiceInfo]] = []
        self.sent: list[Any] = []
        self.listening: list[Any] = []
        self.fault: Exception | None = None

    def _say(self, what: str, info: ServiceInfo) -> None:
        if self.fault:
            raise self.fault
        self.said.append((what, info))

    def register_service(self, info: ServiceInfo, *args: Any, **kwargs: Any) -> None:
        self._say("register", info)

    def update_service(self, info: ServiceInfo) -> None:
        self._say("update", info)

    def unregister_service(self, info: ServiceInfo) -> None:
        self._say("unregister", info)

    def add_service_listener(self, type_: str, listener: ServiceListener) -> None:
        self.listening.append((type_, listener))

    def close(self) -> None:
        if self.fault:
            raise self.fault

    def async_send(self, out: Any, *args: Any, **kwargs: Any) -> None:
        self.sent.append(out)

    def async_add_listener(self, listener: Any, question: Any) -> None:
        self.listening.append(listener)

    def async_remove_listener(self, listener: Any) -> None:
        self.listening.remove(listener)

    def fill(self, info: ServiceInfo, *, text: bool = True) -> None:
        """As if somebody had published that."""
        records = [info.dns_pointer(), info.dns_service(), *info.dns_addresses(), *([info.dns_text()] if text else [])]
        for record in records:
            record.created = float(current_time_millis())
        self.cache.async_add_records(records)


class _Opened(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(module, "Zeroconf", FakeZeroconf)
        self.patch(ifaddr, "get_adapters", lambda: ADAPTERS)
        self.responder, self.zeroconf = self.open()

    def open(self, *wanted: str) -> tuple[MulticastResponder, FakeZeroconf]:
        responder = MulticastResponder(wanted)
        zeroconf = responder._zeroconf
        assert isinstance(zeroconf, FakeZeroconf)
        self.addCleanup(zeroconf.loop.close)
        return responder, zeroconf

    def info(self, instance: str = "romeo@orchard", **strings: bytes) -> ServiceInfo:
        return ServiceInfo(
            SERVICE,
            f"{instance}.{SERVICE}",
            1234,
            server="xf-1.local.",
            properties=dict(strings),
            addresses=[b"\xc0\x00\x02\x09", b"\xfe\x80" + b"\0" * 13 + b"\x09"],
        )


class Opening(_Opened):
    """Where it listens."""

    def test_all(self) -> None:
        """X5: on all interfaces but loopback, in both families."""
        self.assertEqual(self.zeroconf.opened, (["192.0.2.5", 2], IPVersion.All))
        self.assertEqual(self.responder.addresses, ("192.0.2.5", "fe80::5%2"))

    def test_one(self) -> None:
        """Where one is wanted, there alone."""
        self.assertEqual(self.open("127.0.0.1")[1].opened, (["127.0.0.1"], IPVersion.V4Only))
        self.assertEqual(self.open("fe80::5")[1].opened, ([2], IPVersion.V6Only))

    def test_refused(self) -> None:
        """What the system says is told, with the addresses that were tried."""

        def refuse(**options: Any) -> None:
            raise OSError(98, "Address already in use")

        self.patch(module, "Zeroconf", refuse)
        text = str(self.assertRaises(DiscoveryError, MulticastResponder, ()))
        self.assertIn("192.0.2.5", text)
        self.assertIn("already in use", text)


class Publishing(_Opened):
    """What others see."""

    def test_records(self) -> None:
        """L1, L3, L4, X5: name, port and strings in their order; a host name of our own; every address."""
        self.assertTrue(self.responder.register("juliet@pronto", 5298, STRINGS))
        what, info = self.zeroconf.said[0]
        self.assertEqual((what, info.name, info.port), ("register", f"juliet@pronto.{SERVICE}", 5298))
        self.assertRegex(info.server or "", r"^xf-[0-9a-f]{8}\.local\.$")
        self.assertTrue(info.text.startswith(b"\x09txtvers=1\x0bstatus=away"))
        self.assertEqual(info.parsed_addresses(), ["192.0.2.5", "fe80::5"])

    def test_taken(self) -> None:
        """L4: a name that somebody has is not ours, whoever it is."""
        for fault in (NonUniqueNameException(), ServiceNameAlreadyRegistered()):
            self.zeroconf.fault = fault
            self.assertFalse(self.responder.register("juliet@pronto", 5298, STRINGS))

    def test_changes(self) -> None:
        """L8, L14: what is said later is about the same host, with the addresses of that time."""
        self.responder.register("juliet@pronto", 5298, STRINGS)
        self.patch(ifaddr, "get_adapters", lambda: ADAPTERS[:1])
        self.responder.update("juliet@pronto", 5298, {"txtvers": b"1"})
        self.responder.unregister("juliet@pronto")
        (_, first), (_, second), (_, third) = self.zeroconf.said
        self.assertEqual([what for what, _ in self.zeroconf.said], ["register", "update", "unregister"])
        self.assertEqual((second.server, second.parsed_addresses()), (first.server, ["127.0.0.1", "::1"]))
        self.assertIs(second, third)
        self.responder.close()

    def test_faults(self) -> None:
        """What python-zeroconf cannot do is told as an error of ours."""
        self.responder.register("juliet@pronto", 5298, STRINGS)
        self.zeroconf.fault = EventLoopBlocked()
        for call in (
            lambda: self.responder.register("romeo@orchard", 5298, STRINGS),
            lambda: self.responder.update("juliet@pronto", 5298, STRINGS),
            lambda: self.responder.unregister("juliet@pronto"),
            self.responder.close,
        ):
            self.assertIn("EventLoopBlocked", str(self.assertRaises(DiscoveryError, call)))


class Hearing(_Opened):
    """What it tells of others."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[tuple[Any, ...]] = []
        tell: Callable[..., None] = lambda *what: self.told.append(what)  # noqa: E731
        self.responder.listen(tell, tell)
        ((self.type, self.listener),) = self.zeroconf.listening

    def test_life(self) -> None:
        """L7, L8, L14: presence is what has come with the name, nothing is asked for it; goodbye is told by the name."""
        self.zeroconf.fill(self.info(status=b"dnd"))
        name = f"romeo@orchard.{SERVICE}"
        self.listener.add_service(self.zeroconf, SERVICE, name)
        self.listener.update_service(self.zeroconf, SERVICE, name)
        self.listener.remove_service(self.zeroconf, SERVICE, name)
        busy = LinkPresence(status="dnd")
        self.assertEqual(self.told, [("romeo@orchard", busy), ("romeo@orchard", busy), ("romeo@orchard",)])
        self.assertEqual((self.type, self.zeroconf.sent), (SERVICE, []))

    def test_nothing_known(self) -> None:
        """L5: who has told nothing yet is there, and taken for available; the name may have dots and blanks."""
        self.listener.add_service(self.zeroconf, SERVICE, f"Jane M. Doe@pronto.{SERVICE}")
        self.assertEqual(self.told, [("Jane M. Doe@pronto", LinkPresence())])

    def test_forbidden_name(self) -> None:
        """L10: a name that DNS-SD forbids is passed over, and breaks nothing."""
        for name in ("romeo\x07@orchard", "x" * 64, ""):
            self.listener.add_service(self.zeroconf, SERVICE, f"{name}.{SERVICE}")
        self.assertEqual(self.told, [])


class Locating(_Opened):
    """Where somebody is."""

    def locate(self, instance: str, seconds: float = 0) -> Place | None:
        future = self.responder.locate(instance, seconds)
        return self.zeroconf.loop.run_until_complete(asyncio.wrap_future(future, loop=self.zeroconf.loop))

    def test_known(self) -> None:
        """L10, L15: port and addresses of the records, in whatever case it is asked; those on the link with a zone."""
        self.zeroconf.fill(self.info())
        self.assertEqual(self.locate("ROMEO@orchard"), Place(1234, ("192.0.2.9", "fe80::9%2")))
        self.assertEqual(self.zeroconf.sent, [])

    def test_no_text(self) -> None:
        """L2, L5: who has no TXT record can be talked to nevertheless."""
        self.zeroconf.fill(self.info(), text=False)
        self.assertEqual(self.locate("romeo@orchard"), Place(1234, ("192.0.2.9", "fe80::9%2")))

    def test_nobody(self) -> None:
        """Who does not answer is nowhere; nobody listens for the answer any more (L7)."""
        self.assertIsNone(self.locate("nobody@orchard"))
        self.assertEqual(self.zeroconf.listening, [])

    def test_canceled(self) -> None:
        """L7: a question that is canceled is over."""
        future = self.responder.locate("nobody@orchard", 600)
        loop = self.zeroconf.loop
        loop.call_soon(loop.call_soon, future.cancel)
        with self.assertRaises(asyncio.CancelledError):
            loop.run_until_complete(asyncio.wrap_future(future, loop=loop))
        loop.run_until_complete(self._quiet())
        self.assertEqual(self.zeroconf.listening, [])

    async def _quiet(self) -> None:
        others = asyncio.all_tasks() - {task for task in (asyncio.current_task(),) if task}
        await asyncio.gather(*others, return_exceptions=True)

    def test_dots(self) -> None:
        """M9: for a name with dots everybody is asked: it would be cut in a question of its own."""
        self.locate("jane.doe@pronto")
        ((question,),) = [out.questions for out in self.zeroconf.sent]
        self.assertEqual((question.name, question.type), (SERVICE, 12))

    def test_no_name(self) -> None:
        """What can be nobody's name is not asked for."""
        error = self.assertRaises(PeerNotFound, self.responder.locate, "x" * 64, 5)
        self.assertIn("nobody's name", str(error))

    def test_stopped(self) -> None:
        """A fault of python-zeroconf's is told to who asks."""
        self.zeroconf.started, self.zeroconf.done = False, True
        error = self.assertRaises(DiscoveryError, self.locate, "romeo@orchard", 1)
        self.assertIn("NotRunning", str(error))
