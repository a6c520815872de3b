"""Tests for `xmppfed.core.rest`."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.core import rest
from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.rest import Rest
from xmppfed.core.stanza import Kind, Stanza

STATE = "{http://jabber.org/protocol/chatstates}composing"
BODY = f"{{{NS_CLIENT}}}body"


def stanza(kind: Kind, sender: str = "a@b/c", type: str | None = None, children: Sequence[str] = ()) -> Stanza:
    """A stanza with empty children."""
    element = Element(kind, NS_CLIENT, {"from": sender, **({"type": type} if type else {})})
    for tag in children:
        namespace, _, name = tag[1:].partition("}")
        element.add(name, namespace)
    return Stanza.from_element(element)


class RestTests(SynchronousTestCase):
    """What waits, and what does not (XEP-0352, 3.2)."""

    def test_presence_waits(self) -> None:
        """The last of each address, in the order in which they came."""
        rest = Rest()
        first, other, last, gone = (
            stanza("presence"),
            stanza("presence", "x@b/c"),
            stanza("presence"),
            stanza("presence", "y@b/c", "unavailable"),
        )
        self.assertEqual([rest.take(each) for each in (first, other, last, gone)], [[]] * 4)
        self.assertEqual(rest.flush(), [other, last, gone])
        self.assertEqual(rest.flush(), [])

    def test_all_else_is_sent_behind_it(self) -> None:
        """Messages, requests, answers, and presence that asks or answers."""
        for urgent in (
            stanza("message", children=[BODY]),
            stanza("message"),
            stanza("iq", type="get"),
            stanza("presence", type="subscribe"),
            stanza("presence", type="error"),
        ):
            rest, waiting = Rest(), stanza("presence")
            rest.take(waiting)
            self.assertEqual(rest.take(urgent), [waiting, urgent])
            self.assertEqual(rest.take(urgent), [urgent])

    def test_chat_states_are_left_out(self) -> None:
        """Unless there is something else in the message, or it is an error; what belongs to them does not count."""
        thread, hint, id = f"{{{NS_CLIENT}}}thread", "{urn:xmpp:hints}no-store", "{urn:xmpp:sid:0}origin-id"
        for children, sent in (
            ([STATE], False),
            ([thread, STATE, hint, id], False),
            ([STATE, BODY], True),
            ([STATE, "{urn:x}x"], True),
            ([hint], True),
            ([thread], True),
        ):
            message = stanza("message", type="chat", children=children)
            self.assertEqual(Rest().take(message), [message] if sent else [], children)
        error = stanza("message", type="error", children=[STATE])
        self.assertEqual(Rest().take(error), [error])

    def test_bounded(self) -> None:
        """When too many addresses wait, all of it is sent."""
        self.patch(rest, "_MOST", 2)
        keeping = Rest()
        sent = [keeping.take(stanza("presence", f"{name}@b/c")) for name in "aabc"]
        self.assertEqual([len(each) for each in sent], [0, 0, 0, 3])
        self.assertEqual(keeping.flush(), [])

    @given(st.lists(st.tuples(st.sampled_from(["presence", "message"]), st.sampled_from("abc"), st.booleans())))
    def test_nothing_overtakes(self, steps: list[tuple[Kind, str, bool]]) -> None:
        """Whatever comes, in whatever order: every message is sent, what is sent keeps its order, and what is known at last
        of each address is the last that was said."""
        keeping, came, sent = Rest(), [], []
        for kind, name, flush in steps:
            came.append(stanza(kind, f"{name}@b/c"))
            sent += keeping.take(came[-1]) + (keeping.flush() if flush else [])
        sent += keeping.flush()
        self.assertEqual([each for each in came if each in sent], sent)
        self.assertEqual([each for each in sent if each.kind == "message"], [each for each in came if each.kind == "message"])
        last = [{each.attributes["from"]: each for each in those if each.kind == "presence"} for those in (came, sent)]
        self.assertEqual(last[0], last[1])
