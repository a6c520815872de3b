"""Shows `twistd xmppfed` to Twisted; what it starts is imported only when it is asked for."""

from twisted.application.service import ServiceMaker

xmppfed = ServiceMaker("xmppfed", "xmppfed.tap", "An XMPP server that federates over WebSocket.", "xmppfed")

__all__ = ["xmppfed"]
