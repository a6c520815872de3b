"""Two of our servers that are told nothing of each other: DNS A records and host-meta on port 443 are all there is."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.namespace import ADDRESSES, A, B, apart, domains_known
from tests.interop.ours import at_home, ours
from tests.interop.scenario import Failure, Scenario, show

__all__ = ["SCENARIOS"]


def _meet(folder: Path, document: str) -> None:
    """One publishes its addresses (XEP-0487), the other only `host-meta` (XEP-0156); who reads the document speaks first."""
    certificates = issue(folder, A, B)
    with ExitStack() as stack:
        stack.enter_context(domains_known(folder))
        a, b = (
            stack.enter_context(ours(folder, at_home(domain, certificates, public=public), user))
            for domain, user, public in ((A, "alice", (ADDRESSES[A],)), (B, "bob", ()))
        )
        alice, bob = a.client("alice"), b.client("bob")
        if document == "host-meta":
            alice.say(f"bob@{B}", "found by the XRD")
            bob.hear("found by the XRD")
            a.must_have_reached(b, "EXTERNAL")
        else:
            bob.say(f"alice@{A}", "found by the JSON")
            alice.hear("found by the JSON")
            b.must_have_reached(a, "EXTERNAL")
        alice.say("nobody@three.example.org", "to a domain that does not exist")
        error = alice.hear_error()
        if "the name does not exist" not in error or "remote-server-not-found" not in error:
            raise Failure(f"found {error!r}; wanted it to say that the name does not exist")
        show("a domain that does not exist is named as such")


SCENARIOS = [
    Scenario(f"discovery: by DNS and {document} alone", apart(_meet, document), ("unshare", "ip"))
    for document in ("host-meta", "host-meta.json")
]
