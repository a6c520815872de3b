"""The two peers that speak XEP-0468 in the field, frame by frame: PeerTube's livechat (Prosody), and xmpp-proxy."""

from __future__ import annotations

import base64
import re
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import unescape

from tests.interop.certificates import issue
from tests.interop.ours import Ours, Plan, ours
from tests.interop.scenario import Failure, Scenario, show
from tests.interop.wire import Closed, Listener, Wire

__all__ = ["SCENARIOS"]

OURS, TUBE, PROXY = "one.test", "tube.test", "proxy.test"
_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing-server"
_FEATURES = (
    "<stream:features xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:server'>"
    "<dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
)


@dataclass
class _Tube:
    """PeerTube's side: it made `key` for a stream of ours, and answers everybody who asks about it.

    Its dialect: an XML declaration and `<stream:stream>` in the first frame, no masks, `db` without a declaration.
    """

    listener: Listener
    server: Plan
    key: str = "tubekey"
    stream_id: str = ""

    def connect(self) -> Wire:
        """Open a stream to our server as the plugin does: no client certificate, no Origin."""
        wire = Wire.connect(self.server.port, OURS, self.server.authority, path="/xmpp-websocket-s2s", masked=False)
        wire.send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "
            f"xmlns:stream='http://etherx.jabber.org/streams' from='{TUBE}' to='{OURS}' version='1.0' xml:lang='en'>"
        )
        opening = _expect(wire, f"<open [^>]*{re.escape(_FRAMING)}")
        self.stream_id = _attribute(opening, "id")
        _expect(wire, "urn:xmpp:features:dialback")
        return wire

    def serve(self) -> Wire:
        """Take a stream of our server, up to its first message that is about dialback; answer the opening."""
        wire = self.listener.accept()
        opening = _expect(wire, f"<open [^>]*{re.escape(_FRAMING)}")
        if (_attribute(opening, "from"), _attribute(opening, "to")) != (OURS, TUBE):
            raise Failure(f"found the opening {opening}; wanted it from {OURS} to {TUBE}")
        wire.send(
            f"<open xmlns='{_FRAMING}' xmlns:db='jabber:server:dialback' id='tube1' from='{TUBE}' to='{OURS}' "
            "version='1.0' xml:lang='en'/>"
        )
        wire.send(_FEATURES)
        return wire

    def vouch(self) -> None:
        """Be the authoritative server for one question (XEP-0220, 2.2)."""
        wire = self.serve()
        question = _expect(wire, "verify ")
        asked = (_text(question), _attribute(question, "id"))
        verdict = "valid" if asked == (self.key, self.stream_id) else "invalid"
        wire.send(f"<db:verify from='{TUBE}' to='{OURS}' id='{asked[1]}' type='{verdict}'/>")
        _until_closed(wire)


def _peertube(folder: Path) -> None:
    with ExitStack() as stack:
        tube, server = _tube(stack, folder)
        bob = server.client("bob")
        wire = tube.connect()
        answer = _prove(tube, wire, tube.key)
        if _attribute(answer, "type") != "valid":
            raise Failure(f"found {answer}; wanted a valid result")
        show("an unmasked <?xml?><stream:stream> without certificate was believed by dialback")
        wire.send(
            f"<message xmlns='jabber:server' from='room@{TUBE}' to='bob@{OURS}' type='chat'><body>from the tube</body></message>"
        )
        bob.hear("from the tube")
        bob.say(f"room@{TUBE}", "to the tube")
        back = tube.serve()
        result = _expect(back, "result ")
        if not _confirm(tube, _text(result)):
            raise Failure("our server does not vouch for the key that it made itself")
        back.send(f"<db:result from='{TUBE}' to='{OURS}' type='valid'/>")
        _expect(back, "<body>to the tube</body>")
        show("the answer came over a stream of ours, which the tube believed by dialback")
        server.must_say(f"stream from {OURS} to {TUBE} is established by dialback")


def _forged_key(folder: Path) -> None:
    with ExitStack() as stack:
        tube, server = _tube(stack, folder)
        wire = tube.connect()
        answer = _prove(tube, wire, "a key that the tube never made")
        if _attribute(answer, "type") != "invalid":
            raise Failure(f"found {answer}; wanted an invalid result")
        server.must_say(f"dialback of {TUBE} to {OURS} failed")
        wire.send(f"<message xmlns='jabber:server' from='room@{TUBE}' to='bob@{OURS}'><body>forged</body></message>")
        _expect(wire, "stream:error")
        show("a forged key is invalid, and what is said all the same ends the stream")


def _tube(stack: ExitStack, folder: Path) -> tuple[_Tube, Ours]:
    certificates = issue(folder, OURS, TUBE)
    listener = Listener(certificates.hosts[TUBE])
    stack.callback(listener.close)
    route = f"wss://{TUBE}:{listener.port}/xmpp-websocket-s2s"
    plan = Plan(domain=OURS, certificate=certificates.hosts[OURS], authority=certificates.authority, routes={TUBE: route})
    return _Tube(listener, plan), stack.enter_context(ours(folder, plan, "bob"))


def _prove(tube: _Tube, wire: Wire, key: str) -> str:
    """Ask our server to believe the tube; the answer, while the tube answers our server's question in a thread."""
    vouching = threading.Thread(target=tube.vouch)
    vouching.start()
    wire.send(f"<db:result xmlns='jabber:server' to='{OURS}' from='{TUBE}'>{key}</db:result>")
    answer = _expect(wire, "result ")
    vouching.join()
    return answer


def _confirm(tube: _Tube, key: str) -> bool:
    """Ask our server, as the receiving server does, whether it made the key."""
    wire = tube.connect()
    wire.send(f"<db:verify xmlns='jabber:server' from='{TUBE}' to='{OURS}' id='tube1'>{key}</db:verify>")
    valid = _attribute(_expect(wire, "verify "), "type") == "valid"
    wire.send(f"<close xmlns='{_FRAMING}'/>")
    _until_closed(wire)
    return valid


def _xmpp_proxy(folder: Path) -> None:
    certificates = issue(folder, OURS, PROXY)
    plan = Plan(domain=OURS, certificate=certificates.hosts[OURS], authority=certificates.authority, trust="external")
    with ours(folder, plan, "bob") as server:
        bob = server.client("bob")
        wire = Wire.connect(
            plan.port,
            OURS,
            plan.authority,
            certificate=certificates.hosts[PROXY],
            origin=f"https://{OURS}:{plan.port}",
        )
        # Translated from TCP by replacing text, so that the namespace of `db` is one that does not exist.
        opening = (
            f"<open xmlns='{_FRAMING}' xmlns:db='{_FRAMING}:dialback' xmlns:stream='http://etherx.jabber.org/streams' "
            f"xml:lang='en' id='' version='1.0' from='{PROXY}' to='{OURS}'/>"
        )
        wire.send(opening)
        _expect(wire, "<open ")
        _expect(wire, "<mechanism>EXTERNAL</mechanism>")
        authzid = base64.b64encode(PROXY.encode()).decode()
        wire.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{authzid}</auth>")
        _expect(wire, "<success ")
        wire.send(opening)
        _expect(wire, "<open ")
        _expect(wire, "stream:features")
        wire.send(
            f"<message to='bob@{OURS}' from='eve@{PROXY}' type='chat' xmlns='jabber:server'><body>by proxy</body></message>"
        )
        bob.hear("by proxy")
        server.must_say(f"server {PROXY} authenticated by EXTERNAL")
        wire.send('<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" />')
        _expect(wire, "<close ")
        _until_closed(wire)
        show("the mangled <open/>, EXTERNAL, a message, and the <close/> of the wrong namespace were understood")


def _expect(wire: Wire, pattern: str) -> str:
    """The next message, which must have the pattern in it."""
    found = wire.receive()
    if re.search(pattern, found) is None:
        raise Failure(f"found {found}; wanted {pattern}")
    return found


def _attribute(text: str, name: str) -> str:
    found = re.search(rf"""\s{name}=(['"])(.*?)\1""", text)
    if found is None:
        raise Failure(f"found {text}; wanted the attribute {name}")
    return unescape(found[2], {"&apos;": "'", "&quot;": '"'})


def _text(element: str) -> str:
    found = re.search(r">([^<>]+)</", element)
    if found is None:
        raise Failure(f"found {element}; wanted text in it")
    return found[1]


def _until_closed(wire: Wire) -> None:
    """Take what comes until the end, and answer a closing stream."""
    try:
        while True:
            if "<close " in wire.receive():
                wire.send(f"<close xmlns='{_FRAMING}'/>")
    except (Closed, OSError):
        wire.close()


SCENARIOS = [
    Scenario("dialect: as PeerTube's livechat, dialback both ways", _peertube),
    Scenario("dialect: as PeerTube's livechat, with a forged key", _forged_key),
    Scenario("dialect: as xmpp-proxy, EXTERNAL", _xmpp_proxy),
]
