"""Shows to Twisted `twistd xmppfed` and our endpoints; what is behind a name is imported only when it is asked for."""

from twisted.application.service import ServiceMaker
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class _ClientEndpoint:
    """`prefix:...` in `clientFromString` is what the function makes of the rest."""

    def __init__(self, prefix, function):
        self.prefix = prefix
        self._function = function

    def parseStreamClient(self, reactor, *args, **kwargs):
        """Called by Twisted with the parts of the string."""
        return namedAny(self._function)(reactor, *args, **kwargs)


xmppfed = ServiceMaker("xmppfed", "xmppfed.tap", "An XMPP server that federates over WebSocket.", "xmppfed")
linklocal = _ClientEndpoint("linklocal", "xmppfed.e2e.endpoints.linklocal")

__all__ = ["linklocal", "xmppfed"]
