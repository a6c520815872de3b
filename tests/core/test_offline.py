"""Which messages are worth keeping."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core.offline import NS_CHAT_STATES, NS_HINTS, Fate, fate
from xmppfed.testing.patterns import stanza

BODY, STATE = "<body>hi</body>", f"<composing xmlns='{NS_CHAT_STATES}'/>"
STORE, NO_STORE, NO_COPY = (f"<{name} xmlns='{NS_HINTS}'/>" for name in ("store", "no-store", "no-copy"))
ID = "<origin-id xmlns='urn:xmpp:sid:0' id='x'/>"


class FateTests(SynchronousTestCase):
    """What becomes of a message."""

    def judged(self, wanted: Fate, *contents: str) -> None:
        """All of these meet the same fate."""
        for content in contents:
            self.assertIs(fate(stanza(f"<message type='chat'>{content}</message>")), wanted, content)

    def test_kept(self) -> None:
        """What says something: a body, or anything else that is no chat state, such as a receipt or something encrypted."""
        self.judged(Fate.KEPT, BODY, BODY + STATE, "<received xmlns='urn:xmpp:receipts' id='x'/>", f"<subject>x</subject>{ID}")

    def test_dropped(self) -> None:
        """Nothing at all, a chat state alone, and what only says something about such a message (XEP-0160, 3)."""
        self.judged(Fate.DROPPED, "", STATE, f"{STATE}<thread>x</thread>{NO_COPY}{ID}", STATE + NO_STORE)

    def test_refused(self) -> None:
        """What must not be stored (XEP-0334, 4.2): its sender hears that it did not arrive."""
        self.judged(Fate.REFUSED, BODY + NO_STORE)

    def test_asked_for(self) -> None:
        """What is asked to be stored is, whatever it says (XEP-0334, 4.4)."""
        self.judged(Fate.KEPT, STATE + STORE, BODY + STORE + NO_STORE)
