"""Messages for accounts that are off line (XEP-0160)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.routing.fakes import condition
from xmppfed.core.jid import JID
from xmppfed.storage.interface import StorageError
from xmppfed.testing.client import Client
from xmppfed.testing.configuring import Settings
from xmppfed.testing.federation import Federation
from xmppfed.timeouts import Timeouts

CAPULET, MONTAGUE = "capulet.example", "montague.example"
JULIET, ROMEO, NURSE = f"juliet@{CAPULET}", f"romeo@{MONTAGUE}", f"nurse@{CAPULET}"
STAMP = "2027-01-15T08:00:00Z"  # START


class OfflineCase(SynchronousTestCase):
    """Romeo is off line, Juliet is not."""

    configuration: dict[str, Settings] = {}

    def setUp(self) -> None:
        """Start the servers."""
        self.federation = Federation(CAPULET, MONTAGUE, wire="memory", configuration=self.configuration)
        self.addCleanup(self.federation.cleanup)
        self.federation.account(ROMEO)
        self.juliet = self.federation.client(f"{JULIET}/balcony")

    def say(self, *bodies: str, to: str = ROMEO, type: str = "chat", sender: Client | None = None) -> None:
        """Send messages to Romeo."""
        for body in bodies:
            message = f"<message to='{to}' type='{type}' id='{body[:12]}'><body>{body}</body></message>"
            (sender or self.juliet).send(message)

    def come(self, resource: str = "orchard", priority: int = 0) -> Client:
        """Romeo is there, with a presence of that priority."""
        romeo = self.federation.client(f"{ROMEO}/{resource}", presence=False)
        romeo.send(f"<presence><priority>{priority}</priority></presence>")
        return romeo

    def got(self, client: Client) -> list[str]:
        """The messages that a client got, by their ids; it answers questions now."""
        ids = self.unconfirmed(client)
        for question in [each for each in client.received if each.kind == "iq"]:
            client.received.remove(question)
            client.send(question.reply().with_attributes(sender=None))
        return ids

    def unconfirmed(self, client: Client) -> list[str]:
        """The same of a client that answers nothing."""
        found = [each for each in client.received if each.kind == "message"]
        for each in found:
            client.received.remove(each)
        return [str(each.id) for each in found]

    def stored(self, account: str = ROMEO) -> int:
        """How many messages storage has for an account."""
        jid = JID.parse(account)
        records = self.federation.server(jid.domain).storage.records
        return len(self.federation.result(records.read(jid, "offline")))

    def refusals(self, client: Client | None = None) -> list[tuple[str, str]]:
        """What came back to Juliet."""
        client = client or self.juliet
        found = [(str(each.id), condition(each)) for each in client.received if each.type == "error"]
        client.received.clear()
        return found


class KeepingTests(OfflineCase):
    """What is kept."""

    def test_kept_and_delivered(self) -> None:
        """Messages are kept, and delivered in their order to the first that is there, with a note since when; once."""
        self.say("1", "2")
        self.assertEqual((self.stored(), self.refusals()), (2, []))
        romeo = self.come()
        romeo.take(f"<presence from='{ROMEO}/orchard'/>")
        romeo.expect(
            f"<message from='{JULIET}/balcony' to='{ROMEO}' type='chat' id='1'><body>1</body>"
            f"<delay xmlns='urn:xmpp:delay' from='{MONTAGUE}' stamp='{STAMP}'/></message>"
        )
        self.assertEqual((self.got(romeo), self.stored()), (["2"], 0))
        romeo.close()
        self.assertEqual(self.got(self.come()), [])

    def test_types(self) -> None:
        """Normal, chat and unknown types are kept (XEP-0160, 3); groupchat is refused, headline and error are nothing."""
        for type in ("normal", "chat", "unheard-of", "groupchat", "headline", "error"):
            self.say(type, type=type)
        self.assertEqual(self.refusals(), [("groupchat", "service-unavailable")])
        self.assertEqual(self.got(self.come()), ["normal", "chat", "unheard-of"])

    def test_to_a_resource_that_is_gone(self) -> None:
        """A chat message to a full address is kept for the account; others are refused (RFC 6121, 8.5.3.2.1)."""
        for type in ("chat", "normal"):
            self.say(type, to=f"{ROMEO}/gone", type=type)
        self.assertEqual(self.refusals(), [("normal", "service-unavailable")])
        romeo = self.come()
        romeo.take("presence")
        self.assertEqual(romeo.expect("message").attributes["to"], ROMEO)

    def test_what_means_nothing_later(self) -> None:
        """A chat state is dropped without a word; what must not be stored is refused."""
        self.juliet.send(
            f"<message to='{ROMEO}' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
        )
        self.juliet.send(f"<message to='{ROMEO}' type='chat' id='1'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>")
        self.assertEqual((self.refusals(), self.stored()), ([("1", "service-unavailable")], 0))

    def test_nobody(self) -> None:
        """For an account that does not exist nothing is kept."""
        self.say("1", to=f"nobody@{MONTAGUE}")
        self.say("2", to=f"nobody@{CAPULET}")
        self.assertEqual(self.refusals(), [("1", "service-unavailable"), ("2", "service-unavailable")])

    def test_negative_priority(self) -> None:
        """A resource of negative priority gets nothing, neither what was kept nor what comes; when it rises, all of it."""
        self.say("1")
        romeo = self.come(priority=-1)
        self.say("2")
        self.assertEqual(self.got(romeo), [])
        romeo.send("<presence/>")
        self.assertEqual(self.got(romeo), ["1", "2"])

    def test_connected_without_presence(self) -> None:
        """Who is connected and not available is off line."""
        romeo = self.federation.client(f"{ROMEO}/orchard", presence=False)
        self.say("1")
        romeo.expect_nothing()
        romeo.send("<presence/>")
        self.assertEqual(self.got(romeo), ["1"])
        romeo.send("<presence type='unavailable'/>")
        self.say("2")
        romeo.send("<presence/>")
        self.assertEqual(self.got(romeo), ["2"])

    def test_restart(self) -> None:
        """Messages are kept when the server restarts, whether it stops or crashes, and keep their order."""
        for number, end in enumerate((self.federation.stop, self.federation.crash)):
            self.say(f"{number}a")
            self.federation.advance(1)  # until it has said that it has it: what it has not would come once more
            end(MONTAGUE)
            self.federation.start(MONTAGUE)
            self.say(f"{number}b")
        self.assertEqual(self.got(self.come()), ["0a", "0b", "1a", "1b"])

    def test_a_clock_that_was_set_back(self) -> None:
        """What comes later is behind what was there, whatever the clock says."""
        records = self.federation.server(MONTAGUE).storage.records
        late = {f"{10**18:020d}": f"<message xmlns='jabber:client' to='{ROMEO}' id='old'/>".encode()}
        self.federation.result(records.change(JID.parse(ROMEO), "offline", late))
        self.say("1", "2")
        self.assertEqual(self.got(self.come()), ["old", "1", "2"])

    def test_announced(self) -> None:
        """The server says so (XEP-0160, 4)."""
        query = "<query xmlns='http://jabber.org/protocol/disco#info'"
        answer = self.juliet.request(f"<iq to='{CAPULET}' type='get'>{query}/></iq>")
        self.assertIn(b"var='msgoffline'", answer.letter)


class BoundTests(OfflineCase):
    """A box can be full."""

    configuration = {MONTAGUE: {"modules": {"offline": {"max_messages": 2, "max_bytes": 10_000}}}}

    def test_messages(self) -> None:
        """More than so many are refused as if there was no account; when they were delivered there is room again."""
        self.say("1", "2", "3")
        self.assertEqual(self.refusals(), [("3", "service-unavailable")])
        romeo = self.come()
        self.assertEqual(self.got(romeo), ["1", "2"])
        romeo.close()
        self.say("4")
        self.assertEqual((self.refusals(), self.stored()), ([], 1))

    def test_bytes(self) -> None:
        """So many bytes, whoever counts: also after a restart; a shorter message still fits."""
        large = "x" * 6000
        self.say("1" + large, "2" + large)
        self.assertEqual([id[0] for id, _ in self.refusals()], ["2"])
        self.federation.stop(MONTAGUE)
        self.federation.start(MONTAGUE)
        self.say("3" + large, "4")
        self.assertEqual([id[0] for id, _ in self.refusals()], ["3"])
        romeo = self.come()
        self.assertEqual([id[0] for id in self.got(romeo)], ["1", "4"])
        romeo.close()
        self.say("5" + large)
        self.assertEqual((self.refusals(), self.stored()), ([], 1))

    def test_no_account_and_a_full_box_look_alike(self) -> None:
        """The same error, after the same questions to storage."""
        self.say("1", "2")
        records: Any = self.federation.server(MONTAGUE).storage.records
        asked: list[str] = []
        for name in ("read", "change"):
            real = getattr(records, name)

            async def asking(account: JID, *arguments: Any, name: str = name, real: Any = real, **options: Any) -> Any:
                asked.append(name)
                return await real(account, *arguments, **options)

            self.patch(records, name, asking)
        said = []
        for to in (ROMEO, f"nobody@{MONTAGUE}"):
            self.say("3", to=to)
            self.say("4", to=to)
            answers = [each.with_attributes(sender=None).to_bytes("jabber:client") for each in self.juliet.received]
            self.juliet.received.clear()
            said.append((answers, [name for name in asked if name == "change"]))
            asked.clear()
        self.assertEqual(said[0], said[1])


class DyingTests(OfflineCase):
    """A client dies while it gets its messages: nothing is lost."""

    def test_unconfirmed(self) -> None:
        """What was sent and not confirmed is still there for the next one, in front of what came since."""
        self.say("1", "2")
        romeo = self.come()
        self.assertEqual((self.unconfirmed(romeo), self.stored()), (["1", "2"], 2))
        romeo.cut()
        self.say("3")
        romeo = self.come("hall")
        self.assertEqual((self.got(romeo), self.stored()), (["1", "2", "3"], 0))

    def test_another_resource(self) -> None:
        """Another one that is there gets it at once."""
        self.say("1")
        orchard, hall = self.come("orchard"), self.come("hall", -1)
        hall.send("<presence/>")
        self.assertEqual((self.unconfirmed(orchard), self.got(hall)), (["1"], []))
        orchard.cut()
        self.assertEqual((self.got(hall), self.stored()), (["1"], 0))

    def test_another_resource_that_does_not_listen(self) -> None:
        """One of negative priority does not; it waits for one that does."""
        self.say("1")
        orchard, hall = self.come("orchard"), self.come("hall", -1)
        orchard.cut()
        self.assertEqual(self.got(hall), [])
        hall.send("<presence/>")
        self.assertEqual(self.got(hall), ["1"])

    def test_a_client_that_answers_nothing(self) -> None:
        """Whatever it says later shows that it got them; what it said before, or its end, does not."""
        self.say("1")
        romeo = self.come()
        romeo.send("<presence/>")
        self.assertEqual(self.stored(), 1)
        self.federation.advance(Timeouts().confirmation + 1)
        romeo.send("<presence/>")
        self.assertEqual(self.stored(), 0)

    def test_a_client_that_leaves_at_once(self) -> None:
        """A client that closes its stream in good order before it could have read them leaves them for the next."""
        self.say("1")
        romeo = self.come()
        romeo.close()
        self.assertEqual(self.stored(), 1)

    def test_answer_to_another_delivery(self) -> None:
        """Each delivery is confirmed by itself."""
        self.say("1")
        romeo = self.come()
        first = next(each for each in romeo.received if each.kind == "iq")
        romeo.send("<presence type='unavailable'/>")
        self.say("2")
        romeo.send("<presence/>")
        romeo.send(first.reply().with_attributes(sender=None))
        self.assertEqual(self.stored(), 1)
        romeo.cut()
        self.assertEqual(self.got(self.come()), ["2"])


class StorageTests(OfflineCase):
    """Storage takes its time, and may fail."""

    def setUp(self) -> None:
        """Storage waits when it is told to."""
        super().setUp()
        self.slow = False
        self.pending: list[Deferred[None]] = []
        self.records: Any = self.federation.server(MONTAGUE).storage.records
        for name in ("read", "change"):
            real = getattr(self.records, name)

            async def asking(*arguments: Any, real: Any = real, **options: Any) -> Any:
                if self.slow:
                    self.pending.append(Deferred())
                    await self.pending[-1]
                return await real(*arguments, **options)

            self.patch(self.records, name, asking)

    def go_on(self, error: Exception | None = None) -> None:
        """Storage answers the oldest question."""
        waiting = self.pending.pop(0)
        waiting.callback(None) if error is None else waiting.errback(error)
        self.federation.network.pump()

    def test_order(self) -> None:
        """While one message is being stored those behind it wait, and reach who has come meanwhile in their order."""
        self.say("0")
        romeo = self.come(priority=-1)
        self.slow = True
        self.say("1", "2")
        self.assertEqual(len(self.pending), 1)
        romeo.send("<presence/>")
        self.say("3")
        self.assertEqual(self.unconfirmed(romeo), ["0"])
        self.slow = False
        self.go_on()
        self.assertEqual(self.got(romeo), ["1", "2", "3"])
        self.assertEqual(self.stored(), 0)

    def test_coming_while_something_is_stored(self) -> None:
        """What is being stored while somebody logs in is delivered to him, once."""
        self.say("0")
        self.slow = True
        self.say("1")
        self.slow = False
        romeo = self.come()
        self.assertEqual(self.got(romeo), ["0"])
        self.go_on()
        self.assertEqual((self.got(romeo), self.stored()), (["1"], 0))

    def test_failure(self) -> None:
        """What cannot be stored is answered with internal-server-error, and takes no room."""
        self.say("0")
        self.slow = True
        self.say("1")
        self.slow = False
        self.go_on(StorageError("the disk is full"))
        self.assertEqual(self.refusals(), [("1", "internal-server-error")])
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
        self.assertEqual(self.got(self.come()), ["0"])

    def test_failure_to_remove(self) -> None:
        """Messages that could not be removed come again at the next login; that is logged."""
        self.say("1")
        romeo = self.come()
        self.slow = True
        self.assertEqual(self.got(romeo), ["1"])
        self.slow = False
        self.go_on(StorageError("the disk is full"))
        self.assertEqual(len(self.flushLoggedErrors(StorageError)), 1)
        romeo.close()
        self.assertEqual(self.got(self.come()), ["1"])

    def test_an_account_that_is_deleted_meanwhile(self) -> None:
        """Its messages are gone with it, which is no fault; a new one of the same name has an empty box."""
        self.say("1")
        romeo = self.come()
        accounts = self.federation.server(MONTAGUE).storage.accounts
        self.federation.result(accounts.delete(MONTAGUE, "romeo"))
        self.assertEqual(self.got(romeo), ["1"])
        romeo.close()
        self.federation.account(ROMEO)
        self.assertEqual((self.got(self.come()), self.flushLoggedErrors()), ([], []))

    def test_two_messages_at_once(self) -> None:
        """Storage is asked by both, and knows both."""
        nurse = self.federation.client(f"{NURSE}/hall")
        self.slow = True
        self.say("1")
        self.say("2", sender=nurse)
        self.slow = False
        self.go_on()
        self.go_on()
        self.assertEqual(self.got(self.come()), ["1", "2"])
