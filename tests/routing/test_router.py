"""Where stanzas go (RFC 6120, 10; RFC 6121, 8)."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import RecordingSession, Server, available, condition, stanza
from xmppfed.core.element import Element
from xmppfed.core.events import Pair
from xmppfed.core.namespaces import NS_CLIENT
from xmppfed.core.stanza import Kind, Stanza
from xmppfed.errors import StanzaCondition, StanzaError
from xmppfed.routing.sessions import Resource

BARE = "juliet@example.org"
BALCONY, CHAMBER = f"{BARE}/balcony", f"{BARE}/chamber"
ROMEO = "romeo@example.org/orchard"
QUERY = "{urn:example}query"


class Town(Server):
    """Juliet's server, with Romeo on it: whatever is answered to him is in `romeo`."""

    def __init__(self) -> None:
        super().__init__()
        self.romeo = self.session(ROMEO)

    def say(self, kind: Kind, type: str | None, to: str | None, *children: str, sender: str = ROMEO) -> list[Stanza]:
        """Route a stanza from Romeo; what comes back to him."""
        self.route(stanza(kind, type, to, *children, sender=sender))
        return self.romeo.take()

    def refusal(self, kind: Kind, type: str | None, to: str | None, *children: str) -> str:
        """The condition of the one error that comes back, or nothing."""
        answers = self.say(kind, type, to, *children)
        assert len(answers) <= 1, answers
        return condition(answers[0]) if answers else ""


def to_remote(server: Server) -> list[Stanza]:
    """What reaches example.net from now on."""
    sent: list[Stanza] = []

    def take(stanza: Stanza, sendings: int = 0) -> bool:
        sent.append(stanza)
        return True

    server.remotes.established(Pair("example.org", "example.net"), take)
    return sent


class FullAddressTests(SynchronousTestCase):
    """To a full address (RFC 6121, 8.5.3)."""

    def test_a_connected_resource_gets_it(self) -> None:
        """Messages, iqs and presence for a session reach it as they are, available or not, and nobody else."""
        kinds: list[tuple[Kind, str | None]] = [
            ("message", "chat"),
            ("message", None),
            ("message", "headline"),
            ("message", "groupchat"),
            ("message", "error"),
            ("message", "unheard-of"),
            ("iq", "get"),
            ("iq", "set"),
            ("iq", "result"),
            ("iq", "error"),
            ("presence", None),
            ("presence", "unavailable"),
            ("presence", "error"),
        ]
        for kind, type in kinds:
            town = Town()
            balcony, chamber = town.session(BALCONY), town.session(CHAMBER, 1)
            sent = stanza(kind, type, BALCONY, sender=ROMEO)
            town.route(sent)
            self.assertEqual((balcony.take(), chamber.take(), town.romeo.take()), ([sent], [], []), (kind, type))

    def test_another_spelling_of_the_address_finds_it(self) -> None:
        """Addresses are compared prepared (RFC 7622); the stanza goes on with the spelling it came with."""
        town = Town()
        balcony = town.session(BALCONY)
        self.assertEqual(town.say("message", "chat", "JULIET@Example.ORG/balcony"), [])
        self.assertEqual([each.attributes["to"] for each in balcony.take()], ["JULIET@Example.ORG/balcony"])

    def test_absent_message_goes_by_its_type(self) -> None:
        """Without a session: chat goes as to the bare address, headline and error nowhere, all else back (8.5.3.2.1)."""
        for type, reached, refusal in (
            (None, False, "service-unavailable"),
            ("normal", False, "service-unavailable"),
            ("unheard-of", False, "service-unavailable"),
            ("chat", True, ""),
            ("headline", False, ""),
            ("error", False, ""),
            ("groupchat", False, "service-unavailable"),
        ):
            town = Town()
            chamber = town.session(CHAMBER, 1)
            self.assertEqual(town.refusal("message", type, BALCONY), refusal, type)
            self.assertEqual(bool(chamber.take()), reached, type)

    def test_absent_iq_is_refused(self) -> None:
        """Without a session a request is answered with service-unavailable, and an answer is dropped."""
        for type, refusal in (("get", "service-unavailable"), ("set", "service-unavailable"), ("result", ""), ("error", "")):
            town = Town()
            chamber = town.session(CHAMBER, 1)
            self.assertEqual(town.refusal("iq", type, BALCONY, QUERY), refusal, type)
            self.assertEqual(chamber.take(), [])

    def test_absent_presence_is_ignored(self) -> None:
        """Presence for a resource that is not there reaches nobody and gets no answer."""
        for type in (None, "unavailable", "error", "unheard-of"):
            town = Town()
            chamber = town.session(CHAMBER, 1)
            self.assertEqual((town.say("presence", type, BALCONY), chamber.take()), ([], []), type)

    def test_presence_of_unknown_type_tells_nothing(self) -> None:
        """With a session it is ignored as without: an error would tell that the session exists."""
        town = Town()
        balcony = town.session(BALCONY, 1)
        self.assertEqual((town.say("presence", "unheard-of", BALCONY), balcony.take()), ([], []))


class BareAddressTests(SynchronousTestCase):
    """To the bare address of an account (RFC 6121, 8.5.2)."""

    def reached(self, type: str | None, priorities: dict[str, int | None]) -> tuple[set[str], str]:
        """Which resources a message reaches, and the refusal."""
        town = Town()
        sessions = {name: town.session(f"{BARE}/{name}", priority) for name, priority in priorities.items()}
        refusal = town.refusal("message", type, BARE)
        return {name for name, session in sessions.items() if session.take()}, refusal

    def test_chat_reaches_the_most_available(self) -> None:
        """Normal and chat messages, and those of unknown type, reach all resources of the highest priority."""
        for type in (None, "normal", "chat", "unheard-of"):
            self.assertEqual(self.reached(type, {"a": 5, "b": 5, "c": 1, "d": -1, "e": None}), ({"a", "b"}, ""))

    def test_headline_reaches_all_that_listen(self) -> None:
        """Headlines reach every resource whose priority is not negative; with none they are dropped."""
        self.assertEqual(self.reached("headline", {"a": 5, "b": 0, "c": -1, "d": None}), ({"a", "b"}, ""))
        self.assertEqual(self.reached("headline", {"c": -1}), (set(), ""))

    def test_groupchat_is_refused(self) -> None:
        """Nobody joins a room with a bare address (RFC 6121, 8.5.2.1.1)."""
        self.assertEqual(self.reached("groupchat", {"a": 5}), (set(), "service-unavailable"))

    def test_error_is_dropped(self) -> None:
        """An error to a bare address reaches nobody and is not answered."""
        self.assertEqual(self.reached("error", {"a": 5}), (set(), ""))

    def test_nobody_available(self) -> None:
        """With nobody available, or only negative priorities, a message returns with service-unavailable."""
        nobody: list[dict[str, int | None]] = [{}, {"a": None}, {"a": -1}]
        for priorities in nobody:
            self.assertEqual(self.reached("chat", priorities), (set(), "service-unavailable"))

    def test_undeliverable_messages_go_to_their_module(self) -> None:
        """A module may take what cannot be delivered; then nothing returns to the sender."""
        town = Town()
        taken: list[Stanza] = []
        town.handlers.add(("message", "undeliverable"), taken.append, "offline")
        for to in (BARE, BALCONY):
            self.assertEqual(town.say("message", "chat", to), [])
        self.assertEqual([each.attributes["to"] for each in taken], [BARE, BALCONY])
        town.session(CHAMBER, 0)
        town.say("message", "chat", BARE)
        self.assertEqual(len(taken), 2)

    def test_presence_reaches_the_available(self) -> None:
        """Presence reaches all available resources, negative ones too; with none it is ignored (8.5.2.1.2)."""
        for type in (None, "unavailable"):
            town = Town()
            sessions = [town.session(f"{BARE}/{name}", priority) for name, priority in (("a", 5), ("b", -1), ("c", None))]
            self.assertEqual(town.say("presence", type, BARE), [])
            self.assertEqual([len(session.take()) for session in sessions], [1, 1, 0])
            self.assertEqual(town.say("presence", type, "nobody@example.org"), [])

    def test_iq_asks_the_account(self) -> None:
        """The server answers requests on behalf of the account (8.5.2.1.3); its sessions do not see them."""
        town = Town()
        balcony = town.session(BALCONY, 1)
        town.handlers.add(("get", QUERY, "account"), lambda _: Element("query", "urn:example"), "m")
        [answer] = town.say("iq", "get", BARE, QUERY)
        self.assertEqual((answer.type, answer.id, answer.attributes["from"], answer.children), ("result", "1", BARE, (QUERY,)))
        self.assertEqual(balcony.take(), [])

    def test_iq_that_nobody_handles(self) -> None:
        """Requests of another type, child or target are answered with service-unavailable, answers are dropped."""
        town = Town()
        town.handlers.add(("get", QUERY, "account"), lambda _: None, "m")
        self.assertEqual(town.refusal("iq", "set", BARE, QUERY), "service-unavailable")
        self.assertEqual(town.refusal("iq", "get", BARE, "{urn:other}query"), "service-unavailable")
        self.assertEqual(town.refusal("iq", "get", "example.org", QUERY), "service-unavailable")
        self.assertEqual(town.refusal("iq", "result", BARE, QUERY), "")
        self.assertEqual(town.refusal("iq", "error", BARE, QUERY), "")


class MalformedRequestTests(SynchronousTestCase):
    """An iq that breaks RFC 6120, 8.2.3."""

    def test_one_child(self) -> None:
        """A request to account or server has exactly one child."""
        for to in (BARE, "example.org"):
            for children in ((), (QUERY, QUERY)):
                self.assertEqual(Town().refusal("iq", "get", to, *children), "bad-request")

    def test_known_type(self) -> None:
        """An iq without one of the four types is answered with bad-request, wherever it goes to."""
        for to in (BARE, BALCONY, ROMEO, "example.org", None):
            for type in (None, "unheard-of"):
                answers = Town().say("iq", type, to, QUERY)
                self.assertEqual([condition(answer) for answer in answers], ["bad-request"], (to, type))


class ServerTests(SynchronousTestCase):
    """To a domain of ours (RFC 6121, 8.3 and 8.4)."""

    def test_iq_asks_the_server(self) -> None:
        """With and without a resource, the modules of the server answer; None is an empty result."""
        town = Town()
        town.handlers.add(("set", QUERY, "server"), lambda _: None, "m")
        for to in ("example.org", "example.org/resource"):
            [answer] = town.say("iq", "set", to, QUERY)
            self.assertEqual((answer.type, answer.attributes["from"], answer.children), ("result", to, ()))

    def test_unknown_iq(self) -> None:
        """What no module knows is refused at once; answers are dropped."""
        for type, refusal in (("get", "service-unavailable"), ("set", "service-unavailable"), ("result", ""), ("error", "")):
            self.assertEqual(Town().refusal("iq", type, "example.org", QUERY), refusal)

    def test_messages(self) -> None:
        """A message to the server goes to the module that takes them, else it is refused; an error never is."""
        town = Town()
        self.assertEqual(town.refusal("message", "chat", "example.org"), "service-unavailable")
        self.assertEqual(town.refusal("message", "error", "example.org"), "")
        taken: list[Stanza] = []
        town.handlers.add(("message", "server"), taken.append, "motd")
        self.assertEqual((town.say("message", "chat", "example.org"), len(taken)), ([], 1))

    def test_presence_is_ignored(self) -> None:
        """The server has no presence of its own."""
        for type in (None, "unavailable", "subscribe", "probe"):
            self.assertEqual(Town().say("presence", type, "example.org"), [])


class ElsewhereTests(SynchronousTestCase):
    """To other domains."""

    def test_to_its_remote(self) -> None:
        """What is for a domain that is not ours goes there, whatever its kind; a subdomain is another domain."""
        town = Town()
        sent = to_remote(town)
        kinds: list[tuple[Kind, str]] = [("message", "error"), ("iq", "result"), ("presence", "subscribe")]
        for kind, type in kinds:
            town.say(kind, type, "mercutio@example.net")
        self.assertEqual([each.kind for each in sent], ["message", "iq", "presence"])
        town.say("message", "chat", "sub.example.org")
        self.assertEqual(town.connecting, [Pair("example.org", "sub.example.org")])

    def test_what_cannot_be_sent_returns(self) -> None:
        """When no stream can be made, the sender gets the reason; errors and answers get nothing."""
        town = Town()
        unanswered: list[tuple[Kind, str]] = [("message", "error"), ("iq", "result"), ("iq", "error"), ("presence", "error")]
        town.say("message", "chat", "mercutio@example.net")
        for kind, type in unanswered:
            town.say(kind, type, "mercutio@example.net")
        error = StanzaError(StanzaCondition.REMOTE_SERVER_NOT_FOUND, text="no such name")
        town.remotes.failed(Pair("example.org", "example.net"), error)
        [answer] = town.romeo.take()
        self.assertEqual((condition(answer), answer.kind), ("remote-server-not-found", "message"))
        self.assertIn("no such name", answer.letter.decode())
        self.assertEqual((answer.attributes["from"], answer.attributes["to"]), ("mercutio@example.net", ROMEO))

    def test_answers_go_back_there(self) -> None:
        """A remote sender is answered through the stream to its domain."""
        town = Town()
        sent = to_remote(town)
        town.route(stanza("iq", "get", "example.org", QUERY))
        self.assertEqual([condition(each) for each in sent], ["service-unavailable"])


class HomeTests(SynchronousTestCase):
    """Without `to` (RFC 6120, 10.3)."""

    def test_message_goes_to_the_own_account(self) -> None:
        """A message without an address is for the sender's bare address, and reaches its most available resource."""
        town = Town()
        balcony, chamber = town.session(BALCONY), town.session(CHAMBER, 3)
        town.say("message", None, None, sender=BALCONY)
        self.assertEqual((balcony.take(), len(chamber.take())), ([], 1))

    def test_iq_asks_the_own_account(self) -> None:
        """The answer comes without `from`, as the question had no `to`."""
        town = Town()
        town.handlers.add(("get", QUERY, "account"), lambda _: None, "m")
        [answer] = town.say("iq", "get", None, QUERY)
        self.assertEqual(answer.attributes, {"to": ROMEO, "id": "1", "type": "result"})

    def test_a_stanza_from_nowhere_to_nowhere(self) -> None:
        """Emitting one is a fault of ours: it is logged, and routing goes on."""
        town = Town()
        town.route(Stanza("message", NS_CLIENT, {}))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(town.refusal("iq", "get", "example.org", QUERY), "service-unavailable")


class OwnPresenceTests(SynchronousTestCase):
    """A resource says whether it is there (RFC 6121, 4)."""

    def test_all_available_resources_learn_of_it(self) -> None:
        """Presence goes to every available resource of the account and to the sender, addressed to the account."""
        town = Town()
        balcony, chamber, silent = town.session(BALCONY), town.session(CHAMBER, 1), town.session(f"{BARE}/silent")
        town.route(available(BALCONY, 2))
        [told], [echo], nothing = chamber.take(), balcony.take()[:1], silent.take()
        self.assertEqual((told.attributes, nothing), ({"from": BALCONY, "to": BARE}, []))
        self.assertIs(echo, told)

    def test_a_newly_available_resource_learns_of_the_others(self) -> None:
        """With its first presence it gets the last presence of each other available one; with the next it does not."""
        town = Town()
        town.session(CHAMBER, 1)
        town.session(f"{BARE}/silent")
        balcony = town.session(BALCONY)
        town.route(available(BALCONY))
        self.assertEqual([each.attributes["from"] for each in balcony.take()], [BALCONY, CHAMBER])
        town.route(available(BALCONY, 1))
        self.assertEqual([each.attributes["from"] for each in balcony.take()], [BALCONY])

    def test_priority_decides_from_then_on(self) -> None:
        """A changed priority changes who is the most available; without the element it is 0."""
        town = Town()
        balcony, chamber = town.session(BALCONY, 5), town.session(CHAMBER, 1)
        town.route(stanza("presence", None, None, sender=BALCONY))
        balcony.take(), chamber.take()
        town.say("message", "chat", BARE)
        self.assertEqual((balcony.take(), len(chamber.take())), ([], 1))

    def test_bounds_of_the_priority(self) -> None:
        """A priority is a whole number from -128 to 127, with white space around it at most (RFC 6121, 4.7.2.3)."""
        for text, priority in (("-128", -128), ("127", 127), ("+5", 5), (" 7\n", 7), ("007", 7), ("-0", 0)):
            server = Server()
            server.session(BALCONY)
            server.route(available(BALCONY, text))
            self.assertEqual(server.sessions.resources[BALCONY].priority, priority)
            self.assertIsNotNone(server.sessions.resources[BALCONY].presence)

    def test_bad_priorities(self) -> None:
        """Anything else is answered with bad-request to the sender alone, and changes nothing."""
        for text in ("-129", "128", "1.5", "", "x", "1_0", "٣", "0000", "1 2", "\N{NO-BREAK SPACE}1"):
            server = Server()
            balcony, chamber = server.session(BALCONY, 3), server.session(CHAMBER, 1)
            server.route(available(BALCONY, text))
            [answer] = balcony.take()
            self.assertEqual((condition(answer), answer.kind, chamber.take()), ("bad-request", "presence", []), text)
            self.assertEqual(server.sessions.resources[BALCONY].priority, 3)

    def test_unavailable(self) -> None:
        """All available resources learn of it, the sender too; afterwards it gets no more messages to the account."""
        town = Town()
        balcony, chamber = town.session(BALCONY, 5), town.session(CHAMBER, 1)
        town.route(available(BALCONY, type="unavailable"))
        self.assertEqual([session.take()[0].type for session in (balcony, chamber)], ["unavailable", "unavailable"])
        town.say("message", "chat", BARE)
        self.assertEqual((balcony.take(), len(chamber.take())), ([], 1))

    def test_other_types_want_an_address(self) -> None:
        """A subscription to nobody, or an unknown type, is answered with bad-request; an error is not."""
        for type, refusal in (("subscribe", "bad-request"), ("available", "bad-request"), ("error", "")):
            self.assertEqual(Town().refusal("presence", type, None), refusal)

    def test_presence_of_a_session_that_is_gone(self) -> None:
        """What waits for its turn while the session ends changes nothing and tells nobody."""
        town = Town()
        chamber = town.session(CHAMBER, 1)
        town.route(available(BALCONY))
        self.assertEqual(chamber.take(), [])

    def test_modules_look_on(self) -> None:
        """Observers see each change, once it is made, also the end of a session; a refused one they do not see."""
        server = Server()
        seen: list[tuple[str | None, int]] = []

        def look(stanza: Stanza, resource: Resource) -> None:
            self.assertEqual(resource.full, BALCONY)
            seen.append((stanza.type, len(server.sessions.accounts[BARE].available)))

        server.session(CHAMBER, 1)
        balcony = server.session(BALCONY)
        server.handlers.add(("presence", "own"), look, "roster")
        server.route(available(BALCONY))
        server.route(available(BALCONY, "bad"))
        server.route(available(BALCONY, type="unavailable"))
        server.route(available(BALCONY))
        server.sessions.remove(balcony)
        self.assertEqual(seen, [(None, 2), ("unavailable", 1), (None, 2), ("unavailable", 1)])


class SubscriptionTests(SynchronousTestCase):
    """Subscription requests and probes (RFC 6121, 3)."""

    def test_a_module_takes_them(self) -> None:
        """They go to the module, not to sessions, to a bare or a full address, present or absent."""
        town = Town()
        balcony = town.session(BALCONY, 1)
        taken: list[Stanza] = []
        town.handlers.add(("presence", "subscription"), taken.append, "roster")
        for type in ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"):
            for to in (BARE, BALCONY, CHAMBER, "nobody@example.org"):
                town.say("presence", type, to)
        self.assertEqual((len(taken), balcony.take()), (20, []))

    def test_what_came_back(self) -> None:
        """Presence that the server sent for an account, and that came back, goes to its module; without one it is ignored.
        Sessions do not see it."""
        town = Town()
        balcony = town.session(BALCONY, 1)
        self.assertEqual(town.say("presence", "error", BARE), [])
        taken: list[Stanza] = []
        town.handlers.add(("presence", "failed"), taken.append, "roster")
        town.say("presence", "error", BARE)
        self.assertEqual(([each.type for each in taken], balcony.take()), (["error"], []))

    def test_nobody_there(self) -> None:
        """Without such a module they are ignored."""
        self.assertEqual(Town().say("presence", "subscribe", BARE), [])


class TurnTests(SynchronousTestCase):
    """One stanza after another."""

    def test_route_does_not_recurse(self) -> None:
        """What is routed inside a delivery goes after it, in order, before the outermost call returns."""
        server = Server()
        steps: list[str] = []

        class Talkative(RecordingSession):
            def deliver(self, stanza: Stanza) -> None:
                steps.append(f"begin {stanza.id}")
                if stanza.id == "1":
                    for id in ("2", "3"):
                        server.route(stanza.with_attributes(id=id))
                steps.append(f"end {stanza.id}")

        server.sessions.add(Talkative(BALCONY))
        server.route(stanza("message", "chat", BALCONY))
        self.assertEqual(steps, ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"])

    def test_a_long_chain_needs_no_stack(self) -> None:
        """Ten thousand stanzas that each cause the next one are routed in one turn."""
        server = Server()
        left = [10_000]

        def again(request: Stanza) -> Stanza | None:
            left[0] -= 1
            return request if left[0] else None

        server.handlers.add(("message", "server"), again, "loop")
        server.route(stanza("message", None, "example.org"))
        self.assertEqual(left, [0])

    def test_a_broken_session_does_not_stop_the_turn(self) -> None:
        """A fault in a delivery is logged, the sender is answered, and what waits in the turn is routed."""
        town = Town()

        class Broken(RecordingSession):
            def deliver(self, stanza: Stanza) -> None:
                town.route(Stanza("message", NS_CLIENT, {"from": BALCONY, "to": ROMEO, "id": "waiting"}))
                raise RuntimeError("secret detail")

        town.sessions.add(Broken(BALCONY))
        answers = town.say("iq", "get", BALCONY, QUERY)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual([answer.id for answer in answers], ["waiting", "1"])
        self.assertEqual(condition(answers[1]), "internal-server-error")
        self.assertNotIn(b"secret", answers[1].letter)


class HandlerTests(SynchronousTestCase):
    """What handlers return and raise."""

    def ask(self, handler: Callable[[Stanza], object], type: str = "get") -> tuple[Town, list[Stanza]]:
        """A town whose server answers with `handler`, and what comes back to Romeo."""
        town = Town()
        town.handlers.add((type, QUERY, "server"), handler, "m")
        return town, town.say("iq", type, "example.org", QUERY)

    def test_a_stanza_is_routed_as_it_is(self) -> None:
        """A handler may answer with a whole stanza."""
        _, [answer] = self.ask(lambda request: request.reply(Element("done", "urn:example")).with_attributes(id="other"))
        self.assertEqual((answer.id, answer.children), ("other", ("{urn:example}done",)))

    def test_a_stanza_error_is_the_answer(self) -> None:
        """StanzaError is how a handler refuses; it is not logged."""

        def refuse(_: Stanza) -> None:
            raise StanzaError(StanzaCondition.FORBIDDEN, text="Not for you.")

        _, [answer] = self.ask(refuse)
        self.assertEqual((condition(answer), b"Not for you." in answer.letter), ("forbidden", True))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_exception_is_logged_and_hidden(self) -> None:
        """Our own fault is internal-server-error without detail, and the traceback is in the log."""

        def fail(_: Stanza) -> None:
            raise KeyError("secret detail")

        _, [answer] = self.ask(fail)
        self.assertEqual((condition(answer), b"secret" in answer.letter), ("internal-server-error", False))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_an_answer_of_the_wrong_type_is_a_fault(self) -> None:
        """A handler that returns what is no Reply is at fault, as is one that answers a message with an Element."""
        _, [answer] = self.ask(lambda _: "text")
        self.assertEqual(condition(answer), "internal-server-error")
        town = Town()
        town.handlers.add(("message", "server"), lambda _: Element("x", "urn:example"), "m")
        self.assertEqual(town.refusal("message", "chat", "example.org"), "internal-server-error")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)

    def test_a_coroutine_answers_when_it_is_done(self) -> None:
        """Until then nothing is sent, and others are served."""
        waiting: Deferred[Element] = Deferred()

        async def later(_: Stanza) -> Element:
            return await waiting

        town, answers = self.ask(later)
        self.assertEqual(answers, [])
        self.assertEqual(town.refusal("iq", "set", "example.org", QUERY), "service-unavailable")
        waiting.callback(Element("query", "urn:example"))
        self.assertEqual([answer.type for answer in town.romeo.take()], ["result"])

    def test_a_coroutine_may_fail(self) -> None:
        """Its StanzaError is the answer, its other exceptions are logged and hidden, as without waiting."""
        for error, refusal in ((StanzaError(StanzaCondition.CONFLICT), "conflict"), (KeyError("x"), "internal-server-error")):
            waiting: Deferred[Element] = Deferred()

            async def later(_: Stanza, waiting: Deferred[Element] = waiting) -> Element:
                return await waiting

            town, _ = self.ask(later)
            waiting.errback(error)
            self.assertEqual([condition(answer) for answer in town.romeo.take()], [refusal])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class HookTests(SynchronousTestCase):
    """Modules on the way of every stanza."""

    def seeing(self, town: Town, point: str) -> list[Stanza]:
        """What a hook sees."""
        seen: list[Stanza] = []

        def look(each: Stanza) -> Stanza:
            seen.append(each)
            return each

        town.handlers.add(("hook", point), look, "m")
        return seen

    def test_each_point_sees_its_own(self) -> None:
        """`sent` sees what clients send, `received` what servers send, `routed` both and what we emit; in that order."""
        town = Town()
        sent, received, routed = (self.seeing(town, point) for point in ("sent", "received", "routed"))
        mine, theirs, ours = (stanza("message", "chat", ROMEO, sender=f"{name}@example.net/x") for name in "abc")
        town.router.route_sent(mine)
        town.router.route_received(theirs)
        town.route(ours)
        self.assertEqual((sent, received, routed), ([mine], [theirs], [mine, theirs, ours]))
        self.assertEqual(town.romeo.take(), [mine, theirs, ours])

    def test_answers_pass_too(self) -> None:
        """What the server answers is routed like all else."""
        town = Town()
        routed = self.seeing(town, "routed")
        town.router.route_sent(stanza("iq", "get", "example.org", QUERY, sender=ROMEO))
        self.assertEqual([each.type for each in routed], ["get", "error"])

    def test_what_a_hook_returns_goes_on(self) -> None:
        """In the order of the configuration, each hook gets what the one before it made."""
        for enter in ("route_sent", "route_received", "route"):
            town = Town()
            for point in ("sent", "received", "routed"):
                town.handlers.add(("hook", point), lambda each: each.with_attributes(id=f"{each.id}2"), "two")
                town.handlers.add(("hook", point), lambda each: each.with_attributes(id=f"{each.id}3"), "three")
            getattr(town.router, enter)(stanza("message", "chat", ROMEO, sender=ROMEO))
            self.assertEqual([each.id for each in town.romeo.take()], ["123" if enter == "route" else "12323"])

    def test_a_hook_may_keep_a_stanza(self) -> None:
        """It goes no further, no later hook sees it, and nobody is told."""
        for point, enter in (("sent", "route_sent"), ("received", "route_received"), ("routed", "route")):
            town = Town()
            town.handlers.add(("hook", point), lambda _: None, "deaf")
            later = self.seeing(town, point)
            getattr(town.router, enter)(stanza("iq", "get", "example.org", QUERY, sender=ROMEO))
            self.assertEqual((later, town.romeo.take()), ([], []), point)

    def test_a_hook_may_refuse(self) -> None:
        """StanzaError is the answer; a fault is logged, hidden, and lets nothing pass."""

        def refuse(each: Stanza) -> Stanza:
            if each.type != "error":
                raise StanzaError(StanzaCondition.NOT_ACCEPTABLE)
            return each

        def fail(each: Stanza) -> Stanza:
            if each.type != "error":
                raise KeyError("secret detail")
            return each

        for hook, wanted in ((refuse, "not-acceptable"), (fail, "internal-server-error")):
            for point, enter in (("sent", "route_sent"), ("received", "route_received"), ("routed", "route")):
                town = Town()
                balcony = town.session(BALCONY)
                town.handlers.add(("hook", point), hook, "m")
                getattr(town.router, enter)(stanza("message", "chat", BALCONY, sender=ROMEO))
                self.assertEqual([condition(each) for each in town.romeo.take()], [wanted])
                self.assertEqual(balcony.take(), [])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 3)


class DeliveredTests(SynchronousTestCase):
    """Modules see the messages of an account that not all of its resources got."""

    def copies(self, town: Town) -> list[list[str]]:
        """The resources that did not get each message."""
        seen: list[list[str]] = []
        town.handlers.add(
            ("message", "delivered"), lambda _, others: seen.append([other.session.jid.resource for other in others]), "m"
        )
        return seen

    def test_those_who_got_it_are_left_out(self) -> None:
        """To a full address: all others. To the bare address: those beside the first; or all, when it is undeliverable."""
        town = Town()
        seen = self.copies(town)
        town.session(BALCONY, 1), town.session(CHAMBER, 1), town.session(f"{BARE}/hall", 0), town.session(f"{BARE}/cell")
        for to in (BALCONY, BARE, f"{BARE}/gone"):
            town.say("message", "chat", to)
        self.assertEqual(seen, [["chamber", "hall", "cell"], ["hall", "cell"], ["hall", "cell"]])
        town = Town()
        seen = self.copies(town)
        town.session(BALCONY, -1)
        self.assertEqual((town.refusal("message", "chat", BARE), seen), ("service-unavailable", [["balcony"]]))

    def test_nobody_is_left_out(self) -> None:
        """With one resource, or none, or where all got it, there is nothing to see; nor for other kinds of stanzas."""
        town = Town()
        seen = self.copies(town)
        town.session(BALCONY, 1)
        for to in (BALCONY, BARE, "nobody@example.org", "example.org", "romeo@example.net"):
            town.say("message", "chat", to)
        town.session(CHAMBER, 1)
        town.say("message", "chat", BARE)
        town.say("message", "headline", BARE)
        town.say("iq", "get", BALCONY, QUERY)
        town.say("presence", None, BALCONY)
        self.assertEqual(seen, [])

    def test_a_fault_is_ours_alone(self) -> None:
        """The message is delivered, its sender hears nothing of the fault."""
        town = Town()
        balcony = town.session(BALCONY, 1)
        town.session(CHAMBER, 1)

        def fail(*_: object) -> None:
            raise KeyError("x")

        town.handlers.add(("message", "delivered"), fail, "m")
        self.assertEqual((town.say("message", "chat", BALCONY), len(balcony.take())), ([], 1))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)


class AnyStanzaTests(SynchronousTestCase):
    """Rules that hold whatever is sent."""

    kinds = st.sampled_from(("message", "presence", "iq"))
    types = st.sampled_from(
        (
            None,
            "normal",
            "chat",
            "headline",
            "groupchat",
            "error",
            "get",
            "set",
            "result",
            "unavailable",
            "subscribe",
            "probe",
            "other",
        )
    )
    resources = st.sampled_from(("", "/balcony", "/chamber"))

    @given(kinds, types, resources, st.lists(st.sampled_from((QUERY, "{a}b")), max_size=2))
    def test_absent_accounts_look_alike(self, kind: Kind, type: str | None, resource: str, children: list[str]) -> None:
        """What is sent to an account with nobody on line is answered as for one that never had a session."""
        answers = []
        for name in ("juliet", "nobody"):
            town = Town()
            town.sessions.remove(town.session(CHAMBER, 1))
            said = town.say(kind, type, f"{name}@example.org{resource}", *children)
            answers.append([each.with_attributes(sender=None).to_bytes(NS_CLIENT) for each in said])
        self.assertEqual(answers[0], answers[1])

    @given(kinds, types, st.sampled_from((BARE, BALCONY, CHAMBER, "example.org", "example.org/x", "nobody@example.org", ROMEO)))
    def test_at_most_one_answer_and_none_to_an_answer(self, kind: Kind, type: str | None, to: str) -> None:
        """Nothing is answered twice, an error or a result never; and nothing is left to route."""
        town = Town()
        town.session(BALCONY, 1)
        answers = [
            each
            for each in town.say(kind, type, to, QUERY)
            if each.attributes["to"] == ROMEO and each.attributes["from"] != ROMEO
        ]
        answered = type != "error" and (kind, type) != ("iq", "result")
        self.assertLessEqual(len(answers), 1 if answered else 0)
        if kind == "iq" and type in ("get", "set") and to not in (BALCONY, ROMEO):
            self.assertEqual([condition(answer) for answer in answers], ["service-unavailable"])
        self.assertFalse(town.router._turn)


class BesideTests(SynchronousTestCase):
    """Domains that exist here alone."""

    def test_taken(self) -> None:
        """What is for such a domain goes to who takes it, whoever sends it, and never to another server."""
        server, taken = Town(), []
        sent = to_remote(server)
        server.router.beside["example.net"] = taken.append
        for to in ("example.net", "EXAMPLE.net", "a@example.net/b"):
            self.assertEqual(server.say("message", "chat", to, sender=ROMEO), [])
        server.router.direct["example.org"] = lambda stanza: True
        server.say("message", "chat", "example.net")
        self.assertEqual(([one.attributes["to"] for one in taken][2:], sent), (["a@example.net/b", "example.net"], []))

    def test_refused(self) -> None:
        """What it raises is answered."""
        server = Town()

        def refuse(stanza: Stanza) -> None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)

        server.router.beside["example.net"] = refuse
        self.assertEqual(server.refusal("message", "chat", "a@example.net"), "item-not-found")
