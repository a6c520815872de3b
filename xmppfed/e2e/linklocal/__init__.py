"""Peers on the same network, without any server (XEP-0174)."""
