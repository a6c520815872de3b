"""Two of our servers that are told nothing of each other: DNS A records and host-meta on port 443 are all there is.

The standard ports are had in a network namespace of its own with only `lo`, with its own resolv.conf and hosts. There
this module runs itself again: `python -m tests.interop.discovery FOLDER`.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.interop.certificates import issue
from tests.interop.ours import Plan, ours
from tests.interop.processes import PATIENCE, running
from tests.interop.scenario import Failure, NotMet, Scenario, show

__all__ = ["SCENARIOS"]

A, B = "one.example.org", "two.example.org"
ADDRESSES = {A: "127.0.0.2", B: "127.0.0.3"}
_NAMESPACE = ["unshare", "-n", "-m"]
_PREPARE = """\
set -e
ip link set lo up
printf 'nameserver 127.0.0.1\\n' > "$1/resolv.conf"
printf '127.0.0.1 localhost\\n' > "$1/hosts"
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/hosts" /etc/hosts
shift
exec "$@"
"""


def _apart(folder: Path) -> None:
    """Play `_meet` in the namespace."""
    allowed = subprocess.run([*_NAMESPACE, "true"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if allowed.returncode != 0:
        raise NotMet(f"no network namespace of our own: {allowed.stderr.strip()}")
    again = [sys.executable, "-m", "tests.interop.discovery", str(folder)]
    command = [*_NAMESPACE, "sh", "-c", _PREPARE, "sh", str(folder), *again]
    played = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=5 * PATIENCE)
    for line in played.stdout.splitlines():
        show(line.strip())
    if played.returncode != 0:
        raise Failure(f"in the namespace: {played.stderr.strip()[-2000:]}")


def _meet(folder: Path) -> None:
    """What one publishes with its addresses (XEP-0487) and the other without (XEP-0156), each reads of the other."""
    certificates = issue(folder, A, B)
    records = [f"{name}={address}" for name, address in ADDRESSES.items()]
    stub = [sys.executable, "-m", "tests.interop.dns_stub", "127.0.0.1", "53", *records]
    with ExitStack() as stack:
        stack.enter_context(running("dns", stub, folder, [53]))
        a, b = (
            stack.enter_context(
                ours(
                    folder,
                    Plan(
                        domain=domain,
                        certificate=certificates.hosts[domain],
                        authority=certificates.authority,
                        address=ADDRESSES[domain],
                        port=443,
                        public=public,
                    ),
                    user,
                )
            )
            for domain, user, public in ((A, "alice", (ADDRESSES[A],)), (B, "bob", ()))
        )
        alice, bob = a.client("alice"), b.client("bob")
        alice.say(f"bob@{B}", "found by the XRD")
        bob.hear("found by the XRD")
        bob.say(f"alice@{A}", "found by the JSON")
        alice.hear("found by the JSON")
        for one, other in ((a, b), (b, a)):
            one.must_say(f"stream from {one.plan.domain} to {other.plan.domain} is established by EXTERNAL")
        show(f"{A} found {B} by DNS and host-meta; {B} found {A} by DNS and host-meta.json; both by EXTERNAL")
        alice.say("nobody@three.example.org", "to a domain that does not exist")
        error = alice.hear_error()
        if "the name does not exist" not in error or "remote-server-not-found" not in error:
            raise Failure(f"found {error!r}; wanted it to say that the name does not exist")
        show("a domain that does not exist is named as such")


SCENARIOS = [Scenario("discovery: by DNS and host-meta alone", _apart, ("unshare", "ip"))]

if __name__ == "__main__":
    _meet(Path(sys.argv[1]))
