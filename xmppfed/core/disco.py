"""What an entity says of itself (XEP-0030), and the hash by which others know that they have heard it (XEP-0115)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha1

from xmppfed.core.element import Element
from xmppfed.core.namespaces import NS_XML

__all__ = ["CAPS_NODE", "NS_DATA", "NS_INFO", "NS_ITEMS", "form", "info", "verification"]

NS_INFO = "http://jabber.org/protocol/disco#info"
NS_ITEMS = "http://jabber.org/protocol/disco#items"
NS_DATA = "jabber:x:data"
CAPS_NODE = "urn:xmppfed:server"
"""Names the software (XEP-0115, 4)."""

_FORM_TYPE = "FORM_TYPE"


def info(category: str, type: str, features: Iterable[str], forms: Iterable[Element] = ()) -> Element:
    """The answer to disco#info (XEP-0030, 3), with `forms` behind it (XEP-0128)."""
    query = Element("query", NS_INFO)
    query.add("identity", category=category, type=type)
    for feature in features:
        query.add("feature", var=feature)
    query.children.extend(forms)
    return query


def form(form_type: str, fields: Iterable[tuple[str, Iterable[str]]]) -> Element:
    """A data form of results (XEP-0004) whose fields are known by `form_type` (XEP-0068)."""
    made = Element("x", NS_DATA, {"type": "result"})
    made.add("field", var=_FORM_TYPE, type="hidden").add("value", text=form_type)
    for var, values in fields:
        field = made.add("field", var=var)
        for value in values:
            field.add("value", text=value)
    return made


def verification(query: Element) -> str:
    """The verification string of an answer to disco#info, by SHA-1, which every implementation has (XEP-0115, 5.1)."""
    identities = ["/".join(one.get(name) or "" for name in _IDENTITY) for one in _children(query, "identity")]
    features = [one.get("var") or "" for one in _children(query, "feature")]
    forms = sorted(_form_parts(one) for one in query.elements() if one.tag == f"{{{NS_DATA}}}x")
    parts = [*sorted(identities), *sorted(features), *(part for parts in forms for part in parts)]
    return b64encode(sha1("".join(f"{part}<" for part in parts).encode(), usedforsecurity=False).digest()).decode()


_IDENTITY = ("category", "type", f"{{{NS_XML}}}lang", "name")


def _form_parts(form: Element) -> list[str]:
    """The type of the form, then each field with its values."""
    fields = {field.get("var") or "": sorted(value.text for value in field.elements()) for field in form.elements()}
    parts = fields.pop(_FORM_TYPE, [])
    for var, values in sorted(fields.items()):
        parts += [var, *values]
    return parts


def _children(query: Element, name: str) -> list[Element]:
    return [child for child in query.elements() if child.tag == f"{{{NS_INFO}}}{name}"]
