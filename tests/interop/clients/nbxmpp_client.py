"""nbxmpp, Gajim's library (Debian's python3-nbxmpp), over WebSocket; what its own modules make of stanzas is told."""

from __future__ import annotations

import json
import sys
from typing import Any

import gi
from script import account, tell

gi.require_version("Soup", "3.0")
from gi.repository import GLib  # noqa: E402
from nbxmpp.client import Client  # noqa: E402
from nbxmpp.const import ConnectionProtocol, ConnectionType, Mode  # noqa: E402
from nbxmpp.protocol import Message  # noqa: E402
from nbxmpp.structs import StanzaHandler  # noqa: E402

LOOP = GLib.MainLoop()


class Person:
    """One account. Deeds are methods."""

    def __init__(self) -> None:
        self._kept: list[Any] = []  # nbxmpp holds those who listen by weak references

    def login(self) -> None:
        self._client = client = Client(log_context=account["user"])
        client.set_domain(account["domain"])
        client.set_username(account["user"])
        client.set_password(account["password"])
        client.set_resource("nbxmpp")
        client.set_mode(Mode.CLIENT)
        client.set_protocols([ConnectionProtocol.WEBSOCKET])
        client.set_connection_types([ConnectionType.DIRECT_TLS])
        if account["url"]:
            client.set_custom_host(account["url"], ConnectionProtocol.WEBSOCKET, ConnectionType.DIRECT_TLS)
        for signal, listener in (
            ("connected", self._connected),
            ("connection-failed", self._failed),
            ("disconnected", self._disconnected),
        ):
            client.subscribe(signal, listener)
        client.register_handler(StanzaHandler(name="presence", callback=self._presence, priority=50))
        client.register_handler(StanzaHandler(name="message", callback=self._message, priority=50))
        client.register_handler(StanzaHandler(name="iq", callback=self._push, typ="set", ns="jabber:iq:roster", priority=50))
        client.connect()

    def ping(self) -> None:
        self._client.get_module("Ping").ping(account["domain"], callback=self._pong)

    def say(self, to: str, text: str) -> None:
        self._client.send_stanza(Message(to=to, body=text, typ="chat"))

    def show(self, show: str) -> None:
        self._client.get_module("BasePresence").send(show=show)

    def subscribe(self, to: str) -> None:
        self._client.get_module("BasePresence").subscribe(to)

    def approve(self, to: str) -> None:
        self._client.get_module("BasePresence").subscribed(to)

    def remove(self, jid: str) -> None:
        self._client.get_module("Roster").delete_item(jid)

    def leave(self) -> None:
        self._client.disconnect()

    def _connected(self, *_: Any) -> None:
        self._client.get_module("Roster").request_roster(callback=self._roster)

    def _roster(self, task: Any) -> None:
        for item in task.finish().items:
            tell("contact", jid=str(item.jid), subscription=item.subscription)
        self._client.get_module("BasePresence").send()
        tell("online", jid=str(self._client.get_bound_jid()))

    def _pong(self, task: Any) -> None:
        task.finish()
        tell("pong")

    def _failed(self, *_: Any) -> None:
        tell("failed", error=str(self._client.get_error()))
        LOOP.quit()

    def _disconnected(self, *_: Any) -> None:
        _, error, _ = self._client.get_error()
        if error in (None, "stream-end"):
            tell("offline")
        else:
            self._failed()

    def _presence(self, _client: Any, _stanza: Any, properties: Any) -> None:
        show = properties.show.value
        kind = properties.type.value
        tell("presence", **{"from": str(properties.jid)}, type=kind, show=None if show == "online" else show)

    def _message(self, _client: Any, _stanza: Any, properties: Any) -> None:
        if properties.body:
            tell("message", **{"from": str(properties.from_)}, type=properties.type.value, text=properties.body)

    def _push(self, _client: Any, _stanza: Any, properties: Any) -> None:
        if properties.roster:
            item = properties.roster.item
            tell("contact", jid=str(item.jid), subscription=item.subscription)


def main() -> None:
    """Do what is asked, until stdin ends."""
    person = Person()

    def asked(stream: Any, _condition: Any) -> bool:
        line = stream.readline()
        if not line:
            LOOP.quit()
            return False
        facts = json.loads(line)
        getattr(person, facts.pop("deed"))(**facts)
        return True

    GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, asked)
    tell("ready")
    LOOP.run()


if __name__ == "__main__":
    main()
