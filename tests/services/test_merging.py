"""Our links in the host-meta that a domain has already."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from tests.services.test_wellknown import ADDRESSES, publish, read_strictly
from xmppfed.discovery.hostmeta import REL, parse_json, parse_xrd
from xmppfed.discovery.xrd import NS_XRD
from xmppfed.errors import ConfigError
from xmppfed.services.merging import Base
from xmppfed.services.wellknown import REL_C2S

XRD = (
    "<?xml version='1.0' encoding='utf-8'?>\n<!-- written by hand: é -->\n"
    f"<XRD xmlns='{NS_XRD}'>\n  <Subject>example.org</Subject>\n"
    "  <Link rel='lrdd' template='https://example.org/lrdd?uri={uri}'/>\n</XRD>\n<!-- </XRD> -->\n"
)
JRD = {
    "subject": "example.org",
    "properties": {"https://a.example/p": None},
    "links": [{"rel": "lrdd", "template": "https://example.org/lrdd?uri={uri}"}],
}


class MergingCase(SynchronousTestCase):
    """A folder with what the domain has."""

    def setUp(self) -> None:
        """An empty one."""
        self.path = Path(self.mktemp())

    def base(self, xrd: str | None = None, jrd: object = None) -> Base:
        """Write the files, and read them as the server does."""
        for file, text in ((self.path, xrd), (Path(f"{self.path}.json"), None if jrd is None else json.dumps(jrd))):
            if text is not None:
                file.write_text(text, encoding="utf-8")
            else:
                file.unlink(missing_ok=True)
        return Base.read(self.path)

    def refused(self, base: Base | None = None, **more: object) -> str:
        """Why the documents cannot be made; the file is named."""
        with self.assertRaises(ConfigError) as caught:
            publish(base=base or Base.read(self.path), **more)  # type: ignore[arg-type]  # what the test says
        self.assertIn(str(self.path), str(caught.exception))
        return str(caught.exception)


class Merged(MergingCase):
    """What is there stays, and ours is added."""

    def test_xrd(self) -> None:
        """Every byte of the XRD stays, comments too; our links stand at its end."""
        data = publish(base=self.base(XRD)).xrd
        before, ours = XRD[: XRD.index("</XRD>")], data.decode()
        self.assertTrue(ours.startswith(before))
        self.assertTrue(ours.endswith(XRD[len(before) :]))
        rels = [link.attrib["rel"] for link in ElementTree.fromstring(data).findall(f"{{{NS_XRD}}}Link")]
        self.assertEqual(rels, ["lrdd", REL_C2S, REL])
        self.assertEqual(parse_xrd(data, "example.org").candidates[0].host, "xmpp.example")

    def test_prefixed_xrd(self) -> None:
        """Also in an XRD that is written with a prefix."""
        data = publish(base=self.base(f"<x:XRD xmlns:x='{NS_XRD}'></x:XRD >")).xrd
        self.assertEqual(len(parse_xrd(data, "example.org").candidates), 1)

    def test_jrd(self) -> None:
        """The members and links of the JRD stay; a strict reader takes it, and finds our links."""
        data = publish(base=self.base(None, JRD)).json
        document = json.loads(data)
        self.assertEqual((document["subject"], document["properties"]), (JRD["subject"], JRD["properties"]))
        self.assertEqual([link["rel"] for link in document["links"]], ["lrdd", REL_C2S, REL])
        skips_srv, _ = read_strictly(data)
        self.assertTrue(skips_srv)
        self.assertEqual(parse_json(data, "example.org").candidates[0].addresses, (ADDRESSES[0], "2001:db8::7"))

    def test_jrd_without_addresses(self) -> None:
        """Without addresses the `xmpp` object is not ours to write, and only the link for clients is added."""
        document = json.loads(publish(base=self.base(None, JRD), addresses=()).json)
        self.assertNotIn("xmpp", document)
        self.assertEqual([link["rel"] for link in document["links"]], ["lrdd", REL_C2S])

    def test_pins_stay(self) -> None:
        """Key pins are the operator's: our `xmpp` object is added to theirs, its ttl is ours."""
        theirs = {"xmpp": {"ttl": 60, "public-key-pins-sha-256": ["x"]}}
        self.assertEqual(
            json.loads(publish(base=self.base(None, theirs)).json)["xmpp"],
            {"ttl": 3600, "public-key-pins-sha-256": ["x"]},
        )

    def test_one_file(self) -> None:
        """Where one of the files is missing ours stands alone."""
        self.assertEqual(publish(base=self.base(XRD)).json, publish().json)
        self.assertEqual(publish(base=self.base(None, JRD)).xrd, publish().xrd)

    def test_read_once(self) -> None:
        """The files are read when the server starts."""
        base = self.base(XRD, JRD)
        self.path.unlink()
        self.assertIn(b"lrdd", publish(base=base).xrd)


class Refused(MergingCase):
    """What cannot be merged stops the start, and names the file."""

    def test_no_file(self) -> None:
        """Neither file is there."""
        self.assertIn("found neither this file nor", self.refused())

    def test_unreadable(self) -> None:
        """It is a folder."""
        self.path.mkdir()
        self.assertIn("cannot be read (Is a directory)", self.refused())

    def test_broken(self) -> None:
        """It is no host-meta."""
        cases: list[tuple[str | None, object, str]] = [
            ("<html/>", None, "its root is 'html'"),
            (XRD.replace("</XRD>\n", "", 1), None, "not XML"),
            (f"<!DOCTYPE XRD><XRD xmlns='{NS_XRD}'></XRD>", None, "DOCTYPE"),
            (f"<XRD xmlns='{NS_XRD}'/>", None, "found a root that is empty"),
            (None, [], "not a JSON object"),
            (None, {"links": {}}, "its links are not an array"),
            (None, {"xmpp": [1]}, "found an xmpp that is no object"),
        ]
        for xrd, jrd, reason in cases:
            self.assertIn(reason, self.refused(self.base(xrd, jrd)))

    def test_our_links(self) -> None:
        """A link of a kind that is ours stands there already: one of the two would be wrong."""
        old = f"<Link rel='{REL_C2S}' href='wss://old.example/'/></XRD>"
        self.assertIn(f"found a link {REL_C2S}; wanted none", self.refused(self.base(XRD.replace("</XRD>", old, 1))))
        links = [{"rel": REL, "href": "wss://old.example/"}, 7]
        self.assertIn(f"found a link {REL}; wanted none", self.refused(self.base(None, {"links": links})))

    def test_their_xmpp_object(self) -> None:
        """An `xmpp` object demands addresses of every link: without ours strict readers would drop the file."""
        base = self.base(None, {"xmpp": {"ttl": 60}})
        self.assertIn("set public_addresses, or remove it", self.refused(base, addresses=()))
