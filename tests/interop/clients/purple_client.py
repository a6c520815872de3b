"""libpurple (Pidgin's and Finch's library) with its Bonjour plugin, without a window: somebody on the link, of old (XEP-0174).

It is called through ctypes, so nothing is compiled; signatures that matter are in the tables below. What it writes itself goes
to the log, with everything it does if INTEROP_DEBUG is set.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, addressof, c_char_p, c_int, c_uint, c_void_p
from pathlib import Path
from typing import Any

from script import account, tell

GLIB = ctypes.CDLL("libglib-2.0.so.0", mode=ctypes.RTLD_GLOBAL)
PURPLE = ctypes.CDLL("libpurple.so.0", mode=ctypes.RTLD_GLOBAL)

# Name: result, arguments.
_GLIB = {
    "g_main_loop_new": (c_void_p, [c_void_p, c_int]),
    "g_main_loop_run": (None, [c_void_p]),
    "g_main_loop_quit": (None, [c_void_p]),
    "g_io_channel_unix_new": (c_void_p, [c_int]),
    "g_io_channel_unref": (None, [c_void_p]),
    "g_io_add_watch": (c_uint, [c_void_p, c_int, c_void_p, c_void_p]),
    "g_free": (None, [c_void_p]),
}
_PURPLE = {
    "purple_account_new": (c_void_p, [c_char_p, c_char_p]),
    "purple_account_set_enabled": (None, [c_void_p, c_char_p, c_int]),
    "purple_account_set_int": (None, [c_void_p, c_char_p, c_int]),
    "purple_accounts_add": (None, [c_void_p]),
    "purple_blist_get_handle": (c_void_p, []),
    "purple_blist_new": (c_void_p, []),
    "purple_buddy_get_name": (c_char_p, [c_void_p]),
    "purple_buddy_get_presence": (c_void_p, [c_void_p]),
    "purple_connections_get_handle": (c_void_p, []),
    "purple_conv_im_send": (None, [c_void_p, c_char_p]),
    "purple_conversation_destroy": (None, [c_void_p]),
    "purple_conversation_get_im_data": (c_void_p, [c_void_p]),
    "purple_conversation_new": (c_void_p, [c_int, c_void_p, c_char_p]),
    "purple_conversations_get_handle": (c_void_p, []),
    "purple_core_init": (c_int, [c_char_p]),
    "purple_core_quit": (None, []),
    "purple_debug_set_enabled": (None, [c_int]),
    "purple_debug_set_verbose": (None, [c_int]),
    "purple_eventloop_set_ui_ops": (None, [c_void_p]),
    "purple_find_conversation_with_account": (c_void_p, [c_int, c_char_p, c_void_p]),
    "purple_markup_strip_html": (c_void_p, [c_char_p]),
    "purple_prefs_load": (c_int, []),
    "purple_presence_get_active_status": (c_void_p, [c_void_p]),
    "purple_savedstatus_activate": (None, [c_void_p]),
    "purple_savedstatus_new": (c_void_p, [c_char_p, c_int]),
    "purple_savedstatus_set_message": (None, [c_void_p, c_char_p]),
    "purple_set_blist": (None, [c_void_p]),
    "purple_signal_connect": (None, [c_void_p, c_char_p, c_void_p, c_void_p, c_void_p]),
    "purple_status_get_attr_string": (c_char_p, [c_void_p, c_char_p]),
    "purple_status_get_id": (c_char_p, [c_void_p]),
    "purple_util_set_user_dir": (None, [c_char_p]),
}
for library, table in ((GLIB, _GLIB), (PURPLE, _PURPLE)):
    for name, (result, arguments) in table.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments

UI = b"xmppfed-interop"
IM = 1
STATUS = {"offline": 1, "available": 2, "dnd": 3, "away": 5, "xa": 6}
"""Primitives of libpurple."""
G_IN, G_OUT, G_ERR, G_HUP, G_NVAL = 1, 4, 8, 16, 32
READ, WRITE = 1, 2

WATCH = CFUNCTYPE(c_int, c_void_p, c_int, c_void_p)
INPUT = CFUNCTYPE(None, c_void_p, c_int, c_int)
INPUT_ADD = CFUNCTYPE(c_uint, c_int, c_int, c_void_p, c_void_p)

KEPT: list[Any] = []
"""Callbacks: C has pointers to them."""


class EventLoop(Structure):
    """PurpleEventLoopUiOps: libpurple has its time and its sockets from whoever uses it."""

    _fields_ = [
        (name, c_void_p)
        for name in (
            "timeout_add",
            "timeout_remove",
            "input_add",
            "input_remove",
            "input_get_error",
            "timeout_add_seconds",
            "reserved_2",
            "reserved_3",
            "reserved_4",
        )
    ]


def pointer(callback: Any) -> int:
    """The address of a function, which stays."""
    KEPT.append(callback)
    return ctypes.cast(callback, c_void_p).value or 0


def watch(descriptor: int, condition: int, callback: Any) -> int:
    """Have GLib call when a descriptor is ready."""
    channel = GLIB.g_io_channel_unix_new(descriptor)
    number = GLIB.g_io_add_watch(channel, condition, pointer(callback), None)
    GLIB.g_io_channel_unref(channel)
    return int(number)


@INPUT_ADD
def input_add(descriptor: int, condition: int, function: int, data: int) -> int:
    """libpurple wants to hear of a socket."""
    call = INPUT(function)
    wanted = (G_IN | G_HUP | G_ERR if condition & READ else 0) | (G_OUT | G_HUP | G_ERR | G_NVAL if condition & WRITE else 0)

    def ready(_channel: int, found: int, _data: int) -> int:
        happened = READ if found & (G_IN | G_HUP | G_ERR) else 0
        if found & (G_OUT | G_HUP | G_ERR | G_NVAL):
            happened |= WRITE
        call(data, descriptor, happened & condition or condition)
        return 1

    return watch(descriptor, wanted, WATCH(ready))


def text(found: bytes | None) -> str:
    """What libpurple says, which may be nothing."""
    return (found or b"").decode("utf-8", "replace")


class Person:
    """One account. Deeds are methods."""

    def __init__(self) -> None:
        self._name = f"{account['user']}@{account['domain']}"
        self._handle = ctypes.create_string_buffer(8)
        home = Path("purple")
        home.mkdir()
        PURPLE.purple_util_set_user_dir(bytes(home.resolve()))
        debug = bool(os.environ.get("INTEROP_DEBUG"))
        PURPLE.purple_debug_set_enabled(debug)
        PURPLE.purple_debug_set_verbose(debug)
        add, remove, add_seconds = (
            ctypes.cast(function, c_void_p).value
            for function in (GLIB.g_timeout_add, GLIB.g_source_remove, GLIB.g_timeout_add_seconds)
        )
        self._loop = EventLoop(add, remove, pointer(input_add), remove, None, add_seconds)
        PURPLE.purple_eventloop_set_ui_ops(addressof(self._loop))
        if not PURPLE.purple_core_init(UI):
            sys.exit("libpurple does not start")
        PURPLE.purple_set_blist(PURPLE.purple_blist_new())
        PURPLE.purple_prefs_load()
        self._listen()

    def login(self) -> None:
        self._account = PURPLE.purple_account_new(self._name.encode(), b"prpl-bonjour")
        PURPLE.purple_account_set_int(self._account, b"port", int(account["url"]))
        PURPLE.purple_accounts_add(self._account)
        PURPLE.purple_account_set_enabled(self._account, UI, 1)
        self.show("available")

    def say(self, to: str, text: str) -> None:
        conversation = PURPLE.purple_conversation_new(IM, self._account, to.encode())
        PURPLE.purple_conv_im_send(PURPLE.purple_conversation_get_im_data(conversation), text.encode())

    def show(self, show: str, status: str = "") -> None:
        saved = PURPLE.purple_savedstatus_new(None, STATUS[show])
        if status:
            PURPLE.purple_savedstatus_set_message(saved, status.encode())
        PURPLE.purple_savedstatus_activate(saved)

    def hang_up(self, on: str) -> None:
        """Close the conversation, and so the stream."""
        conversation = PURPLE.purple_find_conversation_with_account(IM, on.encode(), self._account)
        if conversation:
            PURPLE.purple_conversation_destroy(conversation)

    def leave(self) -> None:
        self.show("offline")

    def _listen(self) -> None:
        buddies = PURPLE.purple_blist_get_handle()
        pointers = (c_void_p, c_void_p)
        self._connect(buddies, "buddy-signed-on", pointers, lambda buddy, _: self._seen(buddy))
        self._connect(buddies, "buddy-removed", pointers, lambda buddy, _: self._gone(buddy))  # who left: the list is not kept
        self._connect(
            buddies,
            "buddy-status-changed",
            (c_void_p, c_void_p, c_void_p, c_void_p),
            lambda buddy, _before, _after, _: self._seen(buddy),
        )
        self._connect(
            PURPLE.purple_conversations_get_handle(),
            "received-im-msg",
            (c_void_p, c_char_p, c_char_p, c_void_p, c_int, c_void_p),
            lambda _account, sender, markup, _conversation, _flags, _: self._heard(sender, markup),
        )
        connections = PURPLE.purple_connections_get_handle()
        self._connect(connections, "signed-on", pointers, lambda _connection, _: tell("online", jid=self._name))
        self._connect(connections, "signed-off", pointers, lambda _connection, _: tell("offline"))
        self._connect(
            connections,
            "connection-error",
            (c_void_p, c_int, c_char_p, c_void_p),
            lambda _connection, _code, why, _: tell("failed", error=text(why)),
        )

    def _connect(self, instance: int, signal: str, kinds: tuple[Any, ...], listener: Callable[..., None]) -> None:
        callback = pointer(CFUNCTYPE(None, *kinds)(listener))
        PURPLE.purple_signal_connect(instance, signal.encode(), addressof(self._handle), callback, None)

    def _seen(self, buddy: int) -> None:
        status = PURPLE.purple_presence_get_active_status(PURPLE.purple_buddy_get_presence(buddy))
        show, said = text(PURPLE.purple_status_get_id(status)), text(PURPLE.purple_status_get_attr_string(status, b"message"))
        name = text(PURPLE.purple_buddy_get_name(buddy))
        tell("presence", **{"from": name}, type="available", show=None if show == "available" else show, status=said)

    def _gone(self, buddy: int) -> None:
        tell("presence", **{"from": text(PURPLE.purple_buddy_get_name(buddy))}, type="unavailable")

    def _heard(self, sender: bytes, markup: bytes) -> None:
        stripped = PURPLE.purple_markup_strip_html(markup)
        tell("message", **{"from": text(sender)}, text=text(ctypes.string_at(stripped)))
        GLIB.g_free(stripped)


def main() -> None:
    """Do what is asked, until stdin ends."""
    ctypes.CDLL(None).setvbuf(POINTER(c_void_p).in_dll(ctypes.CDLL(None), "stdout"), None, 1, 0)  # whole lines between ours
    loop = GLIB.g_main_loop_new(None, 0)
    person = Person()
    begun = b""

    @WATCH
    def asked(_channel: int, _condition: int, _data: int) -> int:
        nonlocal begun
        found = os.read(0, 65_536)
        if not found:
            PURPLE.purple_core_quit()
            GLIB.g_main_loop_quit(loop)
            return 0
        *lines, begun = (begun + found).split(b"\n")
        for line in lines:
            facts = json.loads(line)
            getattr(person, facts.pop("deed"))(**facts)
        return 1

    watch(0, G_IN | G_HUP, asked)
    tell("ready")
    sys.stdout.flush()
    GLIB.g_main_loop_run(loop)


if __name__ == "__main__":
    main()
