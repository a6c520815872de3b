"""What two people do with their clients, whichever clients these are: meet, become contacts, talk, leave, come back, part."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.interop.person import Person
from tests.interop.scenario import Failure

__all__ = ["LEFT_OUT", "Figures", "become_contacts", "converse", "log_in", "see_each_other"]

LEFT_OUT = "stream management of clients, rooms and the archive, which our server does not have yet"
"""Steps that the clients could do."""


class Figures(dict[str, float]):
    """What was measured, in milliseconds, by the name of the step."""

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure what happens inside."""
        start = time.monotonic()
        yield
        self[name] = (time.monotonic() - start) * 1000

    def __str__(self) -> str:
        return ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in self.items())


def converse(a: Person, b: Person, *, alone: bool = True) -> Figures:
    """Everything that two clients can do at the servers of today. Raises `Failure`.

    Nothing is kept for who is away unless they are `alone`: another client of the account would get it.
    """
    figures = Figures()
    with figures.measured("login"):
        log_in(a)
    log_in(b)
    with figures.measured("ping"):
        a.do("ping")
        a.until("pong", lambda: a.events("pong"))
    _talk(a, b, figures)
    for one, other in ((a, b), (b, a)):
        if one.can("ask") and other.can("ask"):  # not everybody answers what he does not know: Converse.js does not
            _ask(one, other)
    with figures.measured("subscription"):
        become_contacts(a, b)
    _change_presence(a, b, figures)
    _come_back(a, b, figures, alone)
    _part(a, b)
    for one in (a, b):
        _leave(one)
    return figures


def log_in(one: Person) -> None:
    """Log in, get the roster, be available."""
    one.do("login")
    one.until("the login", lambda: one.jid)


def _leave(one: Person) -> None:
    one.do("leave")
    one.until("the orderly end", lambda: not one.jid)
    for told in one.events("asked"):
        if told["unanswered"]:
            raise Failure(f"{one.program.name} of {one.account.address} has no answer to {told['unanswered']}")


def _talk(a: Person, b: Person, figures: Figures) -> None:
    with figures.measured("first message"):
        _say(a, b, b.account.address, "Hello, is this the right place? ✓")
    _say(b, a, a.jid, "It is: 2 < 3 & all is well ✓")
    with figures.measured("warm"):
        _say(a, b, b.jid, "Good.")


def _ask(one: Person, other: Person) -> None:
    """What no client knows is refused by the other client: proof of the way there and back."""
    one.do("ask", to=other.jid)
    one.until("the answer", lambda: one.events("answer"))
    found = one.events("answer")[-1]
    if found["answer"] != "service-unavailable":
        raise Failure(f"found the answer {found['answer']} to an unknown question; wanted service-unavailable")


def _say(sender: Person, to: Person, address: str, text: str) -> None:
    sender.do("say", to=address, text=text)
    _hear(sender, to, text)


def _hear(sender: Person, to: Person, text: str) -> None:
    to.until(f"the message {text!r}", lambda: to.events("message", text=text))
    found = to.events("message", text=text)[-1]
    if (found["from"], found["type"]) != (sender.jid, "chat"):
        raise Failure(f"found a message of type {found['type']} from {found['from']}; wanted chat from {sender.jid}")


def become_contacts(a: Person, b: Person) -> None:
    """Both subscribe to each other; each sees it in the roster, and sees the other."""
    alice, bob = a.account.address, b.account.address
    _subscribe(a, b)
    a.until("the presence of the contact", lambda: a.contact(bob).show == "available")
    a.until("the subscription in the roster", lambda: a.contact(bob).subscription == "to")
    b.until("the subscription in the roster", lambda: b.contact(alice).subscription == "from")
    _subscribe(b, a)
    see_each_other(a, b)


def _subscribe(subscriber: Person, contact: Person) -> None:
    """Some clients approve by themselves: the request of whom they have asked, or whom they have written to."""
    subscriber.do("subscribe", to=contact.account.address)
    seen = contact.contact(subscriber.account.address)
    contact.until("the request", lambda: seen.asks or seen.subscription in ("from", "both"))
    if seen.subscription not in ("from", "both"):
        contact.do("approve", to=subscriber.account.address)


def see_each_other(a: Person, b: Person) -> None:
    """Both are contacts, and available."""
    for one, address in ((a, b.account.address), (b, a.account.address)):
        one.until("the mutual subscription", lambda: one.contact(address).subscription == "both")  # noqa: B023
        one.until("the presence of the contact", lambda: one.contact(address).show == "available")  # noqa: B023


def _change_presence(a: Person, b: Person, figures: Figures) -> None:
    with figures.measured("presence"):
        b.do("show", show="dnd")
        a.until("dnd", lambda: a.contact(b.account.address).show == "dnd")
    a.do("show", show="xa")
    b.until("xa", lambda: b.contact(a.account.address).show == "xa")


def _come_back(a: Person, b: Person, figures: Figures, alone: bool) -> None:
    """Who leaves is seen to leave. Who comes has a roster and what was kept, sees who is there, and is seen."""
    alice, bob = a.account.address, b.account.address
    _leave(b)
    a.until("the absence", lambda: a.contact(bob).show == "unavailable")
    if alone:
        a.do("say", to=bob, text="I wrote this while you were away.")
    with figures.measured("second login"):
        log_in(b)
    if alone:
        _hear(a, b, "I wrote this while you were away.")
    b.until("the roster", lambda: b.contact(alice).subscription == "both")
    b.until("the presence of who was there", lambda: b.contact(alice).show == "xa")
    a.until("the presence of who came", lambda: a.contact(bob).show == "available")


def _part(a: Person, b: Person) -> None:
    """Who is removed from a roster sees it in the own roster, and nobody sees the other any more (RFC 6121, 2.5.2)."""
    alice, bob = a.account.address, b.account.address
    a.do("remove", jid=bob)
    a.until("the removal", lambda: a.contact(bob).subscription == "none")
    b.until("the removal", lambda: b.contact(alice).subscription == "none")
    b.until("the absence", lambda: b.contact(alice).show == "unavailable")
