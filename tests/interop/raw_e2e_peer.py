"""A peer written from the specifications alone (XEP-0246, RFC 6120, XEP-0178), with nothing but the standard library.

    raw_e2e_peer.py call|answer|call-legacy|answer-legacy PORT OWN OTHER KEY THEIRS

One message goes each way, and the stream is closed. KEY is a file with its certificate and key, THEIRS has the certificate of
the other end, and nobody else is believed.
"""

from __future__ import annotations

import socket
import ssl
import sys
from typing import Any
from xml.parsers import expat

ROLE, PORT, OWN, OTHER, KEY, THEIRS = sys.argv[1:]
LEGACY, CALLS = ROLE.endswith("legacy"), ROLE.startswith("call")
TLS, SASL = "urn:ietf:params:xml:ns:xmpp-tls", "urn:ietf:params:xml:ns:xmpp-sasl"
HEADER = f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='{OWN}' to='{OTHER}'"
HEADER += ">" if LEGACY else " version='1.0'>"


class Stream:
    """What is said on one stream: its header, its elements, its end; each is a name, attributes, text and children."""

    def __init__(self, wire: socket.socket) -> None:
        self.wire = wire
        self.open: list[Any] = []
        self.said: list[Any] = []
        parser = self.parser = expat.ParserCreate("UTF-8", " ")
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = self.start, self.end, self.text

    # What expat tells.

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.open.append([name.split(" ")[-1], attributes, "", []])
        if len(self.open) == 1:
            self.said.append(self.open[0])

    def text(self, data: str) -> None:
        self.open[-1][2] += data

    def end(self, name: str) -> None:
        done = self.open.pop()
        if self.open:
            (self.said if len(self.open) == 1 else self.open[-1][3]).append(done)
        else:
            self.said.append(["end", {}, "", []])

    # What the peer does.

    def hear(self, *wanted: str) -> Any:
        """The next of these things."""
        while not self.said:
            data = self.wire.recv(4096)
            assert data, "the connection ended before the stream did"
            self.parser.Parse(data)
        found = self.said.pop(0)
        assert found[0] in wanted, f"found {found}, wanted {wanted}"
        return found

    def say(self, *pieces: str) -> None:
        """Say it at once."""
        self.wire.sendall("".join(pieces).encode())


def tls(wire: socket.socket) -> ssl.SSLSocket:
    """TLS on this connection, with a certificate of each end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT if CALLS else ssl.PROTOCOL_TLS_SERVER)
    context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
    context.load_cert_chain(KEY)
    context.load_verify_locations(THEIRS)
    return context.wrap_socket(wire, server_side=not CALLS)


def version(wire: socket.socket) -> str:
    """Of TLS."""
    return (wire.version() or "") if isinstance(wire, ssl.SSLSocket) else "no TLS"


def begin(wire: socket.socket, *features: str) -> tuple[Stream, list[str]]:
    """The headers, and the features of whoever was called."""
    stream = Stream(wire)
    if CALLS:
        stream.say(HEADER)
        stream.hear("stream")
        return stream, [] if LEGACY else [child[0] for child in stream.hear("features")[3]]
    stream.hear("stream")
    stream.say(HEADER, "" if LEGACY else f"<stream:features>{''.join(features)}</stream:features>")
    return stream, []


def call(wire: socket.socket) -> None:
    """The end that opens the stream."""
    stream, features = begin(wire)
    if not LEGACY:
        assert "starttls" in features, features
        stream.say(f"<starttls xmlns='{TLS}'/>")
        stream.hear("proceed")
        wire = tls(wire)
        stream, features = begin(wire)
        assert "mechanisms" in features, features
        stream.say(f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>")
        stream.hear("success")
        stream, features = begin(wire)
    stream.say("<message type='chat'><body>hello from a raw socket</body></message>")
    print("heard", stream.hear("message")[3][0][2], version(wire))
    stream.say("</stream:stream>")
    stream.hear("end")


def answer(wire: socket.socket) -> None:
    """The other end."""
    stream, _ = begin(wire, f"<starttls xmlns='{TLS}'><required/></starttls>")
    if not LEGACY:
        stream.hear("starttls")
        stream.say(f"<proceed xmlns='{TLS}'/>")
        wire = tls(wire)
        stream, _ = begin(wire, f"<mechanisms xmlns='{SASL}'><mechanism>EXTERNAL</mechanism></mechanisms>")
        assert stream.hear("auth")[1]["mechanism"] == "EXTERNAL"
        stream.say(f"<success xmlns='{SASL}'/>")
        stream, _ = begin(wire)
    print("heard", stream.hear("message")[3][0][2], version(wire), flush=True)
    stream.say("<message><body>hello from a raw socket</body></message>")
    stream.hear("end")
    stream.say("</stream:stream>")


if CALLS:
    call(socket.create_connection(("127.0.0.1", int(PORT)), 60))
else:
    with socket.create_server(("127.0.0.1", int(PORT))) as port:
        print("listening", flush=True)
        answer(port.accept()[0])
print("closed", flush=True)
