"""The record of what was tried."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.services.s2s import OURS, THEIR_ADDRESS, THEIRS, URL, S2SCase
from xmppfed.core.events import Pair
from xmppfed.discovery.candidates import websocket_candidate
from xmppfed.services.trace import MAX_TRACES, Attempt, Outcome, Trace, Traces

SECOND, LAST = "127.0.9.2", "127.0.9.3"


class Values(SynchronousTestCase):
    """A trace by itself."""

    def setUp(self) -> None:
        """One that has begun."""
        self.candidate = websocket_candidate(URL, domain=THEIRS, source="a test", sni="front.example")
        self.trace = Trace(pair=Pair(OURS, THEIRS), began=100, explanations=("looked at a test",))

    def test_attempt(self) -> None:
        """It knows when it began, at which address of which candidate, and which names the certificate may be for."""
        attempt = self.trace.begin(self.candidate, SECOND, 101.5)
        self.assertEqual((attempt.began, attempt.address, attempt.candidate), (1.5, SECOND, self.candidate))
        self.assertEqual(attempt.wanted, ("front.example", THEIRS))
        self.assertEqual(str(attempt), f"{URL} at {SECOND}: under way")

    def test_reasons(self) -> None:
        """Every attempt that failed, not those that another was faster than; then everything that was looked at: who passes
        the reasons on, as other servers do, may cut their end."""
        failed, canceled = self.trace.begin(self.candidate, SECOND, 100), self.trace.begin(self.candidate, LAST, 100)
        failed.outcome, failed.reason = Outcome.FAILED, "no connection"
        canceled.outcome = Outcome.CANCELED
        self.trace.explain(["asked another", "looked at a test"])
        expected = [f"{URL} at {SECOND}: no connection", "looked at a test", "asked another"]
        self.assertEqual(self.trace.reasons(), expected)

    def test_kept(self) -> None:
        """The last trace of a domain is kept, for 256 domains."""
        traces = Traces()
        for number in range(MAX_TRACES):
            traces.begin(Pair(OURS, f"{number}.example"), number)
        last = traces.begin(Pair(OURS, "0.example"), 1000)
        traces.begin(Pair(OURS, "new.example"), 1001)
        self.assertIs(traces.of("0.example"), last)
        self.assertIsNone(traces.of("1.example"))
        self.assertIsNotNone(traces.of("2.example"))


class Written(S2SCase):
    """What is written down while a domain is reached."""

    routes = {THEIRS: (THEIR_ADDRESS, SECOND, LAST)}

    def trace(self) -> Trace:
        """The last one."""
        found = self.policy.traces.of(THEIRS)
        assert found is not None
        return found

    def times(self, *attempts: Attempt) -> list[tuple[float, float]]:
        """When each began, and for how long it took."""
        return [(round(one.began, 2), round(one.seconds, 2)) for one in attempts]

    def test_success(self) -> None:
        """Each attempt with its time, its outcome, the names that were seen and wanted, and by what it was believed."""
        self.listen(certificate=self.issue("other.example"))
        self.network.blackhole(SECOND)
        self.listen(address=LAST)
        self.write(self.juliet())
        self.network.advance(1)
        trace = self.trace()
        wrong, silent, good = trace.attempts
        self.assertEqual([one.outcome for one in trace.attempts], [Outcome.FAILED, Outcome.CANCELED, Outcome.READY])
        self.assertEqual(self.times(wrong, silent, good), [(0, 0), (0, 0.25), (0.25, 0)])
        self.assertEqual((wrong.seen, wrong.wanted, wrong.server_names), ("DNS other.example", (THEIRS,), [THEIRS]))
        self.assertIn("found a certificate for DNS other.example", wrong.reason)
        self.assertEqual((silent.seen, silent.proof, silent.mechanism), ("", "", ""))
        self.assertEqual((good.seen, good.proof), (f"DNS {THEIRS}", f"DNS {THEIRS} and a trusted authority"))
        self.assertEqual((good.mechanism, good.candidate.source), ("EXTERNAL", "static route"))
        self.assertEqual((trace.pair, trace.failure), (Pair(OURS, THEIRS), ""))
        self.assertEqual(round(trace.seconds or 0, 2), 0.25)
        self.assertIn(f"static routes: {URL}", trace.explanations)

    def test_under_way(self) -> None:
        """While it goes on the trace has no end; it can be looked at all the same."""
        self.network.blackhole(THEIR_ADDRESS, SECOND, LAST)
        self.write(self.juliet())
        self.network.advance(0.3)
        self.assertEqual([one.outcome for one in self.trace().attempts], [Outcome.UNDER_WAY] * 2)
        self.assertIsNone(self.trace().seconds)
        self.network.advance(20)

    def test_failure(self) -> None:
        """What the sender was told."""
        client = self.juliet()
        self.write(client)
        self.assertEqual(self.trace().failure, self.bounced(client)[1])
        self.assertEqual(self.trace().seconds, 0)

    def test_stopped(self) -> None:
        """A server that stops writes that down, too."""
        self.network.blackhole(THEIR_ADDRESS)
        self.write(self.juliet())
        self.federation.stop(OURS)
        self.assertEqual(self.trace().failure, "This server is shutting down.")
        self.assertEqual([one.outcome for one in self.trace().attempts], [Outcome.CANCELED])
