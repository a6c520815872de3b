"""Logins by token (XEP-0484): what a token opens, how long, and all that opens nothing."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.core.streams import USER_AGENT
from tests.services.raw import CAPULET, JULIET, condition
from tests.services.sasl2 import BIND2, FAST, NONE, SASL2Case
from xmppfed.core.jid import JID
from xmppfed.core.negotiation.fast import FastRequest
from xmppfed.core.sasl.hashed_token import HashedTokenClient, HashedTokenServer
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.steps import Claim
from xmppfed.errors import SASLCondition, SASLError
from xmppfed.services.tokens import COLLECTION, MOST, Holder, Tokens
from xmppfed.storage.accounts import change_password
from xmppfed.storage.interface import StorageError
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.threads import at_once
from xmppfed.timeouts import Timeouts

DAY = 10  # seconds: a server in memory does something each of them
OTHER = "11111111-2222-4333-8444-555555555555"
REQUEST = f"<request-token xmlns='urn:xmpp:fast:0' mechanism='{NONE}'/>"


def fast(attributes: str) -> str:
    """`<fast/>` with attributes."""
    return FAST.replace("/>", f" {attributes}/>")


class TimeCase(SASL2Case):
    """juliet, and days that pass quickly."""

    options = {"timeouts": Timeouts(token=21 * DAY, token_rotation=7 * DAY)}

    def later(self, seconds: float) -> None:
        """Let everybody go, and time pass."""
        self.network.cut()
        self.federation.advance(seconds)


class Giving(SASL2Case):
    """Who gets a token."""

    def test_token(self) -> None:
        """Who asks for one when it has logged in; it is told until when it is good (XEP-0484, 3.2)."""
        tried = self.plain(REQUEST)
        found = tried.first.child("{urn:xmpp:fast:0}token")
        assert found is not None
        self.assertEqual(found.get("expiry"), "2027-02-05T08:00:00Z")
        self.assertGreaterEqual(len(tried.token), 32)

    def test_never_the_same(self) -> None:
        """Each token is new."""
        self.assertEqual(len({self.request_token() for _ in range(3)}), 3)

    def test_not_asked_for(self) -> None:
        """Who does not ask gets none."""
        self.assertEqual(self.plain(BIND2).token, "")

    def test_no_installation(self) -> None:
        """Who does not say which installation it is gets none, but is logged in (XEP-0484, 4)."""
        for device in ("", "laptop"):
            tried = self.plain(REQUEST, device=device)
            self.assertEqual((tried.accepted, tried.token), (True, ""))

    def test_no_such_mechanism(self) -> None:
        """So is who asks for a mechanism that was not offered."""
        for name in ("PLAIN", "HT-SHA-512-NONE", ""):
            tried = self.plain(REQUEST.replace(NONE, name))
            self.assertEqual((tried.accepted, tried.token), (True, ""))

    def test_refused_login(self) -> None:
        """A refused login gives none."""
        self.assertEqual(self.plain(REQUEST, password="x").token, "")
        self.assertEqual(self.federation.result(self.server.storage.records.read(JID.parse(JULIET), COLLECTION)), {})

    def test_not_in_the_log(self) -> None:
        """No token is ever logged."""
        events = self.logs()
        token = self.request_token()
        self.by_token(token)
        self.by_token("x")
        self.assertNotIn(token, str(events))


class Using(SASL2Case):
    """What a token opens."""

    def test_one_message(self) -> None:
        """One message and its answer, without a challenge; the resource is bound in it."""
        tried = self.by_token(self.request_token(), BIND2)
        self.assertTrue(tried.accepted)
        self.assertEqual(tried.challenges, 0)
        self.assertTrue(tried.identity.startswith(f"{JULIET}/balcony/"))

    def test_bindings(self) -> None:
        """A token for a channel binding is good on every channel, by the binding of that."""
        for name in ("HT-SHA-256-EXPR", "HT-SHA-256-ENDP"):
            token = self.request_token(name)
            for _ in range(2):
                self.assertTrue(self.by_token(token, name=name).accepted)

    def test_again_and_again(self) -> None:
        """A token is good until another takes its place: its use needs no new one."""
        token = self.request_token()
        for _ in range(3):
            tried = self.by_token(token)
            self.assertEqual((tried.accepted, tried.token), (True, ""))

    def test_after_a_restart(self) -> None:
        """It is kept by storage."""
        token = self.request_token()
        clients = self.server.getServiceNamed("clients")
        clients.tokens = Tokens(self.server.storage.records, self.network.reactor, Timeouts())
        self.assertTrue(self.by_token(token).accepted)


class Replacing(TimeCase):
    """Old tokens give way to new ones (XEP-0484, 3.4)."""

    def test_due(self) -> None:
        """After a week the use of a token brings the next; both are good until that is used, then it alone."""
        old = self.request_token()
        self.later(7 * DAY + 1)
        new = self.by_token(old).token
        self.assertNotEqual(new, "")
        self.assertTrue(self.by_token(old).accepted)
        new = self.by_token(old).token
        self.assertTrue(self.by_token(new).accepted)
        self.assertEqual(self.by_token(old).refusal, "not-authorized")
        self.assertEqual(self.by_token(new).token, "")

    def test_not_due(self) -> None:
        """Not before."""
        old = self.request_token()
        self.later(7 * DAY - 1)
        self.assertEqual(self.by_token(old).token, "")

    def test_unused(self) -> None:
        """A new token takes the place of one that was never used."""
        first, second = self.request_token(), self.request_token()
        self.assertEqual(self.by_token(first).refusal, "not-authorized")
        self.assertTrue(self.by_token(second).accepted)

    def test_lost_answer(self) -> None:
        """Who has used a token and logs in by password keeps it until the new one is used: the answer may be lost."""
        old = self.request_token()
        self.by_token(old)
        new = self.request_token()
        self.assertTrue(self.by_token(old).accepted)
        self.assertTrue(self.by_token(new).accepted)
        self.assertEqual(self.by_token(old).refusal, "not-authorized")

    def test_asked_for(self) -> None:
        """Who has a token may ask for another, by another mechanism too."""
        old = self.request_token()
        new = self.by_token(old, REQUEST.replace(NONE, "HT-SHA-256-ENDP")).token
        self.assertTrue(self.by_token(new, name="HT-SHA-256-ENDP").accepted)

    def test_stays_logged_in(self) -> None:
        """Who comes by every other week never needs the password again."""
        token = self.request_token()
        for _ in range(10):
            self.later(14 * DAY)
            tried = self.by_token(token)
            self.assertTrue(tried.accepted)
            token = tried.token or token


class Refusals(TimeCase):
    """What opens nothing."""

    def test_wrong_token(self) -> None:
        """A token that was never given, the empty one among them; who has none yet is told the same."""
        answers = [self.by_token("x").first.to_xml()]
        self.request_token()
        answers += [self.by_token(token).first.to_xml() for token in ("x", "")]
        self.assertEqual(len(set(answers)), 1)
        self.assertEqual(self.by_token("x").refusal, "not-authorized")

    def test_user_enumeration(self) -> None:
        """sasl-user-enum-*: a name that nobody has is refused in the same words, and with the same questions to storage."""
        self.request_token()
        asked: list[tuple[str, ...]] = []
        records, accounts = self.server.storage.records, self.server.storage.accounts
        read, keys = records.read, accounts.keys

        async def reading(account: JID, collection: str) -> dict[str, bytes]:
            asked.append(("read", account.local))
            return await read(account, collection)

        async def looking(domain: str, localpart: str) -> Any:
            asked.append(("keys", localpart))
            return await keys(domain, localpart)

        self.patch(records, "read", reading)
        self.patch(accounts, "keys", looking)
        answers = [self.by_token("x", username=name).first.to_xml() for name in ("juliet", "nobody")]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual([what for what, name in asked if name == "juliet"], [what for what, name in asked if name == "nobody"])

    def test_expired(self) -> None:
        """After three weeks without a use; only who has the token is told why (XEP-0484, 5)."""
        token = self.request_token()
        self.later(21 * DAY)
        self.assertEqual(self.by_token(token).refusal, "credentials-expired")
        self.assertEqual(self.by_token("x").refusal, "not-authorized")

    def test_falls_back(self) -> None:
        """Who is refused may use its password on the same stream, and get a new token."""
        raw = self.opened()
        self.assertEqual(self.by_token("x", raw=raw).refusal, "not-authorized")
        tried = self.attempt(raw, PlainClient("juliet", "wherefore"), BIND2, REQUEST)
        self.assertNotEqual(tried.token, "")

    def test_other_installation(self) -> None:
        """A token is that of one installation; without one it is worth nothing."""
        token = self.request_token()
        for device in (OTHER, "", "laptop"):
            self.assertEqual(self.by_token(token, device=device).refusal, "not-authorized")
        self.assertTrue(self.by_token(token, device=USER_AGENT.upper()).accepted)

    def test_other_account(self) -> None:
        """And of one account, even with the same installation."""
        self.federation.account(f"romeo@{CAPULET}")
        token = self.request_token()
        self.assertEqual(self.by_token(token, username="romeo").refusal, "not-authorized")
        self.request_token(username="romeo")
        self.assertEqual(self.by_token(token, username="romeo").refusal, "not-authorized")

    def test_other_mechanism(self) -> None:
        """And of one mechanism: one for a channel binding is nothing without (XEP-0484, 3.3)."""
        for given, used in (("HT-SHA-256-EXPR", NONE), (NONE, "HT-SHA-256-EXPR"), ("HT-SHA-256-ENDP", "HT-SHA-256-EXPR")):
            token = self.request_token(given)
            self.assertEqual(self.by_token(token, name=used).refusal, "not-authorized")

    def test_other_channel(self) -> None:
        """A proof for another connection is none: somebody is in the middle."""
        token = self.request_token("HT-SHA-256-EXPR")
        raw, other = self.opened(), self.opened()
        mechanism = HashedTokenClient("HT-SHA-256-EXPR", "juliet", token, other.bindings())
        self.assertEqual(self.attempt(raw, mechanism, FAST).refusal, "not-authorized")

    def test_without_saying_so(self) -> None:
        """Its mechanisms are for those who say that they use a token, and for nobody else; they are not in SASL at all."""
        token = self.request_token()
        self.assertEqual(self.by_token(token, fast="").refusal, "invalid-mechanism")
        self.assertEqual(condition(self.opened().sasl("auth", "=", NONE)), "invalid-mechanism")
        tried = self.attempt(self.opened(), PlainClient("juliet", "wherefore"), FAST)
        self.assertEqual(tried.refusal, "invalid-mechanism")

    def test_replayed(self) -> None:
        """A count has to grow; one that was seen, or a lower one, is a replay (XEP-0484, 3.3)."""
        token = self.request_token()
        self.assertTrue(self.by_token(token, fast=fast("count='5'")).accepted)
        for count in (5, 4, 1):
            self.assertEqual(self.by_token(token, fast=fast(f"count='{count}'")).refusal, "not-authorized")
        self.assertTrue(self.by_token(token, fast=fast("count='6'")).accepted)
        self.assertTrue(self.by_token(token).accepted, "without early data no count is needed")
        self.assertEqual(self.by_token(token, fast=fast("count='6'")).refusal, "not-authorized")

    def test_malformed_count(self) -> None:
        """A count that is none is a malformed request."""
        self.assertEqual(self.by_token(self.request_token(), fast=fast("count='x'")).refusal, "malformed-request")

    def test_invalidated(self) -> None:
        """A client that logs out takes its tokens back: the one it uses, and the next (XEP-0484, 3.5)."""
        for value in ("1", "true"):
            used = self.request_token()
            self.by_token(used)
            new = self.by_token(used, REQUEST).token
            tried = self.by_token(used, fast=fast(f"invalidate='{value}'"))
            self.assertEqual((tried.accepted, tried.token), (True, ""))
            for token in (used, new):
                self.assertEqual(self.by_token(token).refusal, "not-authorized")
        self.assertEqual(self.federation.result(self.server.storage.records.read(JID.parse(JULIET), COLLECTION)), {})

    def test_invalidated_when_due(self) -> None:
        """It gets no new one then, unless it asks for it."""
        token = self.request_token()
        self.later(8 * DAY)
        self.assertEqual(self.by_token(token, fast=fast("invalidate='1'")).token, "")
        token = self.request_token()
        new = self.by_token(token, REQUEST, fast=fast("invalidate='1'")).token
        self.assertEqual(self.by_token(token).refusal, "not-authorized")
        self.assertTrue(self.by_token(new).accepted)

    def test_password_changed(self) -> None:
        """A new password ends the tokens of the old one, wherever it was changed; a new token does not revive them."""
        used = self.request_token()
        self.by_token(used)
        unused = self.by_token(used, REQUEST).token
        change = change_password(self.server.storage.accounts, JID.parse(JULIET), "new", at_once)
        self.federation.result(change)
        for token in (used, unused):
            self.assertEqual(self.by_token(token).refusal, "credentials-expired")
        new = self.request_token(password="new")
        self.assertEqual(self.by_token(used).refusal, "credentials-expired")
        self.assertTrue(self.by_token(new).accepted)

    def test_account_deleted(self) -> None:
        """Nothing is left of them with the account, not even for one of the same name."""
        token = self.request_token()
        accounts = self.server.storage.accounts
        self.federation.result(accounts.delete(CAPULET, "juliet"))
        self.assertEqual(self.by_token(token).refusal, "not-authorized")
        self.federation.account(JULIET)
        self.assertEqual(self.by_token(token).refusal, "not-authorized")

    def test_sasl_retry_limit(self) -> None:
        """sasl-retry-limit: tokens are guessed as often as passwords, together."""
        raw = self.opened()
        for _ in range(2):
            self.by_token("x", raw=raw)
            raw.plain(password="x")
        self.assertEqual([one.name for one in self.by_token("x", raw=raw).came], ["failure", "error", "close"])

    def test_storage_fails(self) -> None:
        """Without storage nobody can tell: temporary-auth-failure."""
        token = self.request_token()

        async def read(*_: object) -> object:
            raise StorageError("The disk is gone.")

        self.patch(self.server.storage.records, "read", read)
        self.assertEqual(self.by_token(token).refusal, "temporary-auth-failure")
        self.flushLoggedErrors(StorageError)


class TokensCase(SynchronousTestCase):
    """`Tokens` by themselves."""

    def setUp(self) -> None:
        """An account, and a clock."""
        self.storage, self.clock = MemoryStorage(), Clock()
        self.now(self.storage.accounts.create(CAPULET, "juliet", {}))
        self.tokens = Tokens(self.storage.records, self.clock, Timeouts())
        self.account = JID("juliet", CAPULET)

    def now(self, work: Any) -> Any:
        """What comes of it at once."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def holder(self, device: str = "d", password: bytes = b"p") -> Holder:
        """Of this installation."""
        return Holder(self.account, device, password)

    def issue(self, holder: Holder) -> str:
        """A token."""
        return str(self.now(self.tokens.issue(holder, NONE)).get("token"))

    def claim(self, token: str) -> Claim:
        """A login by it."""
        return HashedTokenServer(NONE, {}).respond(HashedTokenClient(NONE, "juliet", token, {}).start())

    def redeem(self, holder: Holder, token: str) -> bool:
        """Whether it opens the account."""
        tried: list[Any] = []
        Deferred.fromCoroutine(self.tokens.redeem(holder, self.claim(token), FastRequest())).addBoth(tried.append)
        return isinstance(tried[0], tuple)


class Bounds(TokensCase):
    """How many there are."""

    def test_most(self) -> None:
        """An account has tokens for so many installations; the one whose tokens expire first makes room."""
        given = {}
        for number in range(MOST):
            given[f"d{number}"] = self.issue(self.holder(f"d{number}"))
            self.clock.advance(1)
        given["d0"] = self.issue(self.holder("d0"))
        self.clock.advance(1)
        given["new"] = self.issue(self.holder("new"))
        self.assertEqual(len(self.now(self.storage.records.read(self.account, COLLECTION))), MOST)
        lost = [device for device, token in given.items() if not self.redeem(self.holder(device), token)]
        self.assertEqual(lost, ["d1"])

    def test_one_more_of_the_same(self) -> None:
        """Who is among them takes nobody's place."""
        given = {f"d{number}": self.issue(self.holder(f"d{number}")) for number in range(MOST)}
        given["d0"] = self.issue(self.holder("d0"))
        self.assertTrue(all(self.redeem(self.holder(device), token) for device, token in given.items()))

    def test_use_writes_nothing(self) -> None:
        """The use of a token that needs no change is no work for the disk."""
        token = self.issue(self.holder())
        self.assertTrue(self.redeem(self.holder(), token))

        async def change(*_: object, **__: object) -> None:
            raise AssertionError

        self.patch(self.storage.records, "change", change)
        self.assertTrue(self.redeem(self.holder(), token))


class Races(TokensCase):
    """Two at the same time."""

    def test_same_count(self) -> None:
        """Of two logins with the same count that come at once, one is accepted."""
        token = self.issue(self.holder())
        waiting: list[Deferred[None]] = []
        read = self.storage.records.read

        async def slow(account: JID, collection: str) -> dict[str, bytes]:
            found = await read(account, collection)
            waiting.append(Deferred())
            await waiting[-1]
            return found

        self.patch(self.storage.records, "read", slow)
        logins = [
            Deferred.fromCoroutine(self.tokens.redeem(self.holder(), self.claim(token), FastRequest(count=1))) for _ in range(2)
        ]
        self.assertEqual(len(waiting), 1)
        waiting[0].callback(None)
        self.successResultOf(logins[0])
        waiting[1].callback(None)
        failure = self.failureResultOf(logins[1], SASLError)
        self.assertIs(failure.value.condition, SASLCondition.NOT_AUTHORIZED)

    def test_nothing_is_left(self) -> None:
        """Who is through leaves nothing in memory."""
        self.redeem(self.holder(), self.issue(self.holder()))
        self.assertEqual(len(self.tokens._turns), 0)

    def test_account_deleted_meanwhile(self) -> None:
        """No token is given to an account that is gone."""
        self.now(self.storage.accounts.delete(CAPULET, "juliet"))
        failure = self.failureResultOf(Deferred.fromCoroutine(self.tokens.issue(self.holder(), NONE)), SASLError)
        self.assertIs(failure.value.condition, SASLCondition.NOT_AUTHORIZED)

    def test_other_accounts_do_not_wait(self) -> None:
        """One account's login is no other's business."""
        self.now(self.storage.accounts.create(CAPULET, "romeo", {}))
        read = self.storage.records.read

        async def stuck(account: JID, collection: str) -> dict[str, bytes]:
            if account.local == "juliet":
                await Deferred()
            return await read(account, collection)

        self.patch(self.storage.records, "read", stuck)
        self.assertNoResult(Deferred.fromCoroutine(self.tokens.issue(self.holder(), NONE)))
        romeo = Holder(JID("romeo", CAPULET), "d", b"p")
        self.successResultOf(Deferred.fromCoroutine(self.tokens.issue(romeo, NONE)))

    def test_password_is_not_shown(self) -> None:
        """The text of a holder does not hold its fingerprint."""
        self.assertNotIn("fingerprint", repr(self.holder(password=b"fingerprint")))
