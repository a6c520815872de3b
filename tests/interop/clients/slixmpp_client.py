"""slixmpp over TCP: with STARTTLS (`xmpp://HOST:PORT`), direct TLS (`xmpps://`), or what SRV records say (no URL)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import slixmpp
from script import account, tell


class Person(slixmpp.ClientXMPP):
    """One session. Deeds are methods whose names begin with `do_`."""

    def __init__(self) -> None:
        super().__init__(f"{account['user']}@{account['domain']}/slixmpp", account["password"])
        self.ca_certs = Path(os.environ["INTEROP_AUTHORITY"])
        self.auto_authorize = self.auto_subscribe = None
        for plugin in ("xep_0030", "xep_0199"):
            self.register_plugin(plugin)
        for event, handler in (
            ("session_start", self._start),
            ("presence", self._presence),
            ("message", self._message),
            ("roster_update", self._roster),
            ("failed_all_auth", lambda _: tell("failed", error="no mechanism was accepted")),
            ("disconnected", lambda _: tell("offline")),
        ):
            self.add_event_handler(event, handler)

    async def do_login(self) -> None:
        url = urlsplit(account["url"])
        self.enable_direct_tls = url.scheme != "xmpp"
        self.enable_starttls = url.scheme != "xmpps"
        self.connect(url.hostname, url.port)

    async def do_ping(self) -> None:
        await self.plugin["xep_0199"].ping(account["domain"])
        tell("pong")

    async def do_say(self, to: str, text: str) -> None:
        self.send_message(mto=to, mbody=text, mtype="chat")

    async def do_show(self, show: str) -> None:
        self.send_presence(pshow=show)

    async def do_subscribe(self, to: str) -> None:
        self.send_presence_subscription(pto=to, ptype="subscribe")

    async def do_approve(self, to: str) -> None:
        self.send_presence_subscription(pto=to, ptype="subscribed")

    async def do_remove(self, jid: str) -> None:
        await self.update_roster(jid, subscription="remove")

    async def do_leave(self) -> None:
        await self.disconnect()

    async def _start(self, _: Any) -> None:
        await self.get_roster()
        self.send_presence()
        tell("online", jid=str(self.boundjid))

    def _presence(self, stanza: Any) -> None:
        # Its own type would be the show of who is available.
        tell("presence", **{"from": str(stanza["from"])}, type=stanza.xml.get("type"), show=stanza["show"] or None)

    def _message(self, stanza: Any) -> None:
        if stanza["body"]:
            tell("message", **{"from": str(stanza["from"])}, type=stanza["type"], text=stanza["body"])

    def _roster(self, iq: Any) -> None:
        for jid, item in iq["roster"]["items"].items():
            tell("contact", jid=str(jid), subscription=item["subscription"])


async def main() -> None:
    """Do what is asked, until stdin ends. Each login has a session of its own."""
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tell("ready")
    while line := await lines.readline():
        facts = json.loads(line)
        deed = facts.pop("deed")
        if deed == "login":
            person = Person()
        await getattr(person, f"do_{deed}")(**facts)


if __name__ == "__main__":
    asyncio.run(main())
