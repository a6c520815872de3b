"""The resources of clients that bind in SASL2."""

from __future__ import annotations

from tests.core.streams import USER_AGENT
from tests.services.raw import stream_error
from tests.services.sasl2 import BIND2, SASL2Case
from xmppfed.core.jid import JID
from xmppfed.core.sasl.plain import PlainClient

OTHER = "11111111-2222-4333-8444-555555555555"


class ResourcesOfClients(SASL2Case):
    """What address a session gets (XEP-0386, 3.2.1)."""

    def bound(self, tag: str = "balcony", device: str = USER_AGENT) -> str:
        """The resource for a tag and an installation."""
        bind = BIND2.replace("balcony", tag)
        return JID.parse(self.plain(bind, device=device).identity).resource

    def test_same_installation(self) -> None:
        """The same again, so that the session which it has left behind ends."""
        old = self.opened()
        first = self.attempt(old, PlainClient("juliet", "wherefore"), BIND2)
        second = self.plain(BIND2)
        self.assertEqual(first.identity, second.identity)
        self.assertEqual(stream_error(old.take()), "conflict")
        self.assertEqual(list(self.server.sessions.resources), [second.identity])

    def test_same_after_a_restart(self) -> None:
        """The secret that it is made with is one that storage keeps."""
        first = self.bound()
        clients = self.server.getServiceNamed("clients")
        clients.resources = type(clients.resources)(self.server.storage.accounts)
        self.assertEqual(first, self.bound())

    def test_others(self) -> None:
        """Another installation, another tag, and who does not say what it is: each has one of its own, side by side."""
        found = [self.bound(), self.bound(device=OTHER), self.bound("x"), self.bound(device=""), self.bound(device="")]
        self.assertEqual(len(set(found)), 5)
        self.assertEqual(len(self.server.sessions.resources), 5)

    def test_installation_is_not_shown(self) -> None:
        """The id of the installation cannot be read in it, and nobody guesses it (XEP-0386, 3.2.1)."""
        _, _, made = self.bound().rpartition("/")
        self.assertGreaterEqual(len(made), 16)
        self.assertNotIn(made[:4].lower(), USER_AGENT)

    def test_tags(self) -> None:
        """The tag stands in front, prepared; one that no address can hold is left out."""
        self.assertTrue(self.bound("My\u00a0Phone").startswith("My Phone/"))
        for tag in ("", "\u202e", "x" * 1024, "a&#9;b"):
            self.assertNotIn("/", self.bound(tag), tag)
