"""Who a client is: every mechanism, every way to be nobody, and what a stranger may learn."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed

from tests.core.streams import USER_AGENT, authenticate
from tests.services.raw import CAPULET, JULIET, Raw, RawCase, condition, jid_of, mechanisms, stream_error
from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.sasl.anonymous import AnonymousClient
from xmppfed.core.sasl.external import ExternalClient
from xmppfed.core.sasl.keys import DEFAULT_ITERATIONS
from xmppfed.core.sasl.scram_client import ScramClient
from xmppfed.net.certificates import LoadedCertificate, endpoint_binding, load_certificate
from xmppfed.net.issuing import Authority
from xmppfed.storage.accounts import change_password
from xmppfed.storage.interface import StorageError
from xmppfed.storage.threads import at_once
from xmppfed.testing.federation import PASSWORD, START, Federation

PLUS = ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
SCRAM = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
BINDINGS = "{urn:xmpp:sasl-cb:0}sasl-channel-binding"
STRANGER = "https://evil.example"


def bindings_of(features: Element) -> list[str | None]:
    """The channel bindings that are announced (XEP-0440)."""
    announced = features.child(BINDINGS)
    return [one.get("type") for one in announced.elements()] if announced else []


class Mechanisms(RawCase):
    """What is offered over TLS of our own, and works."""

    def test_offer(self) -> None:
        """SCRAM with channel binding first, then SCRAM, then PLAIN; EXTERNAL and ANONYMOUS only where they can work."""
        _, features = self.raw().open()
        self.assertEqual(mechanisms([features]), [*PLUS, *SCRAM, "PLAIN"])

    def test_bindings(self) -> None:
        """TLS 1.3 has both bindings, TLS 1.2 the server's certificate alone (RFC 9266, 3)."""
        self.assertEqual(bindings_of(self.raw().open()[1]), ["tls-exporter", "tls-server-end-point"])
        self.assertEqual(bindings_of(self.raw(tls="1.2").open()[1]), ["tls-server-end-point"])

    def test_each(self) -> None:
        """Whoever has the password gets in by each of them, and is who the account says."""
        for name in [*PLUS, *SCRAM]:
            raw = self.raw()
            raw.open()
            self.assertEqual(raw.scram(name=name).name, "success", name)
            self.assertEqual(jid_of(raw.bind("x")), f"{JULIET}/x")
        raw = self.raw()
        raw.open()
        self.assertEqual(raw.plain().name, "success")

    def test_tls_server_end_point(self) -> None:
        """The binding to the server's certificate works, with TLS 1.2 and where the client prefers it."""
        for tls in ("1.2", "1.3"):
            raw = self.raw(tls=tls)
            raw.open()
            only = {"tls-server-end-point": raw.bindings()["tls-server-end-point"]}
            self.assertEqual(raw.scram(name="SCRAM-SHA-256-PLUS", bindings=only).name, "success")

    def test_foreign_channel(self) -> None:
        """A login that is bound to another connection is refused: somebody is in the middle (RFC 5802, 6)."""
        other = self.raw().bindings()["tls-exporter"]
        raw = self.raw()
        raw.open()
        failure = raw.scram(name="SCRAM-SHA-256-PLUS", bindings={"tls-exporter": other})
        self.assertEqual(condition(failure), "not-authorized")

    def test_downgrade(self) -> None:
        """A client that could bind and believes that the server cannot was told so by somebody else (RFC 5802, 6)."""
        raw = self.raw()
        raw.open()
        failure = raw.scram(bindings=raw.bindings())
        self.assertEqual(condition(failure), "not-authorized")

    def test_name_is_prepared(self) -> None:
        """Capitals and full-width letters are the same account (RFC 8265, 3.3)."""
        for name in ("JULIET", "ｊｕｌｉｅｔ"):
            raw = self.raw()
            raw.open()
            self.assertEqual(raw.plain(name).name, "success")
            self.assertEqual(jid_of(raw.bind("x")), f"{JULIET}/x")

    def test_not_offered(self) -> None:
        """What was not offered is an invalid mechanism (RFC 6120, 6.5.7)."""
        for name in ("EXTERNAL", "ANONYMOUS", "CRAM-MD5", "", "plain", "&lt;x"):
            raw = self.raw()
            raw.open()
            self.assertEqual(condition(raw.sasl("auth", "=", name)), "invalid-mechanism")


class Refusals(RawCase):
    """Who is refused, how often, and what it learns."""

    def opened(self) -> Raw:
        """A client that may log in."""
        raw = self.raw()
        raw.open()
        return raw

    def test_wrong_password(self) -> None:
        """not-authorized, whatever the mechanism; the stream lives, and the right password opens it."""
        raw = self.opened()
        self.assertEqual(condition(raw.scram(password="x")), "not-authorized")
        self.assertEqual(condition(raw.plain(password="x")), "not-authorized")
        self.assertEqual(condition(raw.scram(password="x", name="SCRAM-SHA-512-PLUS")), "not-authorized")
        self.assertEqual(raw.scram().name, "success")

    def test_sasl_retry_limit(self) -> None:
        """sasl-retry-limit: the fifth failure on a stream ends it (RFC 6120, 6.4.5)."""
        raw = self.opened()
        for _ in range(4):
            self.assertEqual(condition(raw.plain(password="x")), "not-authorized")
        came = raw.send(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{b64encode(b'AAA').decode()}</auth>")
        self.assertEqual([one.name for one in came], ["failure", "error", "close"])
        self.assertEqual(stream_error(came), "policy-violation")

    def test_aborted(self) -> None:
        """Who aborts hears so, and may try again; it counts as an attempt."""
        raw = self.opened()
        for _ in range(4):
            self.assertEqual(raw.sasl("auth", "", "PLAIN").name, "challenge")
            self.assertEqual(condition(raw.sasl("abort", "")), "aborted")
        self.assertEqual(raw.plain().name, "success")

    def test_sasl_authzid_other(self) -> None:
        """sasl-authzid-other: nobody logs in for somebody else, not even with a password (RFC 6120, 6.3.8)."""
        for authzid in (f"romeo@{CAPULET}", CAPULET, f"{JULIET}/balcony", "juliet", "@@", f"juliet@{CAPULET}.evil.example"):
            self.assertEqual(condition(self.opened().plain(authzid=authzid)), "invalid-authzid", authzid)
            self.assertEqual(condition(self.opened().scram(authzid=authzid)), "invalid-authzid", authzid)

    def test_authzid_own(self) -> None:
        """One's own bare address may be named, in any spelling."""
        for authzid in (JULIET, f"JULIET@{CAPULET.upper()}"):
            self.assertEqual(self.opened().plain(authzid=authzid).name, "success")
            self.assertEqual(self.opened().scram(authzid=authzid).name, "success")

    def test_authzid_is_no_oracle(self) -> None:
        """Who does not know the password does not learn what the identity would have been worth."""
        self.assertEqual(condition(self.opened().plain(password="x", authzid=f"romeo@{CAPULET}")), "not-authorized")

    def test_sasl_nul_in_user(self) -> None:
        """sasl-nul-in-user: a NUL belongs in no name, and never opens an account."""
        for message in (
            b"\0juliet\0\0wherefore",
            b"\0juliet\0wherefore\0",
            b"a\0b",
            b"",
            b"\0\0wherefore",
            b"\xff\0juliet\0wherefore",
        ):
            answer = self.opened().sasl("auth", b64encode(message).decode() or "=", "PLAIN")
            self.assertIn(condition(answer), ("malformed-request", "not-authorized"), message)
        answer = self.opened().sasl("auth", b64encode(b"n,,n=juliet\0x,r=abcdefgh").decode(), "SCRAM-SHA-256")
        self.assertEqual(condition(answer), "malformed-request")

    def test_incorrect_encoding(self) -> None:
        """What is no base64 is incorrect-encoding (RFC 6120, 6.5.5)."""
        self.assertEqual(condition(self.opened().sasl("auth", "*", "PLAIN")), "incorrect-encoding")

    def test_sasl_log_injection(self) -> None:
        """sasl-log-injection: whatever a stranger writes, it is one printable line, and no password is in it."""
        events = self.logs()
        raw = self.opened()
        raw.sasl("auth", b64encode("\0a b\u202ec\n\0pass-word".encode()).decode(), "PLAIN")
        raw.plain(authzid="x\n2027 root logged in\x1b[2J\u2028")
        raw.sasl("auth", "=", "X&#10;Y")
        reasons = [one["reason"] for one in events if "reason" in one and "mechanism" in one]
        self.assertEqual(len(reasons), 3)
        for one in reasons:
            self.assertTrue(one.isprintable() and len(one) <= 256, one)
        self.assertNotIn("pass-word", str(events))
        self.assertNotIn(PASSWORD, str(events))

    def test_success_is_logged(self) -> None:
        """Who logs in is logged: account, address and mechanism."""
        events = self.logs()
        self.opened().scram()
        (one,) = [one for one in events if "mechanism" in one]
        self.assertEqual((one["jid"], one["address"], one["mechanism"]), (JULIET, "127.1.1.1", "SCRAM-SHA-256"))


class Enumeration(RawCase):
    """sasl-user-enum-*: a stranger cannot find out who has an account (RFC 5802, 9; RFC 6120, 13.11)."""

    def first(self, username: str) -> dict[str, str]:
        """The server-first-message of SCRAM for a username."""
        raw = self.raw()
        raw.open()
        message = b64encode(f"n,,n={username},r=abcdefghijkl".encode()).decode()
        challenge = raw.sasl("auth", message, "SCRAM-SHA-256")
        return dict(part.split("=", 1) for part in b64decode(challenge.text).decode().split(","))

    def test_sasl_user_enum_scram(self) -> None:
        """The challenge for nobody has the same form: iterations, length of the salt, and the same salt again."""
        real, nobody, again = self.first("juliet"), self.first("nobody"), self.first("nobody")
        self.assertEqual((nobody["i"], real["i"]), (str(DEFAULT_ITERATIONS), str(DEFAULT_ITERATIONS)))
        self.assertEqual(len(nobody["s"]), len(real["s"]))
        self.assertEqual(nobody["s"], again["s"])
        self.assertNotEqual(nobody["s"], self.first("noone")["s"])

    def test_sasl_user_enum_salt_after_restart(self) -> None:
        """The salt comes from a secret that the storage keeps, so that a restart does not tell either."""
        secrets: list[str] = []

        async def secret(name: str) -> bytes:
            secrets.append(name)
            return b"s" * 32

        self.patch(self.server.storage.accounts, "secret", secret)
        self.first("nobody")
        self.first("somebody")
        self.assertEqual(secrets, ["decoy keys"])

    def test_sasl_user_enum_failure(self) -> None:
        """The refusal is the same, for SCRAM and PLAIN, and costs as much work."""
        verified: list[object] = []

        def counted(function: Any) -> Any:
            verified.append(function)
            return succeed(function())

        raw = self.raw()
        raw.open()
        answers = [raw.scram(name, "x").to_xml() for name in ("juliet", "nobody")]
        self.assertEqual(answers[0], answers[1])
        clients = self.server.getServiceNamed("clients")
        self.patch(clients.passwords, "_run_in_thread", counted)
        answers = [raw.plain(name, "x").to_xml() for name in ("juliet", "nobody")]
        self.assertEqual((answers[0], len(verified)), (answers[1], 2))

    def test_keys_of_another_hash_alone(self) -> None:
        """An account that lacks the keys of a mechanism is treated as if it had a password that nobody knows."""
        keys = self.federation.result(self.server.storage.accounts.keys(CAPULET, "juliet")) or {}
        self.federation.result(self.server.storage.accounts.replace(CAPULET, "juliet", {"sha512": keys["sha512"]}))
        raw = self.raw()
        raw.open()
        self.assertEqual(condition(raw.scram()), "not-authorized")
        self.assertEqual(raw.scram(name="SCRAM-SHA-512").name, "success")


class Certificates(RawCase):
    """EXTERNAL: the client's certificate names the account (XEP-0178, 2)."""

    def setUp(self) -> None:
        """A server that trusts an authority for clients."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(datetime.fromtimestamp(START, UTC), "clients")
        anchor = (self.folder / "clients.pem").absolute()
        anchor.write_bytes(self.authority.pem)
        c2s = {"allowed_origins": ["https://chat.example"]}
        self.configuration = {CAPULET: {"trust_anchors": ["authority.pem", str(anchor)], "services": {"c2s_ws": c2s}}}
        super().setUp()

    def certificate(self, *addresses: str, authority: Authority | None = None, **options: Any) -> LoadedCertificate:
        """A client's certificate."""
        file = self.folder / "client.pem"
        file.write_bytes((authority or self.authority).issue("juliet", dns=(), xmpp_addresses=addresses, **options))
        return load_certificate(file)

    def external(self, certificate: LoadedCertificate | None, authzid: str = "", **options: Any) -> tuple[Raw, Element | None]:
        """Try to log in; None when EXTERNAL is not even offered."""
        raw = self.raw(certificate=certificate, **options)
        if "EXTERNAL" not in mechanisms(raw.open()):
            self.assertEqual(condition(raw.sasl("auth", "=", "EXTERNAL")), "invalid-mechanism")
            return raw, None
        return raw, raw.auth(ExternalClient(authzid))

    def refused(self, certificate: LoadedCertificate, authzid: str = "") -> str:
        """The condition of the refusal."""
        _, answer = self.external(certificate, authzid)
        assert answer is not None
        return condition(answer)

    def test_external(self) -> None:
        """The certificate's xmppAddr is who the client is; it may say so."""
        for authzid in ("", JULIET, "JULIET@capulet.example"):
            raw, answer = self.external(self.certificate(JULIET), authzid)
            self.assertEqual(answer and answer.name, "success")
            self.assertEqual(jid_of(raw.bind("x")), f"{JULIET}/x")

    def test_sasl2(self) -> None:
        """By SASL2 as well; but no token is given, which would be good when the certificate is not any more."""
        raw = self.raw(certificate=self.certificate(JULIET))
        raw.open()
        request = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>"
        success, _ = raw.send(authenticate("EXTERNAL", b"", f"<user-agent id='{USER_AGENT}'/>", request).decode())
        self.assertEqual((success.name, [one.name for one in success.elements()]), ("success", ["authorization-identifier"]))

    def test_external_comes_first(self) -> None:
        """It is the first mechanism offered, and the others stay."""
        self.assertEqual(mechanisms(self.raw(certificate=self.certificate(JULIET)).open())[:2], ["EXTERNAL", PLUS[0]])

    def test_prepared(self) -> None:
        """The name in the certificate may be written in another way (RFC 7622)."""
        _, answer = self.external(self.certificate("Juliet@CAPULET.example"))
        self.assertEqual(answer and answer.name, "success")

    def test_sasl_authzid_other(self) -> None:
        """sasl-authzid-other: a certificate speaks for those it names, and for no one else."""
        for authzid in (f"romeo@{CAPULET}", CAPULET, f"{JULIET}/x", "@"):
            self.assertEqual(self.refused(self.certificate(JULIET), authzid), "invalid-authzid", authzid)

    def test_no_account(self) -> None:
        """Who has no account, or none any more, has no use for its certificate."""
        self.assertEqual(self.refused(self.certificate(f"romeo@{CAPULET}")), "not-authorized")

    def test_several_names(self) -> None:
        """Of several accounts the client has to say which (XEP-0178, 2)."""
        both = self.certificate(JULIET, f"nurse@{CAPULET}")
        self.assertEqual(self.refused(both), "invalid-authzid")
        raw, answer = self.external(both, JULIET)
        self.assertEqual(answer and answer.name, "success")
        self.assertEqual(jid_of(raw.bind("x")), f"{JULIET}/x")

    def test_names_of_others(self) -> None:
        """Other domains, a domain alone, an address with a resource and what is no address name nobody here."""
        certificate = self.certificate("juliet@montague.example", CAPULET, f"{JULIET}/x", "@", JULIET)
        _, answer = self.external(certificate)
        self.assertEqual(answer and answer.name, "success")
        for one in ("juliet@montague.example", CAPULET, f"{JULIET}/x", "@"):
            self.assertIsNone(self.external(self.certificate(one))[1], one)

    def test_not_trusted(self) -> None:
        """A certificate of an unknown authority, an expired one, and none at all: EXTERNAL is not offered."""
        now = datetime.fromtimestamp(START, UTC)
        for certificate in (
            self.certificate(JULIET, authority=Authority(now, "strangers")),
            self.certificate(JULIET, not_before=datetime(2026, 1, 1, tzinfo=UTC), not_after=datetime(2026, 2, 1, tzinfo=UTC)),
            None,
        ):
            raw, answer = self.external(certificate)
            self.assertIsNone(answer)
            self.assertEqual(raw.plain().name, "success")

    def test_hs_foreign_origin(self) -> None:
        """hs-foreign-origin: the page of a stranger gets no use of the browser's certificate; a listed one does."""
        self.assertIsNone(self.external(self.certificate(JULIET), Origin=STRANGER)[1])
        self.assertIsNone(self.external(self.certificate(JULIET), Origin="null")[1])
        _, answer = self.external(self.certificate(JULIET), Origin="https://chat.example")
        self.assertEqual(answer and answer.name, "success")

    def test_storage_fails(self) -> None:
        """Without storage nobody can tell: temporary-auth-failure."""

        async def keys(*_: object) -> object:
            raise StorageError("The disk is gone.")

        self.patch(self.server.storage.accounts, "keys", keys)
        self.assertEqual(self.refused(self.certificate(JULIET)), "temporary-auth-failure")
        self.flushLoggedErrors(StorageError)


class Anonymous(RawCase):
    """ANONYMOUS (RFC 4505, XEP-0175), on the domains that list it."""

    configuration = {
        CAPULET: {
            "domains": {"guests.example": {"certificate": "127.0.0.2.pem"}},
            "services": {"c2s_ws": {"anonymous": ["guests.example"], "allowed_origins": ["https://chat.example"]}},
        }
    }

    def test_guest(self) -> None:
        """A guest gets a name that nobody else has."""
        names = []
        for _ in range(2):
            raw = self.raw()
            self.assertIn("ANONYMOUS", mechanisms(raw.open("guests.example")))
            self.assertEqual(raw.auth(AnonymousClient()).name, "success")
            raw.open("guests.example")
            (answer,) = raw.send(
                "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
            )
            names.append(JID.parse(jid_of(answer)))
        self.assertEqual([name.domain for name in names], ["guests.example"] * 2)
        self.assertNotEqual(names[0].local, names[1].local)

    def test_other_domain(self) -> None:
        """A domain that is not listed knows no guests."""
        raw = self.raw()
        self.assertNotIn("ANONYMOUS", mechanisms(raw.open()))
        self.assertEqual(condition(raw.sasl("auth", "=", "ANONYMOUS")), "invalid-mechanism")

    def test_hs_foreign_origin(self) -> None:
        """hs-foreign-origin: the page of a stranger logs in with passwords only; a listed one may have guests."""
        raw = self.raw(Origin=STRANGER)
        self.assertEqual(mechanisms(raw.open("guests.example")), [*PLUS, *SCRAM, "PLAIN"])
        self.assertEqual(condition(raw.sasl("auth", "=", "ANONYMOUS")), "invalid-mechanism")
        self.assertIn("ANONYMOUS", mechanisms(self.raw(Origin="https://chat.example").open("guests.example")))

    def test_foreign_origin_with_a_password(self) -> None:
        """Any page may log in with a password: no authority of the browser is used."""
        raw = self.raw(Origin=STRANGER)
        raw.open()
        self.assertEqual(raw.plain().name, "success")


class BehindProxy(RawCase):
    """TLS ends at a reverse proxy on the same machine."""

    configuration: Mapping[str, Any] = {CAPULET: {"services": {"http": {"tls": "behind-proxy"}}}}

    def test_binding_of_the_configured_certificate(self) -> None:
        """Only the certificate binds, which the proxy shows as well (RFC 5929, 4)."""
        leaf = load_certificate(self.server.config.domains[CAPULET].certificate or "").leaf
        raw = self.raw(tls=None)
        _, features = raw.open()
        self.assertEqual((mechanisms([features]), bindings_of(features)), ([*PLUS, *SCRAM, "PLAIN"], ["tls-server-end-point"]))
        shown = {"tls-server-end-point": endpoint_binding(leaf) or b""}
        self.assertEqual(raw.scram(name="SCRAM-SHA-256-PLUS", bindings=shown).name, "success")


class BehindProxyWithoutCertificate(RawCase):
    """The proxy keeps its certificate to itself."""

    def setUp(self) -> None:
        """A server that has none."""
        self.federation = Federation(
            CAPULET,
            configuration={
                CAPULET: {
                    "domains": {CAPULET: {"certificate": None}},
                    "services": {"http": {"tls": "behind-proxy"}, "s2s_ws": None},
                }
            },
        )
        self.addCleanup(self.federation.cleanup)
        self.federation.account(JULIET)
        self.network = self.federation.network

    def test_no_binding(self) -> None:
        """There is nothing to bind to: no -PLUS, and a client that could bind is not taken for a downgrade's victim."""
        raw = self.raw(tls=None)
        _, features = raw.open()
        self.assertEqual((mechanisms([features]), bindings_of(features)), ([*SCRAM, "PLAIN"], []))
        self.assertEqual(raw.scram(bindings={"tls-exporter": b"x"}).name, "success")


class Changes(RawCase):
    """What becomes of an account while somebody logs in to it."""

    def opened(self) -> Raw:
        """A client that may log in."""
        raw = self.raw()
        raw.open()
        return raw

    def test_password_changed_while_logging_in(self) -> None:
        """Who had begun to prove the old password when it was changed has proved nothing."""
        raw = self.opened()
        changed: list[object] = []
        jid = JID.parse(JULIET)

        class Slow(ScramClient):
            def respond(self, challenge: bytes) -> bytes:
                changed.append(case.federation.result(change_password(case.server.storage.accounts, jid, "new", at_once)))
                return super().respond(challenge)

        case = self
        self.assertEqual(condition(raw.auth(Slow("SCRAM-SHA-256", "juliet", PASSWORD, "n" * 20, {}))), "not-authorized")
        self.assertEqual(len(changed), 1)
        self.assertEqual(raw.scram(password="new").name, "success")

    def test_password_changed_while_it_is_checked(self) -> None:
        """The same holds for PLAIN, whose password is checked in another thread."""
        raw = self.opened()
        jid = JID.parse(JULIET)
        passwords = self.server.getServiceNamed("clients").passwords
        running: list[Any] = []

        def later(function: Any) -> Deferred[Any]:
            running.append((function, Deferred()))
            return running[-1][1]

        self.patch(passwords, "_run_in_thread", later)
        raw.sasl("auth", b64encode(f"\0juliet\0{PASSWORD}".encode()).decode(), "PLAIN")
        self.federation.result(change_password(self.server.storage.accounts, jid, "new", at_once))
        ((function, answered),) = running
        answered.callback(function())
        self.network.pump()
        (failure,) = raw.take()
        self.assertEqual(condition(failure), "not-authorized")

    def test_account_deleted_while_logging_in(self) -> None:
        """Nor does anybody log in to an account that is gone by then."""
        raw = self.opened()
        case = self

        class Slow(ScramClient):
            def respond(self, challenge: bytes) -> bytes:
                case.federation.result(case.server.storage.accounts.delete(CAPULET, "juliet"))
                return super().respond(challenge)

        self.assertEqual(condition(raw.auth(Slow("SCRAM-SHA-256", "juliet", PASSWORD, "n" * 20, {}))), "not-authorized")
