"""libpurple (Pidgin, Finch) and one of ours on a link, with no server: they find each other, talk, and call each other at once.

Ours is Juliet, libpurple is Romeo. Both are processes in one network namespace, where multicast leads to one interface: to
loopback, or to one that has a link-local address besides, which is tried after IPv4 (M4).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.interop.avahi import NEEDS, avahi
from tests.interop.namespace import apart
from tests.interop.person import Account, Person, Program, person
from tests.interop.scenario import Failure, Scenario, show

__all__ = ["SCENARIOS"]

MACHINE = "pronto"
OURS = Program("xmppfed.e2e", str(Path(__file__).with_name("linklocal_person.py")), sys.executable, ())
PURPLE = Program("libpurple", "purple_client.py", sys.executable, ())
PORT = "5298"  # libpurple's
CROSSINGS, ROUNDS = 20, 200
"""How often streams have to cross, and how often both may begin for that."""


@contextmanager
def _neighbors(folder: Path, interface: str) -> Iterator[tuple[Person, Person]]:
    """Juliet and Romeo, who have found each other. In the end nobody has failed, and nothing of ours has returned."""
    with (
        avahi(folder, MACHINE, interface),
        person(OURS, Account(MACHINE, "juliet", "", interface), None, folder) as juliet,
        person(PURPLE, Account(MACHINE, "romeo", "", PORT), None, folder) as romeo,
    ):
        for one in (juliet, romeo):
            one.do("login")
            one.until("the link", lambda: one.jid)  # noqa: B023 - it is called at once
        _shows(juliet, romeo, "available")
        _shows(romeo, juliet, "available")
        yield juliet, romeo
        if found := [*juliet.events("failed"), *juliet.events("returned"), *romeo.events("failed")]:
            raise Failure(f"found {found}; wanted none of it")


def _shows(one: Person, other: Person, seen: str) -> None:
    """Wait until one sees the other so."""
    one.until(f"{other.account.user} as {seen}", lambda: one.contact(other.account.address).show == seen)


def _say(one: Person, other: Person, text: str) -> None:
    one.do("say", to=other.account.address, text=text)


def _heard(one: Person, other: Person, text: str) -> list[dict[str, Any]]:
    """What one has heard of these words of the other."""
    return one.events("message", text=text, **{"from": other.account.address})


def _converse(one: Person, other: Person, text: str) -> None:
    """One says something, and the other hears it."""
    _say(one, other, text)
    other.until(f"{text!r}", lambda: _heard(other, one, text))


def _presence(folder: Path, interface: str) -> None:
    """Each changes, and the other sees it."""
    with _neighbors(folder, interface) as (juliet, romeo):
        for one, other, word, seen in (
            (juliet, romeo, "dnd", "away"),
            (juliet, romeo, "away", "available"),
            (juliet, romeo, "available", "available"),
            (romeo, juliet, "away", "dnd"),
            (romeo, juliet, "available", "available"),
        ):
            said = f"{one.account.user} is {word}"
            one.do("show", show=word, status=said)
            other.until(said, lambda: other.events("presence", status=said))  # noqa: B023 - it is called at once
            _shows(other, one, seen)
            show(f"{one.program.name} says {word}, {other.program.name} shows {seen}")


def _goodbye(folder: Path, interface: str, who: str) -> None:
    """One talks with the other and leaves, and the other sees it."""
    with _neighbors(folder, interface) as neighbors:
        leaves, stays = neighbors if who == "ours" else neighbors[::-1]
        _converse(leaves, stays, "farewell")
        leaves.do("leave")
        _shows(stays, leaves, "unavailable")
        leaves.until("the end", lambda: not leaves.jid)


def _messages(folder: Path, interface: str) -> None:
    """Each opens the stream in turn, each closes it in turn; both talk on it. Then there is nothing left of ours."""
    with _neighbors(folder, interface) as (juliet, romeo):
        for closer in (juliet, romeo):
            for opener, other in ((juliet, romeo), (romeo, juliet)):
                number = len(juliet.events("parted"))
                _converse(opener, other, f"good morrow {number}")
                _converse(other, opener, f"and to you {number}: \u00fc\u2665")
                (met,) = juliet.events("met")[number:]
                if (met["opener"], met["trust"]) != (opener.account.address, "plain"):
                    raise Failure(f"found {met}; wanted a plain stream, opened by {opener.account.address}")
                partner = romeo if closer is juliet else juliet
                closer.do("hang_up", on=partner.account.address)
                juliet.until("the end of the stream", lambda: len(juliet.events("parted")) > number)  # noqa: B023
                show(f"opened by {opener.program.name}, closed by {closer.program.name}")
        juliet.do("leave")
        juliet.until("leaving nothing", lambda: juliet.events("offline", streams=0, strangers=0))


def _crossing(folder: Path, interface: str) -> str:
    """Both open a stream at the same moment, until that many have crossed: nothing of ours is lost."""
    crossed = rounds = 0
    with _neighbors(folder, interface) as (juliet, romeo):
        while crossed < CROSSINGS:
            if rounds == ROUNDS:
                raise Failure(f"of {rounds} streams {crossed} crossed; wanted {CROSSINGS}")
            crossed += _both_at_once(juliet, romeo, rounds)
            rounds += 1
        said = range(rounds)
        ours, theirs = ([len(_heard(*pair, f"{number}")) for number in said] for pair in ((romeo, juliet), (juliet, romeo)))
    if lost := ours.count(0):
        raise Failure(f"lost {lost} of our {rounds} messages")
    return (
        f"{crossed} of {rounds} crossed; of ours 0 were lost, {sum(count > 1 for count in ours)} came twice; "
        f"of libpurple's {theirs.count(0)} were lost, {sum(count > 1 for count in theirs)} came twice"
    )


def _both_at_once(juliet: Person, romeo: Person, number: int) -> bool:
    """Both say something, ours is heard, and the stream is closed. Whether there were two."""
    before = len(juliet.told)

    def streams() -> list[str]:
        return [told["event"] for told in juliet.told[before:] if told["event"] in ("met", "parted")]

    for one, other in ((romeo, juliet), (juliet, romeo)) if number % 2 else ((juliet, romeo), (romeo, juliet)):
        _say(one, other, f"{number}")
    romeo.until(f"{number}", lambda: _heard(romeo, juliet, f"{number}"))
    romeo.do("hang_up", on=juliet.account.address)
    juliet.until("the end of the streams", lambda: streams()[-1:] == ["parted"])
    return streams().count("met") > 1


def _leaving_nothing(play: Callable[[Path], str]) -> Callable[[Path], str]:
    """The same play; then no process of it is there any more, and nothing is mounted that it has mounted."""

    def run(folder: Path) -> str:
        text = play(folder)
        left = [process.parent.name for process in Path("/proc").glob("[0-9]*/cwd") if _is_in(process, folder)]
        if left or str(folder) in Path("/proc/self/mounts").read_text():
            raise Failure(f"found processes {left} or mounts of {folder}; wanted neither")
        return text

    return run


def _is_in(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False  # it has ended meanwhile


SCENARIOS = [
    Scenario(
        f"link: libpurple, {name}, {place}",
        _leaving_nothing(apart(play, interface, *words)),
        (*NEEDS, "unshare", "purple-remote"),
    )
    for name, play, words in (
        ("presence", _presence, ()),
        ("our goodbye", _goodbye, ("ours",)),
        ("its goodbye", _goodbye, ("its",)),
        ("messages", _messages, ()),
        ("crossing", _crossing, ()),
    )
    for place, interface in (("on loopback", "lo"), ("with IPv6", "outside"))
]
