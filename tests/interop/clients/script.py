"""What the clients in Python share; they run outside of our environment. See `tests/interop/person.py`, the other end."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

__all__ = ["account", "tell"]

account: dict[str, str] = json.loads(sys.argv[1])
if os.environ.get("INTEROP_DEBUG"):
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)


def tell(event: str, **facts: Any) -> None:
    """Say what is to be seen."""
    print(json.dumps({"event": event, **facts}), flush=True)
