"""The steps of a pairing as they travel on a stream (T6), in a namespace of our own: no specification has such a thing.

| step | stanza | carries, in base64 |
|---|---|---|
| 1 | `<iq type='set'><start xmlns='urn:xmpp:xmppfed:pairing:0'/></iq>` | the message of SPAKE2 |
| 2 | its result, `<response proof='...'/>` | the message of the other end, and its proof |
| 3 | `<iq type='set'><confirm/></iq>` | the proof of this end; an empty one says that step 2 proved nothing |
| | its result | nothing: both ends are paired |

Errors are those of stanzas, `not-authorized`, with a text for people.
"""

from __future__ import annotations

from base64 import b64decode, b64encode

from xmppfed.core.element import Element
from xmppfed.core.stanza import Stanza
from xmppfed.e2e.pairing import PairingFailed

__all__ = ["CONFIRM", "NS", "START", "STEPS", "read", "read_response", "write", "write_response"]

NS = "urn:xmpp:xmppfed:pairing:0"
START, CONFIRM = (f"{{{NS}}}start",), (f"{{{NS}}}confirm",)
"""The children of the first step and of the third."""
STEPS = (START, CONFIRM)


def write(step: str, data: bytes) -> Element:
    """What the first or the third step carries."""
    return Element(step, NS, {}, [b64encode(data).decode()])


def write_response(message: bytes, proof: bytes) -> Element:
    """What the second step carries."""
    return Element("response", NS, {"proof": b64encode(proof).decode()}, [b64encode(message).decode()])


def read(stanza: Stanza) -> bytes:
    """What the first or the third step has brought. Raises PairingFailed."""
    return _decoded(next(stanza.element.elements()).text)


def read_response(stanza: Stanza) -> tuple[bytes, bytes]:
    """What the second step has brought. Raises PairingFailed."""
    element = stanza.element.child(f"{{{NS}}}response")
    if element is None:
        raise PairingFailed("the peer answered with something else than the second step")
    return _decoded(element.text), _decoded(element.get("proof", ""))


def _decoded(text: str | None) -> bytes:
    try:
        return b64decode(text or "", validate=True)
    except ValueError:
        raise PairingFailed("the peer sent what is no base64") from None
