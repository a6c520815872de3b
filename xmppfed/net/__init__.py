"""Moves data, keeps time, applies TLS; knows no stanza."""
