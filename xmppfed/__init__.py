"""xmppfed: an XMPP server that federates where only HTTPS gets through."""

__version__ = "0.1.0"
