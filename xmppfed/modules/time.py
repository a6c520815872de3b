"""Entity Time (XEP-0202)."""

from __future__ import annotations

from xmppfed.core.timestamps import timestamp
from xmppfed.extend import Element, Module, Options, Stanza, iq

__all__ = ["NS", "Time", "TimeOptions"]

NS = "urn:xmpp:time"


class TimeOptions(Options, frozen=True):
    """Tells the server's time (XEP-0202). The table may be empty: it switches the module on."""


class Time(Module):
    """Tells what the clock says in UTC; where the server stands is nobody's business (XEP-0202, 6)."""

    options = TimeOptions
    features = (NS,)

    @iq("get", f"{{{NS}}}time", target="server")
    def time(self, stanza: Stanza) -> Element:
        """The time, without a zone of our own."""
        time = Element("time", NS)
        time.add("tzo", text="+00:00")
        time.add("utc", text=timestamp(self.host.clock.seconds()))
        return time
