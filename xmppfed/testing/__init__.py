"""Test XMPP code with trial: domains, clients and a network in memory, under one clock."""
