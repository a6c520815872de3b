"""XRD, the XML form of a host-meta document (RFC 6415). Pure; the bytes are a stranger's."""

from __future__ import annotations

from collections.abc import Callable
from xml.parsers.expat import ExpatError, ParserCreate

from xmppfed.discovery.documents import MAX_DEPTH, check_number, check_size, too_deep
from xmppfed.discovery.urls import shown
from xmppfed.errors import DiscoveryError

__all__ = ["NS_XRD", "xrd_links"]

NS_XRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"


def xrd_links(data: bytes) -> list[tuple[str | None, str | None]]:
    """The rel and href of every Link below the root XRD.

    Raises DiscoveryError for a document that is too long, not well-formed, or has a DOCTYPE: so no entity is ever declared.
    """
    check_size(data)
    links: list[tuple[str | None, str | None]] = []
    open_elements: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if not open_elements and name != f"{NS_XRD} XRD":
            raise DiscoveryError(f"its root is {shown(name)}, wanted XRD in {NS_XRD}")
        if len(open_elements) >= MAX_DEPTH:
            raise too_deep()
        if len(open_elements) == 1 and name == f"{NS_XRD} Link":
            links.append((attributes.get("rel"), attributes.get("href")))
            check_number(len(links), "links")
        open_elements.append(name)

    _run_expat(data, start, lambda name: open_elements.pop())
    return links


def _run_expat(data: bytes, start: Callable[[str, dict[str, str]], None], end: Callable[[str], object]) -> None:
    def refuse_doctype(*declaration: object) -> None:
        raise DiscoveryError("it has a DOCTYPE, wanted none")

    parser = ParserCreate("utf-8", " ")
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(data.decode("utf-8").removeprefix("\ufeff"), True)
    except (ExpatError, UnicodeDecodeError) as error:
        raise DiscoveryError(f"it is not XML in UTF-8: {error}") from None
