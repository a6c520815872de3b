"""`make demo-lan`: somebody with libpurple (Pidgin's library) and somebody with Converse.js in Chromium, on one local network.

Alice is logged in to xmppfed over WebSocket, and has never heard of link-local messaging; Romeo has no account and no server.
They find each other by multicast DNS and talk; the picture shows what Alice sees. All is in a network namespace of its own.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.interop.avahi import NEEDS, avahi
from tests.interop.certificates import issue
from tests.interop.linklocal_purple import PURPLE
from tests.interop.namespace import A, apart, domains_known, trust_only
from tests.interop.ours import at_home, ours
from tests.interop.person import Account, Person, person
from tests.interop.programs import CONVERSE
from tests.interop.scenario import Failure, Scenario, outcome, show

__all__ = ["SCENARIOS"]

MACHINE = "pronto"
PICTURE = "demo-lan.png"
_GATEWAY = f"""\
[services.e2e.lan_gateway]
users = ["alice@{A}"]
endpoint = "tcp6:5299"
trust = "plain"
interfaces = ["127.0.0.1"]
machine = "{MACHINE}"
nicks = {{ "alice@{A}" = "Alice" }}
"""
_ALICE, _ROMEO = f"alice@{MACHINE}", f"romeo@{MACHINE}"
_CONTACT = rf"romeo\40{MACHINE}@local"
_TALK = (
    ("romeo", "Is anybody on this network?"),
    ("alice", "Yes: I am in a browser, logged in to xmppfed."),
    ("romeo", "And I am libpurple, with no server at all. \u2665"),
    ("alice", "Then it is multicast DNS that has introduced us."),
)


def _meet(folder: Path) -> None:
    certificates = issue(folder, A)
    trust_only(certificates.authority)
    alice_at, romeo_at = Account(A, "alice", "alice", f"wss://{A}/xmpp-websocket"), Account(MACHINE, "romeo", "", "5298")
    with (
        domains_known(folder),
        avahi(folder, MACHINE, "lo"),
        ours(folder, at_home(A, certificates, tables=_GATEWAY), "alice"),
        person(CONVERSE, alice_at, certificates.authority, folder) as alice,
        person(PURPLE, romeo_at, None, folder) as romeo,
    ):
        for one in (romeo, alice):
            one.do("login")
            one.until("the login", lambda: one.jid)  # noqa: B023 - it is called at once
        _find_each_other(alice, romeo)
        _talk(alice, romeo)
        _part(alice, romeo)
    [picture] = folder.glob("alice-converse/leaving-*.png")
    picture.rename(folder / PICTURE)


def _find_each_other(alice: Person, romeo: Person) -> None:
    alice.until("Romeo", lambda: alice.contact(_CONTACT).show == "available")
    romeo.until("Alice", lambda: romeo.contact(_ALICE).show == "available")
    show(f"found by multicast DNS: {_CONTACT} in Converse.js, {_ALICE} in libpurple")
    alice.do("show", show="dnd")
    romeo.until("what Alice is like", lambda: romeo.contact(_ALICE).show == "away")
    romeo.do("show", show="away", status="under the balcony")
    alice.until("what Romeo is like", lambda: alice.contact(_CONTACT).show == "dnd")  # to libpurple both are one
    show("presence goes both ways")


def _talk(alice: Person, romeo: Person) -> None:
    for speaker, text in _TALK:
        if speaker == "romeo":
            romeo.do("say", to=_ALICE, text=text)
            alice.until(text, lambda: alice.events("message", text=text))  # noqa: B023 - it is called at once
        else:
            alice.do("say", to=_CONTACT, text=text)
            romeo.until(text, lambda: romeo.events("message", text=text, **{"from": _ALICE}))  # noqa: B023
        show(f"{speaker}: {text}")
    alice.until("the word in his name", lambda: alice.events("contact", jid=_CONTACT, called=f"{_ROMEO} (plain)"))
    senders = {told["from"].partition("/")[0] for told in alice.events("message")} - {f"alice@{A}"}
    if senders != {_CONTACT}:
        raise Failure(f"found messages from {senders}; wanted them from {_CONTACT}")


def _part(alice: Person, romeo: Person) -> None:
    """Her goodbye is heard, and all that her client has asked of Romeo was answered."""
    alice.do("leave")
    alice.until("the end", lambda: not alice.jid)
    romeo.until("Alice's goodbye", lambda: romeo.contact(_ALICE).show == "unavailable")
    if unanswered := [one["unanswered"] for one in alice.events("asked") if one["unanswered"]]:
        raise Failure(f"found requests that were never answered: {unanswered}")
    show("who leaves is gone at once")


SCENARIOS = [Scenario("demo: Converse.js and libpurple on one link", apart(_meet), (*NEEDS, *CONVERSE.needs))]


def main(picture: Path) -> int:
    """Play it, tell what is seen, and keep the picture; 0 if all went well."""
    folder = Path(tempfile.mkdtemp(prefix="xmppfed-demo-lan-"))
    played = outcome(lambda: SCENARIOS[0].play(folder))
    print("\n".join(played.seen))
    if played.verdict != "met":
        print(f"{played.verdict}: {played.text} (files: {folder})")
        return 1
    shutil.copy(folder / PICTURE, picture)
    shutil.rmtree(folder)
    print(f"What Alice has seen: {picture}")
    return 0


if __name__ == "__main__":
    from tests.interop import demo_lan  # what is played apart is a function of a module with a name

    sys.exit(demo_lan.main(Path(sys.argv[1])))
