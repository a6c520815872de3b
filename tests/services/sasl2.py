"""A client that writes SASL2 by hand, on top of `Raw`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence

from tests.core.streams import USER_AGENT
from tests.services.raw import Raw, RawCase, condition
from xmppfed.core.element import Element
from xmppfed.core.sasl.hashed_token import HashedTokenClient
from xmppfed.core.sasl.plain import PlainClient
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.testing.federation import PASSWORD

__all__ = ["BIND2", "FAST", "NONE", "NS", "SASL2Case", "Tried", "text_of"]

NS = "urn:xmpp:sasl:2"
BIND2 = "<bind xmlns='urn:xmpp:bind:0'><tag>balcony</tag></bind>"
FAST = "<fast xmlns='urn:xmpp:fast:0'/>"
NONE = "HT-SHA-256-NONE"


class Tried:
    """What came of an attempt."""

    def __init__(self, came: Sequence[Element], challenges: int) -> None:
        self.came = came
        self.challenges = challenges
        self.first = came[0] if came else Element("nothing", "")

    @property
    def accepted(self) -> bool:
        """Whether it was a success."""
        return self.first.tag == f"{{{NS}}}success"

    @property
    def refusal(self) -> str:
        """The condition of the failure."""
        assert self.first.tag == f"{{{NS}}}failure", self.first.to_xml()
        return condition(self.first)

    @property
    def identity(self) -> str:
        """Who the client is by now."""
        return text_of(self.first, f"{{{NS}}}authorization-identifier")

    @property
    def token(self) -> str:
        """The token that it was given, or nothing."""
        token = self.first.child("{urn:xmpp:fast:0}token")
        return (token.get("token") or "") if token else ""

    @property
    def features(self) -> list[str]:
        """The stream features that followed the success."""
        assert self.came[1].name == "features", self.came[1].to_xml()
        return [feature.tag for feature in self.came[1].elements()]


def text_of(element: Element, tag: str) -> str:
    """The text of a child, or nothing."""
    child = element.child(tag)
    return child.text if child else ""


class SASL2Case(RawCase):
    """juliet has an account at capulet.example."""

    def opened(self, more: str = "") -> Raw:
        """A client that has seen what is offered."""
        raw = self.raw()
        raw.open(more=more)
        return raw

    def attempt(self, raw: Raw, mechanism: ClientMechanism, *more: str, device: str = USER_AGENT) -> Tried:
        """`<authenticate/>`, and what follows; the server's proof is judged."""
        initial = f"<initial-response>{b64encode(mechanism.start() or b'').decode()}</initial-response>"
        agent = f"<user-agent id='{device}'><software>test</software></user-agent>" if device else ""
        inside = "".join([initial, agent, *more])
        came = raw.send(f"<authenticate xmlns='{NS}' mechanism='{mechanism.name}'>{inside}</authenticate>")
        challenges = 0
        while came and came[0].name == "challenge":
            challenges += 1
            data = b64encode(mechanism.respond(b64decode(came[0].text))).decode()
            came = raw.send(f"<response xmlns='{NS}'>{data}</response>")
        tried = Tried(came, challenges)
        if tried.accepted:
            mechanism.finish(b64decode(text_of(tried.first, f"{{{NS}}}additional-data")))
        return tried

    def plain(self, *more: str, username: str = "juliet", password: str = PASSWORD, device: str = USER_AGENT) -> Tried:
        """A login by PLAIN, on a stream of its own."""
        return self.attempt(self.opened(), PlainClient(username, password), *more, device=device)

    def scram(self, raw: Raw, offer: Offer | None = None) -> Tried:
        """A login by SCRAM."""
        return self.attempt(raw, ScramClient("SCRAM-SHA-256", "juliet", PASSWORD, "n" * 20, {}, offer=offer))

    def request_token(self, mechanism: str = NONE, **options: str) -> str:
        """A login by password, for a token."""
        tried = self.plain(f"<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>", **options)
        assert tried.accepted, tried.first.to_xml()
        return tried.token

    def by_token(
        self,
        token: str,
        *more: str,
        fast: str = FAST,
        username: str = "juliet",
        name: str = NONE,
        device: str = USER_AGENT,
        raw: Raw | None = None,
    ) -> Tried:
        """A login by token."""
        raw = raw or self.opened()
        mechanism = HashedTokenClient(name, username, token, raw.bindings())
        return self.attempt(raw, mechanism, fast, *more, device=device)
