"""Tests mirror `xmppfed/`; what needs real sockets, servers or processes lives in `tests/interop`."""

import os

from hypothesis import HealthCheck, settings

SLOW = [HealthCheck.too_slow]
settings.register_profile("default", max_examples=200, deadline=None, suppress_health_check=SLOW, derandomize=True)
settings.register_profile("long", max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile(os.environ.get("XMPPFED_HYPOTHESIS", "default"))
