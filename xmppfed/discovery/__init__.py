"""From a domain to an ordered list of candidates to connect to."""
