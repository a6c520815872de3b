"""Whom we know end to end, as the control socket tells and changes it (T4, T7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames
from xmppfed.e2e.peers import Peers
from xmppfed.e2e.shown import base64_pin, fingerprint
from xmppfed.e2e.store import FileTrustStore, MemoryTrustStore
from xmppfed.e2e.trust import Acquaintance, Policy, Trust, TrustRefused, judge
from xmppfed.errors import XMPPFedError
from xmppfed.net.peer import PeerCertificate
from xmppfed.services.acquaintances import NotInstalled, pair_commands, trust_commands
from xmppfed.services.control import Command, CommandRefused

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY, OTHER_KEY = b"k" * 32, b"kkkkkkkko" * 3 + b"other"
JULIET = "juliet@pronto"


def known(name: str = JULIET, trust: Trust = Trust.FIRST_USE, key: bytes | None = KEY, *, revoked: bool = False) -> Acquaintance:
    """Somebody who was met."""
    return Acquaintance(name=name, trust=trust, spki_sha256=key, revoked=revoked, first_seen=1.5, last_seen=2.5)


class CommandCase(SynchronousTestCase):
    """Commands on a store in memory."""

    commands: dict[str, Command]

    def knowing(self, *some: Acquaintance) -> MemoryTrustStore:
        """A store of those, which the commands are about."""
        self.cut: list[Acquaintance] = []
        self.store = MemoryTrustStore(some)
        self.commands = trust_commands(self.store, self.cut.append)
        return self.store

    def ask(self, name: str, /, **arguments: str) -> Any:
        """What a command answers."""
        return self.successResultOf(Deferred.fromCoroutine(self.commands[f"e2e/trust/{name}"](arguments)))

    def refused(self, name: str, /, **arguments: str) -> str:
        """Why it does not; nothing has changed then."""
        before = list(self.store.all())
        failure = self.failureResultOf(Deferred.fromCoroutine(self.commands[f"e2e/trust/{name}"](arguments)), XMPPFedError)
        self.assertEqual((list(self.store.all()), self.cut), (before, []))
        return str(failure.value)


class Listing(CommandCase):
    """What is remembered."""

    def test_list(self) -> None:
        """All of it, with names and keys as they are: who prints them takes care of the names."""
        self.knowing(known("a\x1b"), known("romeo@x", Trust.VERIFIED, None), known("paris", key=OTHER_KEY, revoked=True))
        self.assertEqual([one["name"] for one in self.ask("list")["peers"]], ["a\x1b", "romeo@x", "paris"])
        wanted = {"name": "romeo@x", "word": "verified", "key": "", "revoked": False, "first_seen": 1.5, "last_seen": 2.5}
        self.assertEqual(self.ask("list")["peers"][1], wanted)
        self.assertEqual(self.ask("list")["peers"][2]["key"], OTHER_KEY.hex())

    def test_show(self) -> None:
        """By name, whatever its case, by the name as it is shown, by the key in any form, or by its beginning."""
        self.knowing(known("Juliet\x07@pronto"), known("romeo@x", key=OTHER_KEY))
        for who in ("juliet\x07@PRONTO", r"Juliet\x07@pronto", base64_pin(KEY), f"sha-256 {fingerprint(KEY)}", KEY.hex()[:40]):
            self.assertEqual([one["name"] for one in self.ask("show", who=who)["peers"]], ["Juliet\x07@pronto"], who)

    def test_show_all(self) -> None:
        """All that fit are shown, also those of that name whose key was revoked."""
        self.knowing(known(), known(key=OTHER_KEY, revoked=True))
        self.assertEqual([one["revoked"] for one in self.ask("show", who=JULIET)["peers"]], [False, True])
        self.assertEqual(len(self.ask("show", who="6b6b6b6b")["peers"]), 2)

    def test_nobody(self) -> None:
        """For who is not known there is a list of those who are; nothing in their names steers a terminal."""
        self.knowing(known("a\u202eb"), known("romeo@x", Trust.VERIFIED, None), known("paris", key=OTHER_KEY, revoked=True))
        reason = self.refused("show", who="c\x1b")
        self.assertIn(r"nobody is known as c\x1b", reason)
        self.assertIn(r"a\u202eb (first-use, 6b6b:6b6b:6b6b:6b6b), romeo@x (verified), paris (revoked, ", reason)
        self.knowing()
        self.assertIn("known are: nobody", self.refused("show", who="6b6b6b6b"))

    def test_many(self) -> None:
        """A long list is cut, and says where the rest is."""
        self.knowing(*(known(f"p{number:02}", Trust.PLAIN, None) for number in range(13)))
        reason = self.refused("show", who="x")
        self.assertIn("p09 (plain), and 3 more (xmppfedctl e2e trust list)", reason)
        self.assertNotIn("p10", reason)

    def test_few_digits(self) -> None:
        """Seven digits of a key find nobody: a name may look like them."""
        self.knowing(known())
        self.refused("show", who="6b6b6b6")

    def test_fields(self) -> None:
        """What a command wants and does not get, or gets and does not want, is told."""
        self.knowing()
        self.assertIn("wanted the fields name, key", self.refused("pin", name="x"))
        self.assertIn("wanted no fields", self.refused("list", who="x"))


class Pinning(CommandCase):
    """A person says that a key is a peer's."""

    def pinned(self, name: str = JULIET, key: bytes = KEY) -> Acquaintance:
        """What is known after pinning."""
        self.ask("pin", name=name, key=fingerprint(key))
        found = self.store.by_key(key)
        assert found is not None
        return found

    def test_new(self) -> None:
        """Somebody who was never met is known by the address in the form in which it is compared, and seen never."""
        self.knowing()
        answer = self.ask("pin", name="Juliet@Example.org", key=base64_pin(KEY))
        self.assertEqual((answer["pinned"]["word"], answer["formerly"]), ("pinned", ""))
        wanted = Acquaintance(name="juliet@example.org", trust=Trust.PINNED, spki_sha256=KEY)
        self.assertEqual(self.store.all(), [wanted])

    def test_decides(self) -> None:
        """T4 (1): from then on that key alone opens, and another is refused loudly, whatever the policy and the authority."""
        self.knowing()
        self.pinned("juliet@example.org")
        names = PresentedNames(("juliet@example.org",))
        right, wrong = (PeerCertificate(names, (), NOW, key, b"") for key in (KEY, OTHER_KEY))
        self.assertIs(judge("juliet@example.org", right, self.store, Policy.PAIRED), Trust.PINNED)
        self.assertTrue(self.assertRaises(TrustRefused, judge, "juliet@example.org", wrong, self.store, Policy.PLAIN).loud)

    def test_stronger(self) -> None:
        """What came first, in plain or by an authority becomes a pin; when it was seen stays."""
        for trust, key in ((Trust.FIRST_USE, KEY), (Trust.PLAIN, None), (Trust.VERIFIED, None)):
            self.knowing(known(trust=trust, key=key))
            self.assertEqual(self.pinned("JULIET@pronto"), known(trust=Trust.PINNED))
            self.assertEqual(len(self.store.all()), 1)

    def test_paired(self) -> None:
        """Who is paired stays so."""
        self.knowing(known(trust=Trust.PAIRED))
        self.assertEqual(self.pinned(), known(trust=Trust.PAIRED))

    def test_renamed(self) -> None:
        """T4: a key is one person: under another name it is found under that alone, and the answer says so."""
        self.knowing(known("nurse@x"))
        answer = self.ask("pin", name=JULIET, key=KEY.hex())
        self.assertEqual(answer["formerly"], "nurse@x")
        self.assertEqual(self.store.all(), [known(trust=Trust.PINNED)])

    def test_opaque_name(self) -> None:
        """A name that no address could have can be pinned once it was met, and not before."""
        self.knowing()
        self.assertIn("a..b", self.refused("pin", name="a..b", key=KEY.hex()))
        self.knowing(known("a..b"))
        self.assertEqual(self.pinned("A..B").name, "a..b")

    def test_one_resource(self) -> None:
        """An address of one resource would never be met."""
        self.knowing()
        self.assertIn("wanted juliet@x", self.refused("pin", name="juliet@x/balcony", key=KEY.hex()))

    def test_another_key(self) -> None:
        """T4: the key of a known name does not change under the hand: the old one must be revoked first, and how is told."""
        for trust in (Trust.FIRST_USE, Trust.PINNED, Trust.PAIRED):
            self.knowing(known(trust=trust))
            reason = self.refused("pin", name=JULIET, key=OTHER_KEY.hex())
            self.assertIn(f"{JULIET} ({trust.value}, 6b6b:6b6b:6b6b:6b6b) has another key than", reason)
            self.assertIn("xmppfedctl e2e trust revoke 6b6b:6b6b:6b6b:6b6b", reason)
        self.ask("revoke", who=JULIET)
        self.assertEqual(self.pinned(key=OTHER_KEY).name, JULIET)

    def test_revoked(self) -> None:
        """A revoked key comes back under no name."""
        self.knowing(known("nurse\x1b@x", revoked=True))
        for name in (JULIET, "romeo@x"):
            reason = self.refused("pin", name=name, key=KEY.hex())
            self.assertIn(r"was revoked as that of nurse\x1b@x, for good", reason)

    def test_marked_by_hand(self) -> None:
        """A mark without a key, which only a hand can have written, does not make the pin a revoked one."""
        self.knowing(known(trust=Trust.VERIFIED, key=None, revoked=True))
        self.assertFalse(self.pinned().revoked)

    def test_no_key(self) -> None:
        """What is no key is refused, and shown without harm."""
        self.knowing()
        self.assertIn(r"found \x1b[2J; wanted the SHA-256", self.refused("pin", name=JULIET, key="\x1b[2J"))

    def test_unwritable(self) -> None:
        """What could not be written is told, and has not happened."""
        data_dir = Path(self.mktemp())
        store = FileTrustStore.under(data_dir)
        pin = trust_commands(store)["e2e/trust/pin"]({"name": JULIET, "key": KEY.hex()})
        reason = str(self.failureResultOf(Deferred.fromCoroutine(pin), CommandRefused).value)
        self.assertIn("No such file or directory", reason)
        self.assertIn("nothing was changed", reason)
        self.assertEqual(store.all(), [])


class Revoking(CommandCase):
    """A key is believed no more."""

    def test_revoked(self) -> None:
        """T4: the key is refused under every name, loudly, and streams that stand with it end."""
        self.knowing(known(trust=Trust.PAIRED))
        self.assertTrue(self.ask("revoke", who="6b6b:6b6b")["revoked"]["revoked"])
        self.assertEqual(self.cut, [known(trust=Trust.PAIRED, revoked=True)])
        shown = PeerCertificate(PresentedNames((JULIET,)), (), NOW, KEY, b"")
        for name in (JULIET, "somebody@else"):
            self.assertTrue(self.assertRaises(TrustRefused, judge, name, shown, self.store, Policy.PLAIN).loud)

    def test_without_streams(self) -> None:
        """Where no server runs there are none to end."""
        store = MemoryTrustStore([known()])
        self.successResultOf(Deferred.fromCoroutine(trust_commands(store)["e2e/trust/revoke"]({"who": JULIET})))
        self.assertEqual(store.all(), [known(revoked=True)])

    def test_twice(self) -> None:
        """A key that is revoked stays so."""
        self.knowing(known(revoked=True))
        self.assertIn("revoked already", self.refused("revoke", who=JULIET))

    def test_the_standing_one(self) -> None:
        """Of several keys under one name, the one that is believed is meant."""
        self.knowing(known(), known(key=OTHER_KEY, revoked=True))
        self.ask("revoke", who=JULIET)
        self.assertEqual([one.revoked for one in self.store.all()], [True, True])

    def test_ambiguous(self) -> None:
        """Who may be several is revoked when it is clear which: the beginnings of keys, and names that look alike."""
        self.knowing(known("nurse\x07"), known(r"nurse\x07", key=OTHER_KEY))
        for who in ("6b6b6b6b", r"nurse\x07"):
            reason = self.refused("revoke", who=who)
            self.assertIn("may be one of 2", reason)
            self.assertIn("(first-use, 6b6b:6b6b:6b6b:6b6b)", reason)
        self.ask("revoke", who=OTHER_KEY.hex())
        self.assertEqual([one.revoked for one in self.store.all()], [False, True])

    def test_nobody(self) -> None:
        """Whom nobody knows cannot be revoked."""
        self.knowing(known())
        self.assertIn("nobody is known as romeo@x; known are: juliet@pronto", self.refused("revoke", who="romeo@x"))

    def test_no_key(self) -> None:
        """Without a key there is nothing to revoke; what can be done instead is told."""
        for trust in (Trust.VERIFIED, Trust.PLAIN):
            self.knowing(known(trust=trust, key=None))
            self.assertIn("trust pin NAME KEY", self.refused("revoke", who=JULIET))

    names = st.sampled_from([JULIET, "romeo@x", "6b6b6b6b"])
    words = st.sampled_from(list(Trust))
    keys = st.sampled_from([None, KEY, OTHER_KEY])
    steps = st.lists(st.tuples(st.sampled_from(["pin", "revoke"]), names, st.sampled_from([KEY, OTHER_KEY])), max_size=6)

    @given(st.lists(st.builds(known, names, words, keys), max_size=4), steps)
    def test_never_back(self, met: list[Acquaintance], steps: list[tuple[str, str, bytes]]) -> None:
        """Whatever is done in whatever order: a key that was revoked is never believed again."""
        self.knowing(*met)
        revoked: set[bytes] = set()
        for name, who, key in steps:
            arguments = {"name": who, "key": key.hex()} if name == "pin" else {"who": who}
            done: list[Any] = []
            Deferred.fromCoroutine(self.commands[f"e2e/trust/{name}"](arguments)).addCallbacks(done.append, lambda _: None)
            revoked |= {bytes.fromhex(answer["revoked"]["key"]) for answer in done if name == "revoke"}
            for one in revoked:
                found = self.store.by_key(one)
                self.assertTrue(found is not None and found.revoked)


class Pairs:
    """A `Pairing` that is only played."""

    def show(self) -> str:
        """A code."""
        return "123-456"

    async def enter(self, peer: str, code: str) -> str:
        """Who is paired."""
        if code != "123-456":
            raise XMPPFedError("the codes differ")
        return f"{peer}@pronto"

    def add(self, peers: Peers) -> Callable[[], None]:
        """Nobody real."""
        return lambda: None


class PairingTests(SynchronousTestCase):
    """T6: pairing by a code."""

    commands = pair_commands(Pairs())

    def test_show(self) -> None:
        """A code is made and told."""
        shown = self.successResultOf(Deferred.fromCoroutine(self.commands["e2e/pair/show"]({})))
        self.assertEqual(shown, {"code": "123-456"})

    def test_enter(self) -> None:
        """A code that was typed is tried, and the name told under which the peer is known."""
        entered = self.commands["e2e/pair/enter"]({"peer": "juliet", "code": "123-456"})
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(entered)), {"paired": "juliet@pronto"})

    def test_wrong(self) -> None:
        """A wrong code is refused in the words of who pairs."""
        entered = self.commands["e2e/pair/enter"]({"peer": "juliet", "code": "1"})
        self.assertIn("codes differ", str(self.failureResultOf(Deferred.fromCoroutine(entered), XMPPFedError).value))

    def test_not_installed(self) -> None:
        """Without the package that pairing takes, it says which one is missing."""
        made = NotInstalled()
        made.add(cast(Peers, None))()
        commands = pair_commands(made)
        for name, arguments in (("show", {}), ("enter", {"peer": "x", "code": "y"})):
            failure = self.failureResultOf(Deferred.fromCoroutine(commands[f"e2e/pair/{name}"](arguments)), CommandRefused)
            self.assertIn("pip install 'xmppfed[e2e]'", str(failure.value))

    def test_nobody_pairs(self) -> None:
        """A server without end-to-end streams says so."""
        commands = pair_commands(None)
        for name, arguments in (("show", {}), ("enter", {"peer": "x", "code": "y"})):
            failure = self.failureResultOf(Deferred.fromCoroutine(commands[f"e2e/pair/{name}"](arguments)), CommandRefused)
            self.assertIn("[services.e2e]", str(failure.value))
