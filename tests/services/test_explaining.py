"""Why a domain is reached or not, as the control socket tells it and as an operator reads it."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.explained import check_lines, explain_lines, stream_lines
from xmppfed.services.control import CommandRefused
from xmppfed.services.explaining import explaining_commands
from xmppfed.testing.certificates import CertificateKind
from xmppfed.testing.federation import Federation

OURS, THEIRS = "capulet.example", "montague.example"


class ExplainingCase(SynchronousTestCase):
    """Two servers, of which one explains."""

    kinds: dict[str, CertificateKind] = {}
    options: dict[str, Any] = {}

    def setUp(self) -> None:
        self.federation = Federation(OURS, THEIRS, certificates=self.kinds, **self.options)
        self.addCleanup(self.federation.cleanup)
        self.server = self.federation.server(OURS)
        http: Any = self.server.namedServices.get("http")
        self.refused: deque[str] = deque() if http is None else http.refused
        self.commands = explaining_commands(self.server.federation, [OURS], self.refused)

    def ask(self, name: str, **arguments: str) -> Any:
        """What a command answers."""
        results: list[Any] = []

        Deferred.fromCoroutine(self.commands[name](arguments)).addBoth(results.append)
        self.federation.advance(30)
        (result,) = results
        return result

    def refusal(self, name: str, **arguments: str) -> str:
        """Why it refuses to answer."""
        failure = self.ask(name, **arguments)
        self.assertIsInstance(failure.value, CommandRefused)
        return str(failure.value)

    def explained(self, domain: str = THEIRS) -> str:
        """What an operator reads."""
        return "\n".join(explain_lines(self.ask("explain", domain=domain)))


class Reached(ExplainingCase):
    """All is well."""

    def test_explain(self) -> None:
        """Where it was found, which address, which names, by what it was believed, what it offered, how long it took."""
        text = self.explained()
        for words in (
            f"From {OURS} to {THEIRS}",
            f"1. wss://{THEIRS}/xmpp-websocket at 127.0.0.3 (from ",
            f"certificate: found DNS {THEIRS}",
            f"wanted {THEIRS}; asked for by {THEIRS}",
            "and a trusted authority",
            "authenticated by EXTERNAL",
            f"Advice: Nothing to do: {THEIRS} is reached at wss://{THEIRS}/xmpp-websocket, by EXTERNAL.",
        ):
            self.assertIn(words, text)

    def test_stands(self) -> None:
        """A stream that stands is not made again; one that is gone is."""
        first = self.ask("explain", domain=THEIRS)
        self.assertEqual(self.ask("explain", domain=THEIRS)["began"], first["began"])
        self.federation.network.cut(self.federation.between_servers)
        self.federation.advance(1)
        self.assertNotEqual(self.ask("explain", domain=THEIRS)["began"], first["began"])

    def test_s2s(self) -> None:
        """The streams there are, with the pairs of domains that may speak on each."""
        self.assertEqual(list(stream_lines(self.ask("s2s")["streams"])), ["No streams to or from other servers."])
        self.ask("explain", domain=THEIRS)
        other = explaining_commands(self.federation.server(THEIRS).federation, [THEIRS], deque())
        self.assertEqual(
            next(stream_lines(self.ask("s2s")["streams"])).split(" (")[0], f"out: {OURS} to {THEIRS}, {THEIRS} to {OURS}"
        )
        self.commands = other
        (line,) = stream_lines(self.ask("s2s")["streams"])
        self.assertRegex(line, rf"in: {OURS} to {THEIRS} \(127\.0\.0\.2, EXTERNAL\)")

    def test_check_domain(self) -> None:
        """Seen from outside we reach ourselves, and our answer proves it."""
        text = "\n".join(check_lines(self.ask("check-domain", domain=OURS)))
        self.assertIn(f"wss://{OURS}/xmpp-websocket at 127.0.0.2", text)
        self.assertIn("reached this server after", text)
        self.assertIn("Advice: Nothing to do: others reach this server at", text)
        self.assertNotIn("For the DNS", text)


class Refusals(ExplainingCase):
    """What cannot be explained."""

    def test_domains(self) -> None:
        """Each command says which is for the other domain, and what it was not given."""
        self.assertIn(f"xmppfedctl check-domain {OURS}", self.refusal("explain", domain=OURS))
        self.assertIn(f"xmppfedctl explain {THEIRS}", self.refusal("check-domain", domain=THEIRS))
        self.assertIn("wanted the name of a domain", self.refusal("explain", domain="a..b"))
        self.assertIn("wanted the name of a domain", self.refusal("explain"))

    def test_no_federation(self) -> None:
        """A server that does not federate says so."""
        self.commands = explaining_commands(None, [OURS], deque())
        for name, arguments in (("explain", {"domain": THEIRS}), ("s2s", {})):
            self.assertIn("does not federate", self.refusal(name, **arguments))


class WrongName(ExplainingCase):
    """The other server shows a certificate for another name."""

    kinds: dict[str, CertificateKind] = {THEIRS: "wrong-name"}

    def test_explain(self) -> None:
        """The names found, the names wanted, and what has to be done."""
        text = self.explained()
        self.assertIn("wanted one for montague.example", text)
        self.assertIn("Advice: Its certificate does not name the domain.", text)


class Expired(ExplainingCase):
    """The other server's certificate is over."""

    kinds: dict[str, CertificateKind] = {THEIRS: "expired"}

    def test_explain(self) -> None:
        """It says so, and what has to be done."""
        text = self.explained()
        self.assertIn("has expired", text)
        self.assertIn("Advice: Its certificate is not trusted here", text)


class NobodyThere(ExplainingCase):
    """Where nobody is."""

    options = {"directory": False}

    def test_unknown_domain(self) -> None:
        """Everything that was looked at is named."""
        text = self.explained("verona.example")
        self.assertIn("Nothing was tried.", text)
        self.assertIn("Advice: verona.example says nowhere how it is reached", text)

    def test_own_domain(self) -> None:
        """Of our own domain it ends in lines to paste."""
        own = "verona.example"
        self.commands = explaining_commands(self.server.federation, [own], deque())
        text = "\n".join(check_lines(self.ask("check-domain", domain=own)))
        self.assertIn(f"_xmpps-server._tcp.{own}. 3600 IN SRV", text)
        self.assertIn(f"https://{own}/.well-known/host-meta", text)


class Stopped(ExplainingCase):
    """A server that is down."""

    def test_explain(self) -> None:
        """Nobody answers."""
        self.federation.stop(THEIRS)
        text = self.explained()
        self.assertIn("no connection", text)
        self.assertRegex(text, "Advice: Nothing listens there|Advice: Nobody answers there")
