"""How long anything may take, and how much may wait: one value holds every limit of time the server keeps.

No other place names these figures. Tests hand in their own; production uses the defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Limits in seconds; fields that end in `_bytes`, `_hops`, `_missed`, `_sessions` or `_stanzas` are counts."""

    handshake: float = 10.0
    """The whole WebSocket handshake of a peer, from `connectionMade`: a deadline, not a limit of silence."""
    stream_open: float = 10.0
    """From the end of the handshake to the peer's `<open/>`."""
    authentication: float = 30.0
    """From `<open/>` to the end of a login, or of stream authentication between servers."""
    client_silence: float = 30.0
    """Silence of a client before it is pinged."""
    server_silence: float = 50.0
    """Silence of a server before it is pinged: below the 60 s after which nginx cuts."""
    pings_missed: int = 2
    """Unanswered pings before the connection is aborted."""
    unacknowledged: float = 60.0
    """How long what was sent over TCP may stay unacknowledged: white space gets no answer that would tell (RFC 6120, 4.6.1)."""
    output_blocked: float = 60.0
    """How long the peer may refuse to read while output waits."""
    output_bytes: int = 1_048_576
    """How much output may wait for one peer."""
    stream_close: float = 5.0
    """Our `<close/>` unanswered."""
    websocket_close: float = 1.0
    """Our WebSocket Close unanswered, after that of the stream; then the connection is aborted."""
    connect: float = 10.0
    """Outgoing: TCP and TLS together."""
    race: float = 0.25
    """Outgoing: before the next address of a domain is tried beside those that have not answered yet (RFC 8305, 5)."""
    upgrade: float = 10.0
    """Outgoing: the answer to the upgrade request."""
    document: float = 5.0
    """Fetching host-meta or a POSH document, redirects included."""
    document_bytes: int = 65_536
    """The longest such document."""
    document_hops: int = 3
    """Redirects followed for such a document; a WebSocket follows none."""
    queue: float = 60.0
    """How long stanzas wait for a remote domain that is being connected to."""
    queue_bytes: int = 1_048_576
    """How much waits for one such domain."""
    confirmation: float = 30.0
    """After which time whatever a client says shows that it got what it was sent before, though it did not answer a ping."""
    presence_doubt: float = 30.0
    """After a stream from another server broke: how long until its users are asked for, and until who does not answer is gone."""
    presence_doubt_most: float = 1800.0
    """How long at most until a server that could not be reached is asked again."""
    hibernation: float = 600.0
    """How long a session that lost its connection can be resumed (XEP-0198, section 5)."""
    hibernation_stanzas: int = 500
    """Stanzas that may lack their acknowledgement, and are kept for such a session, in `queue_bytes`; the next wait until there
    is room."""
    hibernation_sessions: int = 1000
    """Such sessions between servers; then the oldest is given up."""
    acknowledgement: float = 1.0
    """How long after a stanza the peer is asked whether it has got it (XEP-0198, 4)."""
    acknowledgement_stanzas: int = 50
    """After so many stanzas it is asked at once."""
    acknowledgement_silence: float = 30.0
    """Complete silence after such a question; then the connection is taken for dead. A peer that says something else is asked
    again."""
    acknowledgements_missed: int = 3
    """Such questions without an answer, whatever else the peer says, before the connection is aborted."""
    unknown_peer_stanzas: int = 100
    """End-to-end: stanzas within a second of a peer that nobody has vouched for; then it has to wait."""
    peer_streams: int = 20
    """End-to-end: streams that may come from one address at once."""
    token: float = 21 * 86_400.0
    """How long a client can log in again by a token that it does not use (XEP-0484, 4)."""
    token_rotation: float = 7 * 86_400.0
    """The age from which a token is replaced at its next use."""
    link_search: float = 5.0
    """On a link: how long it is asked where a peer is."""
    link_arrival: float = 2.0
    """On a link: how long it is asked who may call from an address; who left without a goodbye must not hold up the others."""
    link_goodbye: float = 5.0
    """On a link: what saying goodbye may take; it is then left unsaid."""
