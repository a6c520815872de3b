"""Stream features, one file each: what a feature needs, what it forbids, what it says on the wire."""
