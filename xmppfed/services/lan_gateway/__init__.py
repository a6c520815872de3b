"""People on the local network in an ordinary client."""
