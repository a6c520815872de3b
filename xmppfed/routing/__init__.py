"""Where a stanza goes: local sessions, modules, remote domains."""
