"""Rosters, subscriptions and presence (RFC 6121, 2 to 4)."""
