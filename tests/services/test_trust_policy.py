"""What is asked of one domain need not be asked of another."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.services.s2s import (
    OURS,
    THEIR_ADDRESS,
    THEIRS,
    THIRD,
    DialbackScript,
    S2SCase,
    offered,
    opening,
    result,
    stream_error,
)
from xmppfed.services.federation import Trust, TrustPolicy


class Policy(SynchronousTestCase):
    """The exceptions and the rule."""

    def test_of(self) -> None:
        """A domain has the policy that is said for it, else that of all."""
        policy = TrustPolicy(Trust.EXTERNAL_OR_DIALBACK, {THEIRS: Trust.EXTERNAL})
        self.assertIs(policy.of(THEIRS), Trust.EXTERNAL)
        self.assertIs(policy.of(THIRD), Trust.EXTERNAL_OR_DIALBACK)


class OneIsStrict(S2SCase):
    """montague.example has to show a certificate, others need not."""

    routes = {THEIRS: (THEIR_ADDRESS,), THIRD: ("127.0.9.2",)}
    configuration = {OURS: {"federation": {"trust_by_domain": {THEIRS: "external"}}}}

    def test_incoming(self) -> None:
        """Its stream ends without one; that of another domain goes on with dialback."""
        self.assertEqual(stream_error(self.say(self.dial(), opening()))[0], "not-authorized")
        self.assertEqual(offered(self.say(self.dial(), opening(THIRD))), ["dialback"])

    def test_by_another_stream(self) -> None:
        """Nor can it be claimed by dialback on the stream of a domain that may use it."""
        peer = self.dial()
        self.say(peer, opening(THIRD))
        (answer,) = self.say(peer, result(THEIRS))
        self.assertIn("type='error'", answer)
        self.assertIn(f"{THEIRS} proves itself by its certificate here.", answer)

    def test_outgoing(self) -> None:
        """We do not ask it to call back either."""
        listener = self.listen(DialbackScript)
        client = self.juliet()
        self.write(client)
        self.assertNotIn("<db:result", "".join(listener.peer.messages))
        self.assertIn("dialback", self.bounced(client)[1])
