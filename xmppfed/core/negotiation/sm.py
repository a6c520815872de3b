"""Stream management (XEP-0198): stanzas are counted and acknowledged, and a stream that broke goes on where it was.

What is counted stands in a `Ledger`, which the owner keeps between the streams of a session. The owner also says whether a
session may be resumed, and asks for acknowledgements when it wants some.
"""

from __future__ import annotations

from collections.abc import Callable

from xmppfed.core.element import Element
from xmppfed.core.events import Acknowledged, Managed, Resumed, ResumptionFailed
from xmppfed.core.ledger import NS, Ledger
from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.stream import State, Stream
from xmppfed.errors import NS_STANZA_ERRORS, StanzaCondition, StanzaError, StreamCondition, StreamError

__all__ = ["NS", "InitiatingSM", "ReceivingSM"]

_SM = f"{{{NS}}}sm"
_ENABLE, _RESUME = f"{{{NS}}}enable", f"{{{NS}}}resume"
_ENABLED, _RESUMED, _FAILED = f"{{{NS}}}enabled", f"{{{NS}}}resumed", f"{{{NS}}}failed"
_R, _A = f"{{{NS}}}r", f"{{{NS}}}a"

MAX_ID = 4000  # characters of an SM-ID (XEP-0198, 5)


class _Managing(Feature):
    """Answers and takes acknowledgements, whoever opened the stream."""

    def receive(self, stream: Stream, element: Element) -> None:
        """`<r/>` or `<a/>`."""
        if stream.ledger is None:
            raise _unexpected(f"Found <{element.name}/> without stream management.")
        if element.tag == _R:
            stream.write(stream.ledger.answer())
        else:
            stream.ledger.acknowledge(element.get("h"))
            stream.emit(Acknowledged())


class ReceivingSM(_Managing):
    """On a stream that came in: lets the peer ask for it."""

    tags = frozenset({_ENABLE, _RESUME, _R, _A})

    def __init__(
        self,
        make: Callable[[bool], Ledger],
        find: Callable[[str], Ledger],
        *,
        binds: bool = False,
        early: bool = False,
    ) -> None:
        """`make` makes a new ledger, with an id if it may and shall be resumed. `find` gives the one of a former stream, if
        what this stream has proved is good for it; it raises `StanzaError`. `binds` is for streams on which a resource is
        bound: `<resume/>` comes instead of that. `early` is for those without features behind authentication."""
        self._make = make
        self._find = find
        self._binds = binds
        self._early = early

    def offer(self, stream: Stream) -> str:
        """Offered when it can be asked for, and where no features follow before that (XEP-0220) at once."""
        return f"<sm xmlns='{NS}'/>" if stream.authenticated or self._early else ""

    def receive(self, stream: Stream, element: Element) -> None:
        """The peer asks for management, for a former session, or for an acknowledgement."""
        if element.tag == _ENABLE:
            self._enable(stream, element)
        elif element.tag == _RESUME:
            self._resume(stream, element)
        else:
            super().receive(stream, element)

    def _enable(self, stream: Stream, element: Element) -> None:
        if stream.ledger is not None:
            stream.write(_failed(StanzaCondition.UNEXPECTED_REQUEST))
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Stream management is enabled already (XEP-0198, 3).")
        if stream.state is not State.ESTABLISHED:
            stream.write(_failed(StanzaCondition.UNEXPECTED_REQUEST))
            return
        ledger = self._make(_true(element.get("resume")))
        resumable = f" id='{ledger.id}' resume='true'" if ledger.id else ""
        stream.write(f"<enabled xmlns='{NS}'{resumable}/>")
        stream.ledger = ledger
        stream.emit(Managed(ledger))

    def _resume(self, stream: Stream, element: Element) -> None:
        wanted = State.NEGOTIATING if self._binds else State.ESTABLISHED
        if stream.ledger is not None or stream.state is not wanted or not stream.authenticated:
            stream.write(_failed(StanzaCondition.UNEXPECTED_REQUEST))
            return
        try:
            ledger = self._find((element.get("previd") or "")[:MAX_ID])
        except StanzaError as error:
            stream.write(_failed(error.condition))
            return
        ledger.acknowledge(element.get("h"))
        stream.write(f"<resumed xmlns='{NS}' previd='{ledger.id}' h='{ledger.handled}'/>")
        stream.ledger = ledger
        stream.emit(Resumed(ledger))
        if self._binds:
            stream.establish()


class InitiatingSM(_Managing):
    """On a stream that we open: asks for the former session, or else for a new one. No stanza is sent before the answer: a
    session whose id is not known cannot be resumed, and what it had sent would come twice."""

    tags = frozenset({_ENABLED, _RESUMED, _FAILED, _R, _A})

    def __init__(self, make: Callable[[str], Ledger], former: Callable[[], Ledger | None]) -> None:
        """`make` makes the ledger of a new session by its id, which is empty where it cannot be resumed. `former` gives that
        of a session to resume, each once; what came of it is told by `Resumed` or `ResumptionFailed`."""
        self._make = make
        self._former = former
        self._asked = ""  # for which element
        self._resuming: Ledger | None = None

    def start(self, stream: Stream, features: Element) -> bool:
        """Ask where it is offered; it is our turn when we are authenticated."""
        if not stream.authenticated or self._asked or features.child(_SM) is None:
            return False
        self._ask(stream)
        return True

    def _ask(self, stream: Stream) -> None:
        self._resuming = self._former()
        if self._resuming is None:
            self._asked = _ENABLE
            stream.write(f"<enable xmlns='{NS}' resume='true'/>")
        else:
            self._asked = _RESUME
            resume = Element("resume", NS, {"h": str(self._resuming.handled), "previd": self._resuming.id})
            stream.write(resume.to_xml())

    def receive(self, stream: Stream, element: Element) -> None:
        """An answer, or what concerns acknowledgements."""
        if element.tag in (_R, _A):
            super().receive(stream, element)
            return
        if stream.state is not State.NEGOTIATING or element.tag not in _ANSWERS.get(self._asked, ()):
            raise _unexpected(f"Found <{element.name}/>, for which we did not ask.")
        if element.tag == _FAILED:
            self._refused(stream, element)
        else:
            self._agreed(stream, element)
            stream.advance()

    def _agreed(self, stream: Stream, element: Element) -> None:
        ledger = self._resuming
        if ledger is None:
            id = element.get("id") or ""
            resumable = _true(element.get("resume")) and len(id) <= MAX_ID
            stream.ledger = self._make(id if resumable else "")
            stream.emit(Managed(stream.ledger))
            return
        if element.get("previd") != ledger.id:
            raise StreamError(StreamCondition.POLICY_VIOLATION, "Found <resumed/> for another session than we asked for.")
        try:
            ledger.acknowledge(element.get("h"))
        except StreamError:  # it would be no better on the next stream
            stream.emit(ResumptionFailed(ledger, known=False, busy=False))
            raise
        stream.ledger = ledger
        stream.emit(Resumed(ledger))

    def _refused(self, stream: Stream, element: Element) -> None:
        """A session that cannot be resumed is followed by another, or a new one; without that the stream does what it can. What
        the peer had handled it may still know."""
        ledger, self._resuming = self._resuming, None
        if ledger is None:
            stream.advance()
            return
        if known := element.get("h") is not None:
            ledger.acknowledge(element.get("h"))
        busy = element.child(f"{{{NS_STANZA_ERRORS}}}{StanzaCondition.CONFLICT.value}") is not None
        stream.emit(ResumptionFailed(ledger, known=known, busy=busy))
        self._ask(stream)


_ANSWERS = {_ENABLE: (_ENABLED, _FAILED), _RESUME: (_RESUMED, _FAILED)}


def _failed(condition: StanzaCondition) -> str:
    return f"<failed xmlns='{NS}'><{condition.value} xmlns='{NS_STANZA_ERRORS}'/></failed>"


def _unexpected(text: str) -> StreamError:
    return StreamError(StreamCondition.UNSUPPORTED_STANZA_TYPE, text)


def _true(text: str | None) -> bool:
    return text in ("true", "1")
