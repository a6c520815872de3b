"""Documents over HTTPS: attacks, limits, and the plain case."""

from __future__ import annotations

import builtins
import gzip
import sys
import zlib
from ipaddress import ip_network
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from OpenSSL.SSL import Error as TLSError
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import Agent
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface.verify import verifyObject

from tests.discovery.support import PUBLIC, Servers, Table, plain
from xmppfed.discovery.fetch import DocumentClient, _BoundedEndpoint, _JudgedEndpoint, _PlainAgent
from xmppfed.discovery.records import Records
from xmppfed.discovery.urls import Target
from xmppfed.errors import DiscoveryError, XMPPFedError
from xmppfed.timeouts import Timeouts

URL = "https://example.org/.well-known/host-meta.json"
MEBIBYTE = b"x" * 1024 * 1024
REQUEST_HEADERS = {b"host", b"connection", b"user-agent", b"accept-encoding"}


def header_names(request: bytes) -> set[bytes]:
    """The names of a request's headers, in lower case."""
    return {line.split(b":")[0].lower() for line in request.split(b"\r\n")[1:] if line}


def delayed_calls() -> list[Any]:
    """What waits on the global reactor; nothing does where there is none."""
    return list(getattr(sys.modules.get("twisted.internet.reactor"), "getDelayedCalls", list)())


class FetchCase(SynchronousTestCase):
    """A client, a DNS table, and the servers it meets."""

    def setUp(self) -> None:
        """`example.org` is public, `inside.example` is not."""
        self.reactor = Servers()
        self.table = Table(example_org=[PUBLIC], inside_example=["10.0.0.1"])
        self.client = DocumentClient(self.reactor, self.table.addresses, (), plain, Timeouts())

    def get(self, url: str = URL) -> Deferred[bytes]:
        """Start to get a document."""
        return Deferred.fromCoroutine(self.client.get(url))

    def assert_refused(self, getting: Deferred[bytes], *reasons: str) -> None:
        """It failed, and the text says why."""
        text = str(self.failureResultOf(getting, DiscoveryError).value)
        for reason in reasons:
            self.assertIn(reason, text)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class PlainTests(FetchCase):
    """A document that is there."""

    def test_document(self) -> None:
        """The request has no cookie and no credentials, asks for no compression, and the body is the answer."""
        getting = self.get()
        peer = self.reactor.accept()
        self.assertEqual(self.reactor.attempts, [(PUBLIC, 443)])
        lines = peer.request.split(b"\r\n")
        self.assertEqual(lines[0], b"GET /.well-known/host-meta.json HTTP/1.1")
        self.assertEqual(header_names(peer.request), REQUEST_HEADERS)
        self.assertTrue({b"Host: example.org", b"Connection: close", b"Accept-Encoding: identity"} <= set(lines))
        peer.respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")
        self.assertTrue(peer.transport.ended)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_piece_by_piece(self) -> None:
        """A body may come in pieces, and in chunks."""
        getting = self.get()
        peer = self.reactor.accept()
        for byte in b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n":
            peer.send(bytes([byte]))
        self.assertEqual(self.successResultOf(getting), b"abcde")

    def test_body_that_ends_with_the_connection(self) -> None:
        """HTTP/1.0 servers say no length: the end of the connection is the end of the body."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\nabc")
        self.assertNoResult(getting)
        peer.close()
        self.assertEqual(self.successResultOf(getting), b"abc")

    def test_largest_body(self) -> None:
        """64 KiB are not too many."""
        getting = self.get()
        self.reactor.accept().respond(200, b"x" * 65536, x_padding="y" * 8000)
        self.assertEqual(len(self.successResultOf(getting)), 65536)

    def test_ipv6(self) -> None:
        """An IPv6 address is connected to, and one in the URL needs no DNS."""
        self.table.answer("2a00::1", ["2a00::1"])
        getting = self.get("https://[2a00::1]:8443/")
        peer = self.reactor.accept()
        self.assertEqual(self.reactor.attempts, [("2a00::1", 8443)])
        self.assertIn(b"Host: [2a00::1]:8443\r\n", peer.request)
        peer.respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")

    def test_url_as_written(self) -> None:
        """What is asked for is what the URL says, in hosts that IDNA does not know and in characters it need not have."""
        self.table.answer("_xmpp.example.org", [PUBLIC])
        getting = self.get("https://_xmpp.example.org:443/a|b/%7e/../c?d=[e]&&f=g=")
        peer = self.reactor.accept()
        self.assertTrue(peer.request.startswith(b"GET /a|b/%7e/../c?d=[e]&&f=g= HTTP/1.1\r\n"))
        self.assertIn(b"Host: _xmpp.example.org\r\n", peer.request)
        peer.respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")

    def test_empty_document(self) -> None:
        """A body of no bytes is a body."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.respond(200)
        self.assertEqual(self.successResultOf(getting), b"")
        self.assertTrue(peer.transport.ended)

    def test_next_address(self) -> None:
        """When an address refuses the next one is tried, each for two seconds; all reasons are told when none accepts."""
        self.table.answer("example.org", [PUBLIC, "10.0.0.1", "8.8.4.4"])
        getting = self.get()
        self.assertEqual(self.reactor.peer().timeout, 2)
        self.reactor.peer().refuse()
        self.assertEqual(self.reactor.attempts, [(PUBLIC, 443), ("8.8.4.4", 443)])
        self.reactor.peer().refuse()
        self.assert_refused(getting, "10.0.0.1 is a private address", "8.8.8.8: ", "8.8.4.4: ", "refused")

    def test_few_addresses(self) -> None:
        """No more than four addresses are tried."""
        self.table.answer("example.org", [f"8.8.8.{n}" for n in range(9)])
        getting = self.get()
        for _ in range(4):
            self.reactor.peer().refuse()
        self.assert_refused(getting, "8.8.8.3: ")
        self.assertEqual(len(self.reactor.attempts), 4)


class AddressTests(FetchCase):
    """Only addresses that were judged are connected to."""

    def test_private_address(self) -> None:
        """A name that leads inside is not followed: there is no connection at all."""
        for address in ("127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "fd00::1", "2002:a00:1::1", "64:ff9b::7f00:1"):
            self.table.answer("example.org", [address])
            self.assert_refused(self.get(), f"{address} is ", "allow_private_addresses")
        self.assertEqual(self.reactor.attempts, [])

    def test_private_address_in_the_url(self) -> None:
        """An address written into a URL is judged like any other."""
        self.table.answer("10.0.0.1", ["10.0.0.1"])
        self.assert_refused(self.get("https://10.0.0.1/"), "10.0.0.1 is a private address")
        self.assertEqual(self.reactor.attempts, [])

    def test_rebinding(self) -> None:
        """A name whose second answer (TTL 0) is private is resolved once: the judged address is connected to."""
        self.table.answer("example.org", [PUBLIC], ["127.0.0.1"])
        getting = self.get()
        self.reactor.accept().respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")
        self.assertEqual((self.table.asked, self.reactor.attempts), (["example.org"], [(PUBLIC, 443)]))
        self.assert_refused(self.get(), "127.0.0.1 is a loopback address")
        self.assertEqual(self.reactor.attempts, [(PUBLIC, 443)])

    def test_allowed_network(self) -> None:
        """Networks the operator listed are connected to."""
        self.client = DocumentClient(self.reactor, self.table.addresses, [ip_network("10.0.0.0/8")], plain, Timeouts())
        getting = self.get("https://inside.example/")
        self.reactor.accept().respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")

    def test_unknown_name(self) -> None:
        """The reason of the resolver is the reason."""
        self.assert_refused(self.get("https://nowhere.example/"), "nowhere.example", "the name does not exist")


class RedirectTests(FetchCase):
    """At most three redirects, each judged anew."""

    def redirect(self, location: str, status: int = 302) -> None:
        """Answer the newest request with a redirect."""
        peer = self.reactor.accept()
        peer.respond(status, b"moved", Location=location)
        self.assertTrue(peer.transport.ended)

    def test_followed(self) -> None:
        """Three redirects are followed, relative ones too, to the port they name; every host is resolved and judged."""
        self.table.answer("www.example.org", ["8.8.4.4"])
        getting = self.get()
        self.redirect("https://www.example.org:8443/a#fragment", 301)
        self.redirect("/b?c", 307)
        self.redirect("d", 308)
        peer = self.reactor.accept()
        self.assertEqual(self.reactor.attempts, [(PUBLIC, 443), *[("8.8.4.4", 8443)] * 3])
        self.assertTrue(peer.request.startswith(b"GET /d HTTP/1.1\r\n"))
        peer.respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")

    def test_fourth(self) -> None:
        """The fourth redirect is refused, and not connected to."""
        getting = self.get()
        for number in range(4):
            self.redirect(f"https://example.org/{number}")
        self.assert_refused(getting, "more than 3 times", "https://example.org/3")
        self.assertEqual(len(self.reactor.attempts), 4)

    def test_bad_targets(self) -> None:
        """A redirect to another scheme, to credentials, or to what is no URL is refused without a connection."""
        targets = {
            "http://example.org/": "the scheme 'http', wanted https:",
            "file:///etc/passwd": "the scheme 'file'",
            "ftp://example.org/": "the scheme 'ftp'",
            "https://user:secret@example.org/": "carries credentials",
            "https://[/": "is no URL",
            "//a b/": "printable ASCII",
            "https://\xff/": "printable ASCII",
        }
        for count, (location, reason) in enumerate(targets.items(), 1):
            getting = self.get()
            self.redirect(location)
            self.assert_refused(getting, reason)
            self.assertEqual(len(self.reactor.attempts), count)

    def test_private_target(self) -> None:
        """A redirect inside is refused without a connection."""
        getting = self.get()
        self.redirect("https://inside.example/")
        self.assert_refused(getting, "10.0.0.1 is a private address")
        self.assertEqual(self.reactor.attempts, [(PUBLIC, 443)])

    def test_nowhere(self) -> None:
        """A redirect without a location is a status like any other."""
        getting = self.get()
        self.reactor.accept().respond(302)
        self.assert_refused(getting, "the status is 302, wanted 200")


class LimitTests(FetchCase):
    """Time and size are bounded, whatever the server does."""

    def test_first_url(self) -> None:
        """The first URL must be https: without credentials, too."""
        self.assert_refused(self.get("http://example.org/"), "wanted https:")
        self.assert_refused(self.get("https://user@example.org/"), "credentials")
        self.assertEqual(self.reactor.attempts, [])

    def test_status(self) -> None:
        """Only 200 is a document; the rest of the answer is not waited for."""
        for status in (204, 206, 404, 500):
            getting = self.get()
            peer = self.reactor.accept()
            peer.send(f"HTTP/1.1 {status} X\r\nContent-Length: 1000000\r\n\r\n".encode())
            self.assert_refused(getting, "example.org port 443", f"the status is {status}, wanted 200")
            self.assertTrue(peer.transport.ended)

    def test_large_body(self) -> None:
        """Ten gigabytes are announced: after 64 KiB and a little the connection is cut, with the limit as the reason."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n")
        for _ in range(100):
            peer.send(MEBIBYTE[:1024])
        self.assertTrue(peer.transport.aborted)
        self.assert_refused(getting, "larger than 65536 bytes")

    def test_one_byte_too_many(self) -> None:
        """A body of 65537 bytes is refused."""
        getting = self.get()
        self.reactor.accept().respond(200, b"x" * 65537)
        self.assert_refused(getting, "larger than 65536 bytes")

    def test_endless_headers(self) -> None:
        """Headers count as well, and so do chunks of nothing and interim answers."""
        for start, more in ((b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), (b"", b"HTTP/1.1 103 X\r\n\r\n")):
            getting = self.get()
            peer = self.reactor.accept()
            peer.send(start)
            for _ in range(30_000):
                peer.send(more)
            self.assertTrue(peer.transport.aborted)
            self.assert_refused(getting, "larger than 65536 bytes")

    def test_compression(self) -> None:
        """A compressed body, which nobody asked for, is refused unread."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n")
        self.assert_refused(getting, "the content coding is 'gzip', wanted none")
        self.assertTrue(peer.transport.aborted)

    def test_slow_body(self) -> None:
        """A byte a second does not help: after 5 s in all the connection is cut."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        for _ in range(4):
            self.reactor.advance(1)
            peer.send(b"x")
        self.assertNoResult(getting)
        self.reactor.advance(1)
        self.assertTrue(peer.transport.aborted)
        self.assert_refused(getting, "not complete within 5 s")

    def test_silences(self) -> None:
        """5 s hold for DNS, for the connection, for the headers, and for redirects together."""
        stuck: list[str] = []

        async def never(host: str) -> Records[str]:
            stuck.append(host)
            return await Deferred[Any]()

        client = DocumentClient(self.reactor, never, (), plain, Timeouts())
        resolving = Deferred.fromCoroutine(client.get(URL))
        connecting = self.get()
        waiting = self.get()
        peer = self.reactor.accept()
        redirected = self.get()
        self.reactor.advance(3)
        self.reactor.accept().respond(302, Location="/again")
        self.reactor.advance(2)
        for getting in (resolving, connecting, waiting, redirected):
            self.assert_refused(getting, "not complete within 5 s")
        self.assertEqual(stuck, ["example.org"])
        self.assertTrue(peer.transport.ended)

    def test_garbage(self) -> None:
        """What is not HTTP, and an early end, are reasons."""
        for data, reason in (
            (b"SSH-2.0-OpenSSH\r\n", "port 443"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "port 443"),
            (b"", "ConnectionDone"),
        ):
            getting = self.get()
            peer = self.reactor.accept()
            peer.send(data)
            peer.close()
            self.assert_refused(getting, reason)

    @given(
        st.binary()
        | st.lists(
            st.sampled_from(
                [
                    b"HTTP/1.1 ",
                    b"200 OK\r\n",
                    b"302 X\r\n",
                    b"Content-Length: ",
                    b"5",
                    b"-1",
                    b"\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Location: ",
                    b"https://example.org/",
                    b"\xff",
                    b"\0",
                    b"zz\r\n",
                    b"hello",
                ]
            )
        ).map(b"".join)
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Whatever a server sends, the end is a body or a DiscoveryError, within 5 s and without a trace."""
        self.setUp()
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(data)
        peer.close()
        self.reactor.advance(5)
        getting.addErrback(lambda failure: failure.trap(DiscoveryError))
        self.successResultOf(getting)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.flushLoggedErrors()


class CompressionTests(FetchCase):
    """A body in a coding, which nobody asked for, is never unpacked."""

    BOMB = gzip.compress(bytes(63 * 1024 * 1024))

    def setUp(self) -> None:
        """Whatever would unpack anything fails the test."""
        super().setUp()
        self.unpacking = mock.Mock(side_effect=AssertionError("something was unpacked"))
        self.patch(zlib, "decompressobj", self.unpacking)

    def test_bomb(self) -> None:
        """63 MiB in 64 KiB are refused as soon as the headers say so, however they say it, and cut."""
        self.assertLess(len(self.BOMB), 65536)
        for coding, found in (
            ("gzip", "gzip"),
            ("GZip", "GZip"),
            ("identity, gzip", "identity, gzip"),
            ("gzip,identity", "gzip,identity"),
            ("identity\r\nContent-Encoding: gzip", "identity, gzip"),
            ("\r\nContent-Encoding: gzip", ", gzip"),
            ("br", "br"),
        ):
            getting = self.get()
            peer = self.reactor.accept()
            peer.respond(200, self.BOMB, Content_Encoding=coding)
            self.assert_refused(getting, f"the content coding is {found!r}, wanted none")
            self.assertTrue(peer.transport.aborted)
        self.unpacking.assert_not_called()

    def test_bomb_that_redirects(self) -> None:
        """The body of a redirect is not read, so a bomb there does nothing."""
        getting = self.get()
        self.reactor.accept().respond(302, self.BOMB, Content_Encoding="gzip", Location="/b")
        self.reactor.accept().respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")
        self.unpacking.assert_not_called()

    def test_bomb_with_another_status(self) -> None:
        """The status is the reason for a refusal, whatever the body is."""
        getting = self.get()
        self.reactor.accept().respond(404, self.BOMB, Content_Encoding="gzip")
        self.assert_refused(getting, "the status is 404, wanted 200")
        self.unpacking.assert_not_called()

    def test_no_coding(self) -> None:
        """Identity is no coding, and bytes that look compressed are bytes."""
        for header in (b"", b"Content-Encoding: Identity , identity\r\n", b"Content-Encoding:\r\n"):
            getting = self.get()
            self.reactor.accept().send(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n%b\r\n%b" % (len(self.BOMB), header, self.BOMB))
            self.assertEqual(self.successResultOf(getting), self.BOMB)
        self.unpacking.assert_not_called()


class CookieTests(FetchCase):
    """A stranger's cookies are neither read nor sent back."""

    def test_cookie_of_a_redirect(self) -> None:
        """What a redirect sets is not sent with the next request, nor with those of the next document."""
        for _ in range(2):
            getting = self.get()
            for cookies in ({"Set-Cookie": "a=b; Path=/; Secure"}, {"Set-Cookie2": 'c=d; Version="1"'}):
                peer = self.reactor.accept()
                self.assertEqual(header_names(peer.request), REQUEST_HEADERS)
                peer.respond(302, b"moved", Location="/again", **cookies)
            peer = self.reactor.accept()
            self.assertEqual(header_names(peer.request), REQUEST_HEADERS)
            peer.respond(200, b"{}", Set_Cookie="e=f")
            self.assertEqual(self.successResultOf(getting), b"{}")

    def test_cookie_that_cannot_be_read(self) -> None:
        """A cookie outside ASCII, at which the reader of cookies fails, is no reason to fail."""
        for cookies in ({"Set-Cookie": "a=\xff"}, {"Set-Cookie2": "a=\xff"}):
            getting = self.get()
            self.reactor.accept().respond(200, b"{}", **cookies)
            self.assertEqual(self.successResultOf(getting), b"{}")


class ReactorTests(FetchCase):
    """Time is the reactor's that was handed in."""

    def test_global_reactor(self) -> None:
        """A redirect, a document and a silence put no call on the global reactor: nobody even imports it."""
        before = delayed_calls()
        imported = self.imported()
        getting = self.get()
        self.reactor.accept().respond(302, Location="/again")
        self.reactor.accept().respond(200, b"{}")
        self.assertEqual(self.successResultOf(getting), b"{}")
        silent = self.get()
        self.reactor.accept()
        self.reactor.advance(5)
        self.assert_refused(silent, "not complete within 5 s")
        self.assertNotIn(("twisted.internet", "reactor"), imported)
        self.assertEqual(delayed_calls(), before)

    def imported(self) -> list[tuple[str, str]]:
        """Each name that is imported from now on, with the module it is in."""
        seen: list[tuple[str, str]] = []
        original = builtins.__import__

        def spy(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            package, _, last = name.rpartition(".")
            seen.extend([(package, last), *((name, item) for item in fromlist or ())])
            return original(name, globals, locals, fromlist, level)

        self.patch(builtins, "__import__", spy)
        return seen


class CancelTests(FetchCase):
    """Whoever asked may give up."""

    def cancel(self, getting: Deferred[bytes]) -> None:
        """Give up; it must end as a cancellation, not as a reason to remember."""
        getting.cancel()
        self.failureResultOf(getting, CancelledError)
        self.reactor.advance(0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_while_connecting(self) -> None:
        """The attempt to connect is stopped."""
        self.cancel(self.get())
        self.assertTrue(self.reactor.connectors[0].stoppedConnecting)

    def test_while_waiting_for_headers(self) -> None:
        """The connection is cut."""
        getting = self.get()
        peer = self.reactor.accept()
        self.cancel(getting)
        self.assertTrue(peer.transport.aborted)

    def test_while_reading(self) -> None:
        """The connection is cut."""
        getting = self.get()
        peer = self.reactor.accept()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
        self.cancel(getting)
        self.assertTrue(peer.transport.aborted)


class TLSTests(FetchCase):
    """TLS is what the caller hands in."""

    def test_wrapped(self) -> None:
        """TLS is spoken for the host of each URL, around the connection to the judged address."""
        wrapped: list[str] = []

        def wrap(endpoint: IStreamClientEndpoint, host: str) -> IStreamClientEndpoint:
            verifyObject(IStreamClientEndpoint, endpoint)
            wrapped.append(host)
            return endpoint

        self.client = DocumentClient(self.reactor, self.table.addresses, (), wrap, Timeouts())
        self.table.answer("www.example.org", [PUBLIC])
        getting = self.get()
        self.reactor.accept().respond(302, Location="https://www.example.org/")
        self.reactor.accept().respond(200, b"{}")
        self.successResultOf(getting)
        self.assertEqual(wrapped, ["example.org", "www.example.org"])

    def fail(self, error: Exception) -> Deferred[bytes]:  # type: ignore[override]
        """A connection that ends with this error before an answer."""
        getting = self.get()
        self.reactor.accept().close(error)
        return getting

    def test_failed(self) -> None:
        """What TLS found wrong is the reason."""
        reason = "example.org: found a self-signed certificate"
        self.assert_refused(self.fail(XMPPFedError(reason)), f"example.org port 443: {reason}")
        self.assert_refused(self.fail(TLSError([("SSL routines", "", "wrong version number")])), "wrong version number")


class ConformanceTests(SynchronousTestCase):
    """What Twisted calls is what Twisted asks for."""

    def test_interfaces(self) -> None:
        """Both endpoints and the agent provide their interfaces, and the outer endpoint answers for every URI."""

        async def resolve(host: str) -> Records[str]:
            return Records((), 0)

        judged = _JudgedEndpoint(Servers(), resolve, (), Target("example.org", 443, "/"))
        bounded = _BoundedEndpoint(judged, 1)
        verifyObject(IStreamClientEndpoint, judged)
        verifyObject(IStreamClientEndpoint, bounded)
        verifyObject(IAgentEndpointFactory, bounded)
        verifyObject(IAgent, _PlainAgent(Agent.usingEndpointFactory(Servers(), bounded)))

    def test_no_address(self) -> None:
        """A resolver that answers nothing leads to no connection."""

        async def resolve(host: str) -> Records[str]:
            return Records((), 0)

        judged = _JudgedEndpoint(Servers(), resolve, (), Target("example.org", 443, "/"))
        self.failureResultOf(judged.connect(Factory()), DiscoveryError)
