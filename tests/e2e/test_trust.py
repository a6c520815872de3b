"""Whom a peer proves to be, and whether that is enough (T1 to T7)."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.identity import PresentedNames
from xmppfed.e2e.store import MemoryTrustStore
from xmppfed.e2e.trust import Acquaintance, Policy, Trust, TrustRefused, judge
from xmppfed.net.peer import PeerCertificate

JULIET = "juliet@capulet.example"
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SELF_SIGNED = ("self-signed certificate",)


def certificate(key: bytes = KEY, *, address: str = JULIET, dns: str = "", problems: tuple[str, ...] = ()) -> PeerCertificate:
    """What a peer shows."""
    names = PresentedNames((address,) if address else (), (), (dns,) if dns else ())
    return PeerCertificate(names, problems, datetime(2030, 1, 1, tzinfo=UTC), key, b"")


def known(trust: Trust, key: bytes | None = KEY, name: str = JULIET, *, revoked: bool = False) -> MemoryTrustStore:
    """A store with one acquaintance."""
    return MemoryTrustStore([Acquaintance(name=name, trust=trust, spki_sha256=key, revoked=revoked)])


class TrustCase(SynchronousTestCase):
    """How a peer is judged."""

    def refused(
        self, shown: PeerCertificate | None, store: MemoryTrustStore, policy: Policy = Policy.PLAIN, name: str = JULIET
    ) -> TrustRefused:
        """The refusal."""
        error: TrustRefused = self.assertRaises(TrustRefused, judge, name, shown, store, policy)
        return error


class Authorities(TrustCase):
    """T3, T4 (2): an authority's word."""

    def test_user(self) -> None:
        """T3: a user's certificate is for the bare address; others' are not, and a domain does not stand for its users."""
        store = MemoryTrustStore()
        self.assertIs(judge(JULIET, certificate(), store, Policy.VERIFIED), Trust.VERIFIED)
        self.assertIs(judge(f"{JULIET}/balcony", certificate(), store, Policy.VERIFIED), Trust.VERIFIED)
        for shown in (certificate(address="romeo@capulet.example"), certificate(address="", dns="capulet.example")):
            self.assertIn(f"wanted one for {JULIET}", str(self.refused(shown, store, Policy.VERIFIED)))

    def test_service(self) -> None:
        """T3: a service shows its domain, as dNSName or xmppAddr."""
        for shown in (certificate(address="", dns="muc.example"), certificate(address="muc.example")):
            self.assertIs(judge("muc.example", shown, MemoryTrustStore(), Policy.VERIFIED), Trust.VERIFIED)

    def test_problems(self) -> None:
        """A certificate that something is wrong with is nobody's word, and the refusal says what."""
        for problem in ("self-signed certificate", "certificate has expired on 2026-01-01 00:00 UTC"):
            error = self.refused(certificate(problems=(problem,)), MemoryTrustStore(), Policy.VERIFIED)
            self.assertIn(problem, str(error))
            self.assertFalse(error.loud)

    def test_not_an_address(self) -> None:
        """L10: a name on a link that is no address cannot be vouched for."""
        error = self.refused(certificate(), MemoryTrustStore(), Policy.VERIFIED, "Juliet C. at home")
        self.assertIn("is no address", str(error))

    def test_not_pinned(self) -> None:
        """T4: such a peer's keys rotate: another key that is vouched for is as good."""
        store = known(Trust.VERIFIED, None)
        self.assertIs(judge(JULIET, certificate(OTHER_KEY), store, Policy.VERIFIED), Trust.VERIFIED)

    def test_no_step_back(self) -> None:
        """T7: who was vouched for before does not become a stranger, nor somebody else that we know."""
        for store in (known(Trust.VERIFIED, None), known(Trust.VERIFIED, None)):
            error = self.refused(certificate(problems=SELF_SIGNED), store)
            self.assertTrue(error.loud)
        store.keep(Acquaintance(name="romeo@montague.example", trust=Trust.PAIRED, spki_sha256=OTHER_KEY))
        self.assertTrue(self.refused(certificate(OTHER_KEY, problems=SELF_SIGNED), store).loud)


class Keys(TrustCase):
    """T4 (1): what is known of a key decides alone."""

    def test_known(self) -> None:
        """A key about which a person has decided is known under every policy, whatever its certificate says."""
        for trust in (Trust.PINNED, Trust.PAIRED):
            for policy in Policy:
                self.assertIs(judge(JULIET, certificate(problems=SELF_SIGNED), known(trust), policy), trust)

    def test_came_first(self) -> None:
        """A key that came first, where that was enough, is not enough where the policy asks for more; under no name."""
        shown = certificate(problems=SELF_SIGNED)
        for name in (JULIET, "nurse@capulet.example"):
            for policy in (Policy.PLAIN, Policy.FIRST_USE):
                self.assertIs(judge(name, shown, known(Trust.FIRST_USE), policy), Trust.FIRST_USE)
            for policy in (Policy.VERIFIED, Policy.PAIRED):
                refused = self.refused(shown, known(Trust.FIRST_USE), policy, name)
                self.assertIn("Pair with it first", str(refused))
                self.assertEqual((refused.loud, refused.unknown), (False, True))
        self.assertIs(judge(JULIET, certificate(), known(Trust.FIRST_USE), Policy.VERIFIED), Trust.VERIFIED)

    def test_another_name(self) -> None:
        """T4: the same key under another name is the same person."""
        self.assertIs(judge("juliet@pronto", certificate(problems=SELF_SIGNED), known(Trust.PAIRED), Policy.PAIRED), Trust.PAIRED)

    def test_changed_key(self) -> None:
        """T4: another key under a known name is refused, loudly, even when an authority vouches for it."""
        for trust in (Trust.PINNED, Trust.PAIRED, Trust.FIRST_USE):
            for problems in ((), SELF_SIGNED):
                for name in (JULIET, JULIET.upper()):
                    error = self.refused(certificate(OTHER_KEY, problems=problems), known(trust), name=name)
                    self.assertTrue(error.loud)
                    self.assertIn("6f6f:6f6f", str(error))
                    self.assertIn("6b6b:6b6b", str(error))
                    self.assertIn("xmppfedctl e2e trust revoke", str(error))

    def test_revoked(self) -> None:
        """A revoked key is refused for ever, under whatever name; its name is free for another key."""
        store = known(Trust.PAIRED, revoked=True)
        for name in (JULIET, "juliet@pronto"):
            self.assertTrue(self.refused(certificate(), store, name=name).loud)
        self.assertIs(judge(JULIET, certificate(OTHER_KEY, problems=SELF_SIGNED), store, Policy.FIRST_USE), Trust.FIRST_USE)


class Strangers(TrustCase):
    """T4 (3, 4), T6: nobody has said anything of this key."""

    def test_first_use(self) -> None:
        """The first key under a name is taken where the policy says so, and nowhere else."""
        shown = certificate(problems=SELF_SIGNED)
        for policy in (Policy.PLAIN, Policy.FIRST_USE):
            self.assertIs(judge(JULIET, shown, MemoryTrustStore(), policy), Trust.FIRST_USE)
        for policy in (Policy.VERIFIED, Policy.PAIRED):
            self.assertIn("Pair with it first", str(self.refused(shown, MemoryTrustStore(), policy)))

    def test_paired_only(self) -> None:
        """Where pairing is wanted, no authority's word is enough."""
        self.assertIn("takes no authority's word", str(self.refused(certificate(), MemoryTrustStore(), Policy.PAIRED)))


class Plain(TrustCase):
    """T7, L22: no encryption."""

    def test_policy(self) -> None:
        """It is taken where the policy says so by its name."""
        self.assertIs(judge("romeo@forza", None, MemoryTrustStore(), Policy.PLAIN), Trust.PLAIN)
        for policy in (Policy.FIRST_USE, Policy.VERIFIED, Policy.PAIRED):
            error = self.refused(None, MemoryTrustStore(), policy)
            self.assertFalse(error.loud)
            self.assertIn(f"the policy here is {policy.value}", str(error))

    def test_no_step_back(self) -> None:
        """T7: who was encrypted once is not plain again."""
        for trust in Trust:
            store = known(trust, None if trust in (Trust.VERIFIED, Trust.PLAIN) else KEY)
            if trust is Trust.PLAIN:
                self.assertIs(judge(JULIET, None, store, Policy.PLAIN), Trust.PLAIN)
            else:
                self.assertTrue(self.refused(None, store).loud)

    def test_step_forward(self) -> None:
        """Who was plain may become encrypted."""
        shown = certificate(problems=SELF_SIGNED)
        self.assertIs(judge(JULIET, shown, known(Trust.PLAIN, None), Policy.PLAIN), Trust.FIRST_USE)


class AnyHistory(TrustCase):
    """Whatever is remembered."""

    acquaintances = st.builds(
        Acquaintance,
        name=st.sampled_from(["a@x", "b@x", "C"]),
        trust=st.sampled_from(Trust),
        spki_sha256=st.sampled_from([None, KEY, OTHER_KEY]),
        revoked=st.booleans(),
    )
    shown = st.none() | st.builds(
        certificate,
        st.sampled_from([KEY, OTHER_KEY]),
        address=st.sampled_from(["a@x", "b@x", ""]),
        problems=st.sampled_from([(), SELF_SIGNED]),
    )

    @given(st.lists(acquaintances, max_size=4), st.sampled_from(["a@x", "B@X", "c"]), shown, st.sampled_from(Policy))
    def test_verdict(self, met: list[Acquaintance], name: str, shown: PeerCertificate | None, policy: Policy) -> None:
        """Each is judged or refused; nobody is taken below the policy who is not known, and no revoked key at all."""
        store = MemoryTrustStore(met)
        try:
            trust = judge(name, shown, store, policy)
        except TrustRefused:
            return
        if shown is None:
            self.assertEqual((trust, policy), (Trust.PLAIN, Policy.PLAIN))
            return
        kept = store.by_key(shown.spki_sha256)
        self.assertFalse(kept is not None and kept.revoked)
        if kept is None:
            self.assertIn(trust, (Trust.VERIFIED, Trust.FIRST_USE))
        self.assertFalse(trust is Trust.FIRST_USE and policy in (Policy.VERIFIED, Policy.PAIRED))
