"""One file per XEP; modules stand on `xmppfed.extend` and `xmppfed.core` alone."""
