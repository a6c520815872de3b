"""@xmpp/client comes back by a token (SASL2, Bind 2 and FAST): over WebSocket and TCP, and when the server was killed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.interop.certificates import issue
from tests.interop.namespace import ADDRESSES, A, apart, domains_known
from tests.interop.ours import Plan, ours
from tests.interop.person import Account, Person, person
from tests.interop.programs import XMPPJS
from tests.interop.scenario import Failure, Scenario, show

__all__ = ["SCENARIOS"]

_TCP = f"""\
[services.c2s_tcp]
endpoint = "tcp:5222:interface={ADDRESSES[A]}"
direct_tls_endpoint = "tcp:5223:interface={ADDRESSES[A]}"
"""
_WEBSOCKET, _DIRECT, _STARTTLS = f"wss://{A}/xmpp-websocket", f"xmpps://{A}:5223", f"xmpp://{A}:5222"
_BY_PASSWORD = ["out authenticate", "in challenge", "out response", "in success", "in features"]
_BY_TOKEN = ["out authenticate", "in success", "in features"]
_REFUSED = ["out authenticate", "in failure", *_BY_PASSWORD]
_TOKEN_MECHANISM = "HT-SHA-256-NONE"


def _fast(folder: Path) -> None:
    certificates = issue(folder, A)
    plan = Plan(
        domain=A,
        certificate=certificates.hosts[A],
        authority=certificates.authority,
        address=ADDRESSES[A],
        port=443,
        tables=_TCP,
    )
    program, account = replace(XMPPJS, script="fast.mjs"), Account(A, "alice", "alice")
    with domains_known(folder), person(program, account, plan.authority, folder) as alice:
        with ours(folder, plan, "alice") as server:
            token = _new_token(alice)
            address = _by_token(alice, _WEBSOCKET, token)
            if _by_token(alice, _DIRECT, token) != address:
                raise Failure(f"found another address than {address}; wanted the same for the same installation")
            server.process.kill()
            server.process.wait()
        with ours(folder, plan, name=f"{A}-again"):
            _by_token(alice, _STARTTLS, token)
            token = _refused(alice, token)
            _by_token(alice, _WEBSOCKET, token)


def _log_in(alice: Person, url: str, token: str, exchange: list[str]) -> dict[str, Any]:
    """Log in, see that nothing else was exchanged and that the resource was bound in it, and log out."""
    alice.do("login", url=url, token=token)
    alice.until("the login", lambda: alice.jid)
    told = alice.events("online")[-1]
    alice.do("leave")
    alice.until("the orderly end", lambda: not alice.jid)
    show(f"{url} by {told['mechanism']}: {', '.join(told['exchange'])}")
    if told["exchange"] != exchange:
        raise Failure(f"found the exchange {told['exchange']}; wanted {exchange}")
    if not (told["bound"] and told["identity"] == told["jid"] and told["jid"].startswith(f"alice@{A}/xmppjs/")):
        raise Failure(f"found {told}; wanted an address of alice, bound in the exchange")
    return told


def _new_token(alice: Person) -> str:
    told = _log_in(alice, _WEBSOCKET, "", _BY_PASSWORD)
    token = json.loads(told["token"])
    lifetime = datetime.fromisoformat(token["expiry"]) - datetime.now(UTC)
    if token["mechanism"] != _TOKEN_MECHANISM or lifetime.days != 20:
        raise Failure(f"found a token by {token['mechanism']} for {lifetime}; wanted one by {_TOKEN_MECHANISM} for three weeks")
    return str(told["token"])


def _by_token(alice: Person, url: str, token: str) -> str:
    told = _log_in(alice, url, token, _BY_TOKEN)
    if told["mechanism"] != _TOKEN_MECHANISM:
        raise Failure(f"found the mechanism {told['mechanism']}; wanted {_TOKEN_MECHANISM}")
    return str(told["jid"])


def _refused(alice: Person, token: str) -> str:
    """A token that is none: the client falls back to its password on the same stream, and gets a new one."""
    wrong = json.dumps(json.loads(token) | {"token": "not the one"})
    told = _log_in(alice, _WEBSOCKET, wrong, _REFUSED)
    if told["token"] in ("null", token, wrong):
        raise Failure(f"found the token {told['token']}; wanted a new one")
    return str(told["token"])


SCENARIOS = [Scenario("clients: xmpp.js by SASL2, Bind 2 and FAST", apart(_fast), XMPPJS.needs)]
