"""Whom a peer proves to be, and whether that is enough (XEP-0246, 4; RFC 6120, 13.7).

A name on the network is a claim; a key is not. What a person has decided about a key comes first, then what an authority
says, then the first use; and who was ever encrypted is never plain again. Everything here is a decision about values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from xmppfed.core.identity import domain_name_matched, jid_matched
from xmppfed.core.jid import JID
from xmppfed.e2e.shown import abbreviated
from xmppfed.errors import JIDError, XMPPFedError
from xmppfed.net.peer import PeerCertificate

__all__ = ["Acquaintance", "Policy", "Trust", "TrustRefused", "TrustStore", "bare_name", "judge", "name_key", "same"]


class Trust(Enum):
    """How we know a peer, in the words that a person sees."""

    VERIFIED = "verified"
    """An authority that we believe vouches for the name."""
    PINNED = "pinned"
    """A person has said that this key is the peer's."""
    PAIRED = "paired"
    """Both ends have shown that they know one short code."""
    FIRST_USE = "first-use"
    """The key is the one that came first under this name."""
    PLAIN = "plain"
    """Nothing is proved, and anybody on the way can read."""
    STRANGER = "stranger"
    """Nobody whom we would talk to: it may pair with us, and nothing else. Nobody is kept under this word."""


class Policy(Enum):
    """What a listener or a program asks of its peers at least; each takes what the next one takes, and more."""

    PLAIN = "plain"
    FIRST_USE = "first-use"
    VERIFIED = "verified"
    PAIRED = "paired"
    """A pin or a pairing, and no authority's word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquaintance:
    """What is remembered of a peer. Of one that an authority has vouched for there is no key: those keys rotate."""

    name: str
    """The address, or the name on the link, under which the peer was last met; it is shown, and proves nothing."""
    trust: Trust
    spki_sha256: bytes | None = None
    """SHA-256 of the peer's public key (RFC 7469, 2.4), 32 bytes."""
    revoked: bool = False
    first_seen: float = 0.0
    """Seconds since 1970, like `last_seen`."""
    last_seen: float = 0.0


class TrustStore(Protocol):
    """Remembers peers, by name and by key; revoked keys for ever, by key alone."""

    def by_name(self, name: str) -> Acquaintance | None:
        """Who was last met under this name, whatever its case."""
        ...

    def by_key(self, spki_sha256: bytes) -> Acquaintance | None:
        """Whose key this is, or was."""
        ...

    def all(self) -> Iterable[Acquaintance]:
        """Everybody, by name; those whose key is revoked come last."""
        ...

    def keep(self, acquaintance: Acquaintance) -> None:
        """Remember, in the place of whoever was kept under that name or that key."""
        ...


class TrustRefused(XMPPFedError):
    """A peer that is not talked to. It is `loud` when somebody may be posing as a peer we know: a person has to look. It is
    `unknown` when nothing speaks against it but that we do not know its key: to pair would help."""

    def __init__(self, text: str, *, loud: bool = False, unknown: bool = False) -> None:
        super().__init__(text)
        self.loud = loud
        self.unknown = unknown


def judge(name: str, certificate: PeerCertificate | None, store: TrustStore, policy: Policy) -> Trust:
    """How a peer that is called `name` is known by what it shows: a certificate of its own TLS, or None.

    Raises TrustRefused. Nothing is stored: who goes on with `Trust.FIRST_USE` keeps the key.
    """
    named = store.by_name(name)
    if certificate is None:
        return _judge_plain(name, named, policy)
    known = store.by_key(certificate.spki_sha256)
    if known is not None and known.revoked:
        advice = "A revoked key stays one: the peer has to make a new one."
        raise TrustRefused(f"{name} shows a key that was revoked as that of {known.name}. {advice}", loud=True)
    if named is not None and named.spki_sha256 is not None and named.spki_sha256 != certificate.spki_sha256:
        shown, wanted = abbreviated(certificate.spki_sha256), abbreviated(named.spki_sha256)
        raise TrustRefused(
            f"{name} shows the key {shown}; known under this name is {wanted}. "
            f"Either the peer has a new key, or somebody poses as it. {_REPIN}",
            loud=True,
        )
    decided = known is not None and (known.trust is not Trust.FIRST_USE or policy in _TAKE_THE_FIRST)
    trust = known.trust if known is not None and decided else _judge_stranger(name, certificate, policy)
    if named is not None and named.trust is Trust.VERIFIED and trust is not Trust.VERIFIED:
        raise TrustRefused(f"{name} was vouched for by an authority before; now {_mismatch(name, certificate)}.", loud=True)
    return trust


_REPIN = "If the peer itself says that this is right, revoke the old key with `xmppfedctl e2e trust revoke` and pair again."


_TAKE_THE_FIRST = (Policy.PLAIN, Policy.FIRST_USE)


def _judge_plain(name: str, named: Acquaintance | None, policy: Policy) -> Trust:
    if named is not None and named.trust is not Trust.PLAIN:
        raise TrustRefused(
            f"{name} came without TLS, or without a certificate; it was {named.trust.value} before. "
            "Somebody may be posing as it.",
            loud=True,
        )
    if policy is not Policy.PLAIN:
        raise TrustRefused(
            f"{name} came without TLS, or without a certificate; wanted both, because the policy here is {policy.value}."
        )
    return Trust.PLAIN


def _judge_stranger(name: str, certificate: PeerCertificate, policy: Policy) -> Trust:
    """Nobody has decided about this key yet, and that it came first is not enough everywhere."""
    mismatch = _mismatch(name, certificate)
    if mismatch is None and policy is not Policy.PAIRED:
        return Trust.VERIFIED
    if policy in _TAKE_THE_FIRST:
        return Trust.FIRST_USE
    reason = mismatch or "the policy here takes no authority's word"
    text = f"{name} is not known well enough by its key {abbreviated(certificate.spki_sha256)}: {reason}. Pair with it first."
    raise TrustRefused(text, unknown=True)


def _mismatch(name: str, certificate: PeerCertificate) -> str | None:
    """Why an authority's word does not make the certificate that of `name`."""
    if certificate.problems:
        return f"found a certificate for {certificate.names} ({'; '.join(certificate.problems)})"
    try:
        jid = JID.parse(name).bare
    except JIDError:
        return f"found a certificate for {certificate.names}, and the name is no address that one could be for"
    matched = jid_matched(certificate.names, jid) if jid.local else domain_name_matched(certificate.names, str(jid))
    return None if matched is not None else f"found a certificate for {certificate.names}; wanted one for {jid}"


def bare_name(name: str) -> str:
    """A name without resource. What stands behind the first `/` is one where an `@` stands before it, or nowhere: a name on a
    link may have a `/` in the middle."""
    head, _, tail = name.partition("/")
    return name if "@" in tail and "@" not in head else head


def name_key(name: str) -> str:
    """The form in which names are compared: addresses as what is prepared of them (RFC 7622), so that nobody has two names;
    what is none, on a link, without its case (RFC 6762, 16). Resources do not count."""
    bare = bare_name(name)
    try:
        return str(JID.parse(bare)) if "/" not in bare else bare.casefold()
    except JIDError:
        return bare.casefold()


def same(one: str, other: str) -> bool:
    """Whether two names are one entity's: resources do not count, and on a link neither do capitals."""
    return name_key(one) == name_key(other)
