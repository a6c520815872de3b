"""The namespaces that more than one room needs; a feature's own namespace stands in its own file as `NS`."""

from __future__ import annotations

from xmppfed.errors import NS_SASL, NS_STANZA_ERRORS, NS_STREAM, NS_STREAM_ERRORS

__all__ = [
    "CONTENT_NAMESPACES",
    "NS_CLIENT",
    "NS_DIALBACK",
    "NS_FORWARD",
    "NS_FRAMING",
    "NS_FRAMING_SERVER",
    "NS_SASL",
    "NS_SERVER",
    "NS_STANZA_ERRORS",
    "NS_STREAM",
    "NS_STREAM_ERRORS",
    "NS_XML",
]

NS_CLIENT = "jabber:client"
NS_SERVER = "jabber:server"
NS_DIALBACK = "jabber:server:dialback"
NS_FORWARD = "urn:xmpp:forward:0"
NS_FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
NS_FRAMING_SERVER = "urn:ietf:params:xml:ns:xmpp-framing-server"
NS_XML = "http://www.w3.org/XML/1998/namespace"

# The namespaces that stanzas live in: one is exchanged for another where a stanza passes from stream to stream.
CONTENT_NAMESPACES = frozenset({NS_CLIENT, NS_SERVER, "jabber:component:accept"})
