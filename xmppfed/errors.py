"""The tree of errors: what ends a stream, answers a stanza, stops a start, or says why nobody was reached."""

from __future__ import annotations

from enum import Enum
from xml.sax.saxutils import escape

__all__ = [
    "ConfigError",
    "DiscoveryError",
    "JIDError",
    "SASLCondition",
    "SASLError",
    "StanzaCondition",
    "StanzaError",
    "StreamCondition",
    "StreamError",
    "XMPPFedError",
]

NS_STREAM = "http://etherx.jabber.org/streams"
NS_STREAM_ERRORS = "urn:ietf:params:xml:ns:xmpp-streams"
NS_STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
NS_SASL = "urn:ietf:params:xml:ns:xmpp-sasl"


class StreamCondition(Enum):
    """Defined stream error conditions (RFC 6120, 4.9.3)."""

    BAD_FORMAT = "bad-format"
    BAD_NAMESPACE_PREFIX = "bad-namespace-prefix"
    CONFLICT = "conflict"
    CONNECTION_TIMEOUT = "connection-timeout"
    HOST_GONE = "host-gone"
    HOST_UNKNOWN = "host-unknown"
    IMPROPER_ADDRESSING = "improper-addressing"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    INVALID_FROM = "invalid-from"
    INVALID_NAMESPACE = "invalid-namespace"
    INVALID_XML = "invalid-xml"
    NOT_AUTHORIZED = "not-authorized"
    NOT_WELL_FORMED = "not-well-formed"
    POLICY_VIOLATION = "policy-violation"
    REMOTE_CONNECTION_FAILED = "remote-connection-failed"
    RESET = "reset"
    RESOURCE_CONSTRAINT = "resource-constraint"
    RESTRICTED_XML = "restricted-xml"
    SEE_OTHER_HOST = "see-other-host"
    SYSTEM_SHUTDOWN = "system-shutdown"
    UNDEFINED_CONDITION = "undefined-condition"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    UNSUPPORTED_STANZA_TYPE = "unsupported-stanza-type"
    UNSUPPORTED_VERSION = "unsupported-version"


class StanzaCondition(Enum):
    """Defined stanza error conditions (RFC 6120, 8.3.3)."""

    BAD_REQUEST = "bad-request"
    CONFLICT = "conflict"
    FEATURE_NOT_IMPLEMENTED = "feature-not-implemented"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    ITEM_NOT_FOUND = "item-not-found"
    JID_MALFORMED = "jid-malformed"
    NOT_ACCEPTABLE = "not-acceptable"
    NOT_ALLOWED = "not-allowed"
    NOT_AUTHORIZED = "not-authorized"
    POLICY_VIOLATION = "policy-violation"
    RECIPIENT_UNAVAILABLE = "recipient-unavailable"
    REDIRECT = "redirect"
    REGISTRATION_REQUIRED = "registration-required"
    REMOTE_SERVER_NOT_FOUND = "remote-server-not-found"
    REMOTE_SERVER_TIMEOUT = "remote-server-timeout"
    RESOURCE_CONSTRAINT = "resource-constraint"
    SERVICE_UNAVAILABLE = "service-unavailable"
    SUBSCRIPTION_REQUIRED = "subscription-required"
    UNDEFINED_CONDITION = "undefined-condition"
    UNEXPECTED_REQUEST = "unexpected-request"


_AUTH, _CANCEL, _MODIFY, _WAIT = "auth", "cancel", "modify", "wait"
_STANZA_ERROR_TYPES = {
    StanzaCondition.BAD_REQUEST: _MODIFY,
    StanzaCondition.FORBIDDEN: _AUTH,
    StanzaCondition.JID_MALFORMED: _MODIFY,
    StanzaCondition.NOT_ACCEPTABLE: _MODIFY,
    StanzaCondition.NOT_AUTHORIZED: _AUTH,
    StanzaCondition.POLICY_VIOLATION: _MODIFY,
    StanzaCondition.RECIPIENT_UNAVAILABLE: _WAIT,
    StanzaCondition.REDIRECT: _MODIFY,
    StanzaCondition.REGISTRATION_REQUIRED: _AUTH,
    StanzaCondition.REMOTE_SERVER_TIMEOUT: _WAIT,
    StanzaCondition.RESOURCE_CONSTRAINT: _WAIT,
    StanzaCondition.SUBSCRIPTION_REQUIRED: _AUTH,
    StanzaCondition.UNEXPECTED_REQUEST: _WAIT,
}


class SASLCondition(Enum):
    """SASL failure conditions (RFC 6120, 6.5)."""

    ABORTED = "aborted"
    ACCOUNT_DISABLED = "account-disabled"
    CREDENTIALS_EXPIRED = "credentials-expired"
    ENCRYPTION_REQUIRED = "encryption-required"
    INCORRECT_ENCODING = "incorrect-encoding"
    INVALID_AUTHZID = "invalid-authzid"
    INVALID_MECHANISM = "invalid-mechanism"
    MALFORMED_REQUEST = "malformed-request"
    MECHANISM_TOO_WEAK = "mechanism-too-weak"
    NOT_AUTHORIZED = "not-authorized"
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure"


class XMPPFedError(Exception):
    """The root of every error of ours."""


class JIDError(XMPPFedError, ValueError):
    """An address that RFC 7622 does not allow; the text says which part and why."""


class ConfigError(XMPPFedError):
    """A configuration that cannot be used: names file, key, what was found and what was wanted."""


class DiscoveryError(XMPPFedError):
    """No way to reach a domain: says what was tried and why each attempt failed."""


def _text(text: str, namespace: str) -> str:
    return f"<text xmlns='{namespace}' xml:lang='en'>{escape(text)}</text>" if text else ""


class StreamError(XMPPFedError):
    """Ends a stream (RFC 6120, 4.9). `details` is the character data of the condition (`see-other-host`), `specific` an
    element of the application (RFC 6120, 4.9.4)."""

    def __init__(self, condition: StreamCondition, text: str = "", details: str = "", specific: str = "") -> None:
        super().__init__(condition, text, details, specific)
        self.condition, self.text, self.details, self.specific = condition, text, details, specific

    def __str__(self) -> str:
        return f"{self.condition.value}: {self.text}" if self.text else self.condition.value

    def to_xml(self) -> str:
        """The `<stream:error/>` element, complete with its own declaration of the prefix."""
        condition = f"<{self.condition.value} xmlns='{NS_STREAM_ERRORS}'>{escape(self.details)}</{self.condition.value}>"
        text = _text(self.text, NS_STREAM_ERRORS)
        return f"<stream:error xmlns:stream='{NS_STREAM}'>{condition}{text}{self.specific}</stream:error>"


class StanzaError(XMPPFedError):
    """Answers one stanza (RFC 6120, 8.3); the type follows from the condition unless it is given. `specific` is the
    `{namespace}name` of a condition of the application (RFC 6120, 8.3.4)."""

    def __init__(self, condition: StanzaCondition, type: str | None = None, text: str = "", specific: str = "") -> None:
        super().__init__(condition, type, text, specific)
        self.condition, self.text, self.specific = condition, text, specific
        self.type = type or _STANZA_ERROR_TYPES.get(condition, _CANCEL)

    def __str__(self) -> str:
        return f"{self.condition.value}: {self.text}" if self.text else self.condition.value

    def to_xml(self) -> str:
        """The `<error/>` child; it inherits the content namespace of the stanza around it."""
        condition = f"<{self.condition.value} xmlns='{NS_STANZA_ERRORS}'/>"
        namespace, _, name = self.specific[1:].partition("}")
        specific = f"<{name} xmlns='{namespace}'/>" if name else ""
        return f"<error type='{self.type}'>{condition}{_text(self.text, NS_STANZA_ERRORS)}{specific}</error>"


class SASLError(XMPPFedError):
    """Ends one attempt to authenticate (RFC 6120, 6.4.5), not the stream."""

    def __init__(self, condition: SASLCondition, text: str = "") -> None:
        super().__init__(condition, text)
        self.condition, self.text = condition, text

    def __str__(self) -> str:
        return f"{self.condition.value}: {self.text}" if self.text else self.condition.value

    def to_xml(self) -> str:
        """The `<failure/>` element."""
        text = f"<text xml:lang='en'>{escape(self.text)}</text>" if self.text else ""
        return f"<failure xmlns='{NS_SASL}'><{self.condition.value}/>{text}</failure>"
