"""Configurations of test servers: laid over each other, and written as TOML."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xmppfed.testing.configuring import merged, toml

BASE = {"data_dir": ".", "services": {"http": {"endpoint": "tcp:443"}, "c2s_ws": {}}}
# TOML has integers of 64 bits, and no surrogates and no DEL in strings.
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"))
_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | _TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXT, inner),
    max_leaves=8,
)


class Merging(SynchronousTestCase):
    """Settings change what they name."""

    def test_text(self) -> None:
        """TOML adds and replaces keys, table by table."""
        result = merged(BASE, 'data_dir = "var"\n[services.http]\ntls = "behind-proxy"')
        http = {"endpoint": "tcp:443", "tls": "behind-proxy"}
        self.assertEqual(result, {"data_dir": "var", "services": {"http": http, "c2s_ws": {}}})

    def test_dictionary(self) -> None:
        """None removes a key, at any depth; one that is not there does no harm."""
        result = merged(BASE, {"services": {"c2s_ws": None, "s2s_ws": None}, "modules": {"ping": {}}})
        self.assertEqual(result, {"data_dir": ".", "services": {"http": {"endpoint": "tcp:443"}}, "modules": {"ping": {}}})

    def test_table_for_a_value(self) -> None:
        """A table takes the place of a value, and a value that of a table."""
        self.assertEqual(merged({"a": 1, "b": {"c": 2}}, {"a": {"d": 3}, "b": 4}), {"a": {"d": 3}, "b": 4})

    def test_base_is_left_alone(self) -> None:
        """What the next server starts from has not changed."""
        merged(BASE, {"services": {"http": {"endpoint": "tcp:1"}}})
        self.assertEqual(BASE["services"], {"http": {"endpoint": "tcp:443"}, "c2s_ws": {}})


class Writing(SynchronousTestCase):
    """The values as a file."""

    @given(st.dictionaries(_TEXT, _VALUES))
    def test_round_trip(self, values: dict[str, object]) -> None:
        """What is written is read again as it was."""
        self.assertEqual(tomllib.loads(toml(values)), values)
