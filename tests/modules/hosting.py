"""A server with one module, and the questions that the tests of modules ask it."""

from __future__ import annotations

from tests.routing.fakes import RecordingSession, Server, stanza
from xmppfed.core.jid import JID
from xmppfed.core.stanza import Stanza
from xmppfed.errors import StreamError
from xmppfed.extend import Host, Module, register
from xmppfed.services.registrar import Registrar
from xmppfed.storage.memory import MemoryStorage
from xmppfed.storage.threads import at_once
from xmppfed.timeouts import Timeouts

JULIET = "juliet@example.org/balcony"


class Hosting(Server):
    """`example.org` with modules, and Juliet on line."""

    def __init__(self, *modules: type[Module]) -> None:
        super().__init__()
        self.storage = MemoryStorage()
        host = Host(
            domains=("example.org",),
            route=self.router.route,
            features=self.handlers.features,
            forms=self.handlers.forms,
            resources=self.sessions.resources_of,
            resource=self.sessions.resources.get,
            is_connected=self.sessions.is_connected,
            hold=self.router.hold,
            subscribed=self.handlers.subscribed,
            watchers=self.handlers.watchers,
            contacts=self.handlers.contacts,
            blocks=self.handlers.blocks,
            accounts=Registrar(self.storage.accounts, at_once, self.handlers, self.sessions, self.end),
            records=self.storage.records,
            clock=self.clock,
            timeouts=Timeouts(),
        )
        self.modules = [module(host, module.options()) for module in modules]
        for module in self.modules:
            register(module, self.handlers)
        self.juliet: RecordingSession = self.session(JULIET)

    def end(self, account: JID, error: StreamError) -> None:
        """End the sessions of an account."""
        for session in self.sessions.of(account):
            session.end(error)
            self.sessions.remove(session)

    def ask(self, type: str, to: str | None, tag: str, **attributes: str) -> Stanza:
        """Juliet's request with one child, and the one answer to it."""
        request = stanza("iq", type, to, tag, sender=JULIET).element
        next(request.elements()).attributes.update(attributes)
        self.route(Stanza.from_element(request))
        [answer] = self.juliet.take()
        return answer
