"""RFC 6121, section 8.5, as tables: every cell is a test, and the name of one test says how many of them there are.

The cells say what the RFC allows and, behind `=`, what we do where it leaves a choice:

- `S`: silence. `E`: an error to the sender. `O`: kept until somebody is there.
- `D`: to the resource that it is addressed to. `M`: to the most available ones. `A`: to all of non-negative priority.
- `P`: to all that are available. `H`: the server handles it on behalf of the account.

The columns of `error` and of unknown types are in the text of the RFC, not in its Table 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from tests.routing.fakes import condition, stanza
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Kind, Stanza
from xmppfed.extend import Element, Module, iq
from xmppfed.modules.offline import Offline
from xmppfed.modules.roster.module import Roster

ACCOUNT = JID.parse("nurse@example.org")
SENDER = "romeo@example.org/orchard"
QUERY = "{urn:example}query"

# Who is there: the resources of the account and their priorities; None is connected and not available.
CONDITIONS: dict[str, dict[str, int | None]] = {
    "no account": {},
    "nobody there": {},
    "negative": {"cellar": -1},
    "one": {"hall": 1},
    "several": {"hall": 5, "kitchen": 5, "garden": 0, "cellar": -1},
}
ADDRESSES = {
    "bare": "",
    "full": "/attic",  # no resource, for there is none
    "no match": "/attic",
    "match": "/cellar",
    "the one": "/hall",
}

TABLES = {
    "message": """
                             normal  chat    groupchat  headline  error  unheard-of
        no account,   bare       S/E=E   S/E=E   E          S         S      S/E=E
        no account,   full       S/E=E   S/E=E   S/E=E      S/E=S     S      S/E=E
        nobody there, bare       O/E=O   O/E=O   E          S         S      O/E=O
        nobody there, full       S/E=E   O/E=O   S/E=E      S/E=S     S      S/E=E
        negative,     bare       O/E=O   O/E=O   E          S         S      O/E=O
        negative,     match      D       D       D          D         D      D
        negative,     no match   S/E=E   O/E=O   S/E=E      S/E=S     S      S/E=E
        one,          bare       D       D       E          D         S      D
        one,          the one    D       D       D          D         D      D
        one,          no match   S/E=E   D       S/E=E      S/E=S     S      S/E=E
        several,      bare       M/A=M   M/A=M   E          A         S      M/A=M
        several,      match      D       D       D          D         D      D
        several,      no match   S/E=E   M/A=M   S/E=E      S/E=S     S      S/E=E
    """,
    "presence": """
                             available  unavailable  subscribe  unsubscribe  probe  error
        no account,   bare       S          S            S          S            S/H=H  S
        no account,   full       S          S            S          S            S/H=H  S
        nobody there, bare       S          S            H          S            H      S
        nobody there, full       S          S            H          S            H      S
        negative,     bare       P          P            H          S            H      S
        negative,     match      D          D            H          S            H      D
        negative,     no match   S          S            H          S            H      S
        several,      bare       P          P            H          S            H      S
        several,      match      D          D            H          S            H      D
        several,      no match   S          S            H          S            H      S
    """,
    "iq": """
                             get  set  result  error
        no account,   full       E    E    S       S
        nobody there, bare       H    H    S       S
        nobody there, full       E    E    S       S
        several,      bare       H    H    S       S
        several,      match      D    D    D       D
        several,      no match   E    E    S       S
    """,
}


@dataclass(frozen=True)
class Rule:
    """One cell of a table."""

    kind: str
    condition: str
    address: str
    type: str
    allowed: str
    wanted: str

    @property
    def name(self) -> str:
        """The name of its test."""
        words = (self.kind, self.condition, self.address, self.type)
        return "test_" + "_".join(word.replace(" ", "_").replace("-", "_") for word in words)

    @property
    def is_tested(self) -> bool:
        """Whether there is a test that makes its condition and knows its outcome."""
        return self.condition in CONDITIONS and self.address in ADDRESSES and self.wanted in self.allowed.split("/")


def rules() -> Iterator[Rule]:
    """Every cell of every table."""
    for kind, table in TABLES.items():
        head, *rows = table.strip().splitlines()
        for row in rows:
            who, rest = row.split(",")
            first, *others = rest.split()
            address = f"{first} {others.pop(0)}" if first in ("no", "the") else first
            for type, cell in zip(head.split(), others, strict=True):
                allowed, _, wanted = cell.partition("=")
                yield Rule(kind, who.strip(), address, type, allowed, wanted or allowed)


class Helpful(Module):
    """Answers a request on behalf of accounts."""

    @iq("get", QUERY, target="account")
    @iq("set", QUERY, target="account")
    def help(self, stanza: Stanza) -> Element:
        return Element("query", "urn:example")


class Case:
    """The server in the condition of a rule, and what becomes of a stanza."""

    def __init__(self, test: SynchronousTestCase, rule: Rule) -> None:
        self.rule = rule
        self.server = Hosting(Offline, Roster, Helpful)
        self.test = test
        for name in ("romeo", *(() if rule.condition == "no account" else (ACCOUNT.local,))):
            self.now(self.server.storage.accounts.create(ACCOUNT.domain, name, {}))
        self.sender = self.server.session(SENDER, 0)
        self.sessions = {
            resource: self.server.session(f"{ACCOUNT}/{resource}", priority)
            for resource, priority in CONDITIONS[rule.condition].items()
        }
        for session in self.sessions.values():
            session.take()

    def now(self, work: Any) -> Any:
        """What a coroutine returns at once."""
        return self.test.successResultOf(Deferred.fromCoroutine(work))

    def outcome(self) -> set[str]:
        """All letters that describe what happened."""
        rule, to = self.rule, f"{ACCOUNT}{ADDRESSES[self.rule.address]}"
        type = None if rule.type == "available" else rule.type
        sent = stanza(cast(Kind, rule.kind), type, to, QUERY, sender=SENDER)
        self.server.router.route_sent(sent)
        reached = {resource: session.take() for resource, session in self.sessions.items()}
        return self.handled(sent.to, reached) or self.delivered(reached) or self.answered()

    def handled(self, to: JID | None, reached: dict[str, list[Stanza]]) -> set[str]:
        """The server did what there was to do."""
        records = self.server.storage.records
        if self.now(records.read(ACCOUNT, "offline")):
            return {"O"}
        if self.rule.type == "subscribe":
            return {"H"} if self.now(records.read(ACCOUNT, "roster")) else {"S"} if not any(reached.values()) else {"?"}
        answers = [each.type for each in self.sender.delivered if each.attributes.get("from") == str(to)]
        if "result" in answers:
            return {"H"}
        return {"H"} if self.rule.type == "probe" and self.probed() else set()

    def probed(self) -> bool:
        """A stranger's server is told that he is not subscribed, which he is not told (RFC 6121, A.3.4)."""
        said: list[str | None] = []
        self.server.handlers.add(("hook", "routed"), lambda each: said.append(each.type) or each, "m")
        self.server.router.route_sent(stanza("presence", "probe", str(ACCOUNT), sender=SENDER))
        return said == ["probe", "unsubscribed"]

    def delivered(self, reached: dict[str, list[Stanza]]) -> set[str]:
        """Resources got it."""
        got = {resource for resource, stanzas in reached.items() if stanzas}
        priorities = CONDITIONS[self.rule.condition]
        listening = {resource for resource, priority in priorities.items() if priority is not None and priority >= 0}
        most = max((priorities[resource] or 0 for resource in listening), default=0)
        groups = {
            "D": listening if len(listening) == 1 and len(priorities) == 1 else {ADDRESSES[self.rule.address].lstrip("/")},
            "M": {resource for resource in listening if priorities[resource] == most},
            "A": listening,
            "P": set(priorities),
        }
        return {letter for letter, group in groups.items() if got and got == group}

    def answered(self) -> set[str]:
        """Nobody got it; the sender hears of that, or not."""
        errors = [condition(each) for each in self.sender.take() if each.type == "error"]
        return {"E"} if errors == ["service-unavailable"] else {"S"} if not errors else {"?"}


def _test(rule: Rule) -> Any:
    def test(self: SynchronousTestCase) -> None:
        self.assertIn(rule.wanted, Case(self, rule).outcome(), rule)

    test.__doc__ = f"To {rule.address}, {rule.condition}: a {rule.kind} of type {rule.type} is {rule.wanted} ({rule.allowed})."
    return test


class DeliveryRules(SynchronousTestCase):
    """Each cell of each table, and the count."""


_ALL = list(rules())
_TESTED = [rule for rule in _ALL if rule.is_tested]
for _rule in _TESTED:
    setattr(DeliveryRules, _rule.name, _test(_rule))


def _count(self: SynchronousTestCase) -> None:
    self.assertEqual([rule for rule in _ALL if rule not in _TESTED], [])
    self.assertEqual(len({rule.name for rule in _ALL}), len(_ALL))


_count.__doc__ = "Every cell has a test."
setattr(DeliveryRules, f"test_{len(_TESTED)}_of_{len(_ALL)}_rules_of_RFC_6121_8_5", _count)
