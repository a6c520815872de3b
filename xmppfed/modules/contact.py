"""Contact Addresses for XMPP Services (XEP-0157): whom to write to about this server."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from xmppfed.core.disco import form
from xmppfed.extend import ConfigError, Host, Module, Options

__all__ = ["FORM_TYPE", "Contact", "ContactOptions"]

FORM_TYPE = "http://jabber.org/network/serverinfo"
_URI = re.compile(r"(mailto|xmpp|https?|tel|sips?):[!-~]+")


def _about(what: str, example: str) -> Meta:
    return Meta(description=f"Addresses for {what}, as URIs.", examples=[[example]])


class ContactOptions(Options, frozen=True):
    """Tells whom to write to about this server (XEP-0157). Every key is optional."""

    abuse: Annotated[tuple[str, ...], _about("reports of abuse", "mailto:abuse@example.org")] = ()
    admin: Annotated[tuple[str, ...], _about("the operators", "xmpp:admin@example.org")] = ()
    feedback: Annotated[tuple[str, ...], _about("praise and blame", "https://example.org/feedback")] = ()
    sales: Annotated[tuple[str, ...], _about("sales", "mailto:sales@example.org")] = ()
    security: Annotated[tuple[str, ...], _about("security concerns", "mailto:security@example.org")] = ()
    status: Annotated[tuple[str, ...], _about("news of outages", "https://status.example.org")] = ()
    support: Annotated[tuple[str, ...], _about("help", "xmpp:support@example.org?message")] = ()


class Contact(Module):
    """Puts the addresses into the answer to disco#info, as a form (XEP-0128)."""

    options = ContactOptions

    def __init__(self, host: Host, options: ContactOptions) -> None:
        """Raises ConfigError for what is no URI."""
        super().__init__(host, options)
        addresses = msgspec.structs.asdict(options)
        for name, values in addresses.items():
            for value in values:
                _check(name, value)
        fields = [(f"{name}-addresses", values) for name, values in addresses.items() if values]
        self.forms = (form(FORM_TYPE, fields),) if fields else ()


def _check(name: str, value: str) -> None:
    if not _URI.fullmatch(value):
        wanted = "a URI such as mailto:abuse@example.org, xmpp:admin@example.org or https://example.org/help"
        raise ConfigError(f"modules.contact.{name}: found {value!r}; wanted {wanted}. Write the scheme before the address.")
