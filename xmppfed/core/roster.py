"""Rosters as values: contacts, their records in storage, what clients see of them, and which changes are refused
(RFC 6121, 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xmppfed.core.element import Element
from xmppfed.core.jid import JID
from xmppfed.core.subscription import State
from xmppfed.errors import JIDError, StanzaCondition, StanzaError

__all__ = ["LONGEST_NAME", "MOST_GROUPS", "NS", "Contact", "ItemSet", "Roster", "read_set"]

NS = "jabber:iq:roster"
LONGEST_NAME = 512
"""The most characters of a contact's or a group's name."""
MOST_GROUPS = 20

_FLOOR = ""  # the key of a record that is no contact: no address is written so
_LONGEST_VERSION = 18


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact of one account."""

    jid: str
    """The bare address, prepared."""
    state: State = State.NONE
    name: str = ""
    groups: tuple[str, ...] = ()
    listed: bool = False
    """Whether it is in the roster that clients see; who has only asked for a subscription is not (RFC 6121, A.1)."""
    approved: bool = False
    """Whether a request of his is granted in advance (RFC 6121, 3.4)."""
    request: bytes = b""
    """His request for a subscription as it came, while it waits for an answer (RFC 6121, 3.1.3)."""
    version: int = 0
    """Of the roster, when clients last had to be told something of this contact."""

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.jid.rpartition("@")[2]

    @property
    def is_kept(self) -> bool:
        """Whether anything is left to remember."""
        return self.listed or self.state.is_pending_in

    def item(self) -> Element:
        """As clients see it (RFC 6121, 2.1.2)."""
        attributes = {"jid": self.jid, "subscription": self.state.subscription}
        if self.name:
            attributes["name"] = self.name
        if self.state.is_pending_out:
            attributes["ask"] = "subscribe"
        if self.approved:
            attributes["approved"] = "true"
        return Element("item", NS, attributes, [Element("group", NS, {}, [group]) for group in self.groups])

    def to_record(self) -> bytes:
        """As storage keeps it."""
        values = {
            "state": self.state.value,
            "name": self.name,
            "groups": self.groups,
            "listed": self.listed,
            "approved": self.approved,
            "request": self.request.decode(),
            "version": self.version,
        }
        return json.dumps({name: value for name, value in values.items() if value}, ensure_ascii=False).encode()

    @classmethod
    def from_values(cls, jid: str, values: Mapping[str, Any]) -> Contact:
        """What `to_record` has written, as JSON reads it."""
        return cls(
            jid,
            State(values["state"]),
            values.get("name", ""),
            tuple(values.get("groups", ())),
            values.get("listed", False),
            values.get("approved", False),
            values.get("request", "").encode(),
            values.get("version", 0),
        )


@dataclass(slots=True)
class Roster:
    """The contacts of one account by their address, and which version of them clients may have."""

    contacts: dict[str, Contact] = field(default_factory=dict)
    version: int = 0
    """Of what clients see (RFC 6121, 2.6); 0 before the first change."""
    floor: int = 0
    """Whoever has an older version gets the whole roster: a contact was removed since, or nothing older is known."""
    _seen_by: tuple[str, ...] | None = field(default=None, compare=False)
    _sees: dict[str, tuple[str, ...]] | None = field(default=None, compare=False)

    @classmethod
    def from_records(cls, records: Mapping[str, bytes]) -> Roster:
        """The roster that was stored."""
        floor = int(records.get(_FLOOR, b"0"))
        jids = [jid for jid in records if jid != _FLOOR]
        read = json.loads(b"[%b]" % b",".join(records[jid] for jid in jids))  # all at once, which takes a quarter of the time
        contacts = {jid: Contact.from_values(jid, values) for jid, values in zip(jids, read, strict=True)}
        return cls(contacts, max([floor, *(contact.version for contact in contacts.values())]), floor)

    def listed(self) -> Iterator[Contact]:
        """What clients see, in no order."""
        return (contact for contact in self.contacts.values() if contact.listed)

    def seen_by(self) -> tuple[str, ...]:
        """Who is subscribed to the user's presence."""
        if self._seen_by is None:
            self._seen_by = tuple(contact.jid for contact in self.contacts.values() if contact.state.is_seen)
        return self._seen_by

    def sees(self) -> Mapping[str, tuple[str, ...]]:
        """Whose presence the user is subscribed to, by domain."""
        if self._sees is None:
            found: dict[str, list[str]] = {}
            for contact in self.contacts.values():
                if contact.state.sees:
                    found.setdefault(contact.domain, []).append(contact.jid)
            self._sees = {domain: tuple(jids) for domain, jids in found.items()}
        return self._sees

    def waiting(self) -> Iterator[Contact]:
        """Who has asked for a subscription and was not answered."""
        return (contact for contact in self.contacts.values() if contact.request)

    def since(self, version: str) -> list[Contact] | None:
        """What a client with this version has missed, the oldest first; None if it needs everything (RFC 6121, 2.6.3)."""
        known = int(version) if version.isascii() and version.isdigit() and len(version) <= _LONGEST_VERSION else -1
        if known == self.version:
            return []
        if not self.floor <= known < self.version:
            return None
        return sorted((each for each in self.listed() if each.version > known), key=lambda contact: contact.version)

    def change(self, contact: Contact, now: float) -> Change:
        """What it takes that `contact` is so; nothing is changed yet, and a contact of whom nothing is left is removed."""
        old = self.contacts.get(contact.jid)
        was_listed = old is not None and old.listed
        version, floor = self.version, self.floor
        if contact.listed or was_listed:
            version = max(version + 1, int(now * 1000))  # unique and growing, also when an account is made anew
            contact = replace(contact, version=version)
            if not contact.listed or not floor:
                floor = version
        records: dict[str, bytes | None] = {contact.jid: contact.to_record() if contact.is_kept else None}
        if floor != self.floor:
            records[_FLOOR] = str(floor).encode()
        return Change(contact, records, version, floor)

    def apply(self, change: Change) -> None:
        """Make a change that storage has made."""
        if change.contact.is_kept:
            self.contacts[change.contact.jid] = change.contact
        else:
            self.contacts.pop(change.contact.jid, None)
        self.version, self.floor = change.version, change.floor
        self._seen_by = self._sees = None


@dataclass(frozen=True, slots=True)
class Change:
    """One step of a roster: for storage, and then for the roster itself."""

    contact: Contact
    records: Mapping[str, bytes | None]
    version: int
    floor: int

    def pushed(self) -> Element:
        """What clients are told (RFC 6121, 2.1.6)."""
        if self.contact.listed:
            item = self.contact.item()
        else:
            item = Element("item", NS, {"jid": self.contact.jid, "subscription": "remove"})
        return Element("query", NS, {"ver": str(self.version)}, [item])


@dataclass(frozen=True, slots=True)
class ItemSet:
    """A client's wish: to have a contact with this name in these groups, or no more."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    remove: bool = False


def read_set(query: Element, owner: JID) -> ItemSet:
    """The wish in a roster set of `owner`. Raises StanzaError (RFC 6121, 2.3.3)."""
    items = list(query.elements())
    if len(items) != 1 or items[0].tag != f"{{{NS}}}item":
        raise _bad(f"found {len(items)} children of the query; wanted exactly one item")
    jid = _address(items[0], owner)
    if items[0].get("subscription") == "remove":
        return ItemSet(jid, remove=True)
    groups = tuple(group.text for group in items[0].elements() if group.tag == f"{{{NS}}}group")
    if len(set(groups)) != len(groups):
        raise _bad("found a group twice; wanted each once")
    name = items[0].get("name", "") or ""
    for what, text in (("name", name), *(("group", group) for group in groups)):
        if len(text) > LONGEST_NAME or (what == "group" and not text):
            raise _unacceptable(
                f"found a {what} of {len(text)} characters; at most {LONGEST_NAME} are kept, of a group at least 1"
            )
    if len(groups) > MOST_GROUPS:
        raise _unacceptable(f"found {len(groups)} groups; at most {MOST_GROUPS} are kept")
    return ItemSet(jid, name, groups)


def _address(item: Element, owner: JID) -> str:
    try:
        jid = JID.parse(item.get("jid", "") or "")
    except JIDError as error:
        raise _bad(str(error)) from None
    if jid.resource:
        raise _bad(f"found {jid} as the address of a contact; wanted one without a resource")
    if jid == owner:
        raise StanzaError(StanzaCondition.NOT_ALLOWED, text="Nobody is a contact of his own.")
    return str(jid)


def _bad(text: str) -> StanzaError:
    return StanzaError(StanzaCondition.BAD_REQUEST, text=f"{text[0].upper()}{text[1:]}.")


def _unacceptable(text: str) -> StanzaError:
    return StanzaError(StanzaCondition.NOT_ACCEPTABLE, text=f"{text[0].upper()}{text[1:]}.")
