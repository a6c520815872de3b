"""Contact addresses (XEP-0157)."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.modules.hosting import Hosting
from xmppfed.core.disco import NS_INFO
from xmppfed.errors import ConfigError
from xmppfed.modules.contact import FORM_TYPE, Contact, ContactOptions
from xmppfed.modules.disco import Disco
from xmppfed.testing.federation import Federation

INFO = f"<iq to='{{}}' type='get'><query xmlns='{NS_INFO}'/></iq>"


class ToldTests(SynchronousTestCase):
    """Who asks the server for its features is told whom to write to."""

    def test_form(self) -> None:
        """The form stands behind the features (XEP-0128), with those addresses that the configuration has, also to others."""
        settings = "[modules.contact]\nabuse = ['mailto:abuse@a.example', 'xmpp:abuse@a.example']\nstatus = ['https://a.example']"
        federation = Federation("capulet.example", "montague.example", configuration={"capulet.example": settings})
        self.addCleanup(federation.cleanup)
        for address in ("juliet@capulet.example", "romeo@montague.example"):
            answer = federation.client(address).request(INFO.format("capulet.example"))
            *_, form = next(answer.element.elements()).elements()
            told = {field.get("var"): [value.text for value in field.elements()] for field in form.elements()}
            self.assertEqual(
                told,
                {
                    "FORM_TYPE": [FORM_TYPE],
                    "abuse-addresses": ["mailto:abuse@a.example", "xmpp:abuse@a.example"],
                    "status-addresses": ["https://a.example"],
                },
            )

    def test_nothing_to_tell(self) -> None:
        """Without addresses there is no form."""
        server = Hosting(Disco, Contact)
        info = next(server.ask("get", "example.org", f"{{{NS_INFO}}}query").element.elements())
        self.assertEqual({child.namespace for child in info.elements()}, {NS_INFO})


class RefusedTests(SynchronousTestCase):
    """What is no address stops the start."""

    def test_no_uri(self) -> None:
        """Key, what was found and what was wanted are named."""
        host = Hosting(Contact).modules[0].host
        for wrong in ("abuse@example.org", "", "mailto:", "javascript:alert(1)", "mailto:a b@example.org", "mailto:\u00e4@b"):
            error = self.assertRaises(ConfigError, Contact, host, ContactOptions(abuse=("mailto:a@b", wrong)))
            self.assertIn(f"modules.contact.abuse: found {wrong!r}; wanted a URI such as mailto:", str(error))
