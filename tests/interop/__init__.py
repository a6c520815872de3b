"""Real clients, servers, proxies, sockets and processes; `make interop` runs them, `make test` does not.

Modules here are not named `test_*`, so trial passes them by. `python -m tests.interop [WORD ...]` plays the
scenarios whose name contains one of the words, or all of them.
"""
