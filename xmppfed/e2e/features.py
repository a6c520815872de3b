"""What the two ends of a stream negotiate: TLS where it can begin, EXTERNAL where it has begun, stream management after that."""

from __future__ import annotations

from functools import partial

from xmppfed.core.negotiation.feature import Feature
from xmppfed.core.negotiation.sasl import InitiatingSASL, ReceivingSASL
from xmppfed.core.negotiation.sm import InitiatingSM, ReceivingSM
from xmppfed.core.negotiation.starttls import InitiatingStartTLS, ReceivingStartTLS
from xmppfed.core.sasl.external import ExternalClient
from xmppfed.core.sasl.steps import ClientMechanism, Offer
from xmppfed.e2e.host import Beneath, Host
from xmppfed.e2e.session import new_id
from xmppfed.e2e.trust import TrustRefused

__all__ = ["initiating_features", "may_be_plain", "receiving_features"]


def receiving_features(host: Host, name: str, beneath: Beneath, external: ReceivingSASL, *, tls_required: bool) -> list[Feature]:
    """What who is called offers: TLS where it can begin, `external` where it has begun and a certificate was shown."""
    features: list[Feature] = []
    if beneath.can_start_tls and host.certificate is not None:
        features.append(ReceivingStartTLS(required=tls_required))
    if beneath.certificate is not None:
        manage = ReceivingSM(lambda resume: host.new_ledger(new_id() if resume else ""), partial(host.find, name))
        features += [external, manage]
    return features


def initiating_features(host: Host, name: str, beneath: Beneath) -> list[Feature]:
    """What who calls wants: TLS where it can begin, and then to authenticate by the certificate that was shown."""

    def mechanism(offer: Offer) -> ClientMechanism | None:
        return ExternalClient(host.address) if "EXTERNAL" in offer.mechanisms else None

    if beneath.secure:
        return [InitiatingSASL(mechanism), InitiatingSM(host.new_ledger, partial(host.former, name))]
    return [InitiatingStartTLS(required=not may_be_plain(host, name, beneath))] if beneath.can_start_tls else []


def may_be_plain(host: Host, name: str, beneath: Beneath) -> bool:
    """Whether stanzas of this peer may pass as they are, without TLS of ours."""
    try:
        host.judge(name, beneath)
    except TrustRefused:
        return False
    return True
