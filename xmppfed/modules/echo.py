"""Sends back what is said to a domain of this server: to see whether the way there and back is open."""

from __future__ import annotations

from xmppfed.extend import Module, Stanza, message

__all__ = ["Echo"]


class Echo(Module):
    """Answers messages to a domain with the same words. What another domain says is not answered: two of these would go on
    for ever."""

    @message("server")
    def echo(self, stanza: Stanza) -> Stanza | None:
        """The same letter in another envelope."""
        if stanza.sender is None or not stanza.sender.local:
            return None
        return stanza.with_attributes(sender=stanza.attributes["to"], to=stanza.attributes["from"])
