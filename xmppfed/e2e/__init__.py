"""End-to-end streams (XEP-0246): peers, trust and streams, with a server or without."""
