"""A server with one module, and the questions that the tests of modules ask it."""

from __future__ import annotations

from tests.routing.fakes import RecordingSession, Server, stanza
from xmppfed.core.stanza import Stanza
from xmppfed.extend import Host, Module, register
from xmppfed.storage.memory import MemoryStorage
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
            blocks=self.handlers.blocks,
            records=self.storage.records,
            clock=self.clock,
            timeouts=Timeouts(),
        )
        self.modules = [module(host, module.options()) for module in modules]
        for module in self.modules:
            register(module, self.handlers)
        self.juliet: RecordingSession = self.session(JULIET)

    def ask(self, type: str, to: str | None, tag: str, **attributes: str) -> Stanza:
        """Juliet's request with one child, and the one answer to it."""
        request = stanza("iq", type, to, tag, sender=JULIET).element
        next(request.elements()).attributes.update(attributes)
        self.route(Stanza.from_element(request))
        [answer] = self.juliet.take()
        return answer
