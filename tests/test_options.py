"""The typed tables."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from xmppfed import options


class EveryKey(SynchronousTestCase):
    """Options are values that explain themselves."""

    def test_documented(self) -> None:
        """Every key of every table that the reference shows has a description."""
        for table in (
            options.GeneralOptions,
            options.DomainOptions,
            options.HTTPOptions,
            options.C2SWebSocketOptions,
            options.S2SWebSocketOptions,
        ):
            described = msgspec.inspect.type_info(table)
            assert isinstance(described, msgspec.inspect.StructType)
            for field in described.fields:
                assert isinstance(field.type, msgspec.inspect.Metadata), field.name
                self.assertIn("description", field.type.extra_json_schema or {}, field.name)

    def test_proxy(self) -> None:
        """Only the word itself says that a proxy ends TLS."""
        self.assertTrue(options.HTTPOptions(tls="behind-proxy").behind_proxy)
        self.assertFalse(options.HTTPOptions().behind_proxy)
