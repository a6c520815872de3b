"""Whom somebody here lets in, and remembers."""

from __future__ import annotations

from collections.abc import Callable

from twisted.logger import Logger

from xmppfed.e2e.connecting import Local
from xmppfed.e2e.host import Beneath
from xmppfed.e2e.stream import PeerStream
from xmppfed.e2e.trust import Acquaintance, Policy, Trust, TrustRefused, TrustStore, judge, name_key
from xmppfed.net.certificates import moment
from xmppfed.net.peer import dates_alone
from xmppfed.net.websocketwire import printable

__all__ = ["Acquaintances"]

MOST_REMEMBERED = 1000
"""Peers in the store of whom no person has decided anything."""
_DAY, _MINUTE = 86_400.0, 60.0


class Acquaintances:
    """Judges peers by a store and a policy, and keeps the store."""

    log = Logger()

    def __init__(
        self, local: Local, store: TrustStore, policy: Policy, refuses: Callable[[str], str | None], *, fixed_names: bool
    ) -> None:
        """`refuses` says why somebody of a name may not speak with us, whatever it shows. With `fixed_names` a key is good for
        the one name that it is known by: that is an address, and no name on a link."""
        self.policy = policy
        self._local = local
        self._clock = local.reactor
        self._store = store
        self._refuses = refuses
        self._fixed_names = fixed_names

    def judge(self, name: str, beneath: Beneath) -> Trust:
        """How a peer is known: by its certificate; without one it is at least where its name is announced. Raises
        TrustRefused."""
        if name and (why := self._refuses(name)) is not None:
            raise TrustRefused(why)
        trust = judge(name, beneath.certificate, self._store, self.policy)
        if beneath.certificate is not None and self._fixed_names:
            known = self._store.by_key(beneath.certificate.spki_sha256)
            if known is not None and name_key(known.name) != name_key(name):
                text = f"{name} shows the key of {known.name}, which is another address here"
                raise TrustRefused(
                    f"{text}. If both are one, pin the key under that name: `xmppfedctl e2e trust pin`.", loud=True
                )
        if beneath.certificate is not None and trust is Trust.FIRST_USE:
            problem, _ = dates_alone(beneath.certificate, moment(self._clock))
            if problem is not None:
                text = f"found {name} with a {problem}; wanted one that holds, for whom we meet for the first time"
                raise TrustRefused(text, unknown=True)
            if self._store.by_key(beneath.certificate.spki_sha256) is None and self._remembers_enough():
                text = f"more than {MOST_REMEMBERED} peers are remembered already, and {name} is not among them"
                raise TrustRefused(f"{text}. Pin its key with `xmppfedctl e2e trust pin`, or pair with it.", unknown=True)
        if name and beneath.certificate is None and beneath.names is not None and name_key(name) not in beneath.names:
            there = ", ".join(sorted(beneath.names)) or "nobody"
            text = f"found {name} at {beneath.address}, without a certificate; announced there is {there}"
            raise TrustRefused(f"{text}. Somebody may be posing as it.", loud=True)
        return trust

    def remember(self, stream: PeerStream) -> bool:
        """Keep whom we have met: a first use, and that an authority has vouched; who comes without TLS leaves no trace. False
        when that cannot be written down: who was let in as the first of a name must not be the first time and again."""
        certificate = stream.beneath.certificate
        if certificate is None:
            return True
        now = self._clock.seconds()
        known = self._store.by_name(stream.name)
        if known is not None and known.trust is stream.trust and now - known.last_seen < _DAY:
            return True
        if known is None and stream.trust is Trust.VERIFIED and self._remembers_enough():
            return True
        key = None if stream.trust is Trust.VERIFIED else certificate.spki_sha256
        former = self._store.by_key(certificate.spki_sha256) if key else known
        if former is not None and former.trust is stream.trust and now - former.last_seen < _MINUTE:
            return True  # the same one under one name after another: not every one of them is worth a write
        first = former.first_seen if former is not None else now
        met = Acquaintance(name=stream.name, trust=stream.trust, spki_sha256=key, first_seen=first or now, last_seen=now)
        try:
            self._store.keep(met)
        except OSError:
            self.log.failure("{peer} could not be remembered", peer=printable(stream.name))
            if former is None and stream.trust is not Trust.VERIFIED:
                return False
        self._local.cut(met)
        return True

    def _remembers_enough(self) -> bool:
        """Strangers do not fill the store, and none of them pushes out somebody who is known."""
        undecided = (Trust.FIRST_USE, Trust.VERIFIED)
        return sum(one.trust in undecided and not one.revoked for one in self._store.all()) >= MOST_REMEMBERED
