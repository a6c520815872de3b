"""A cable between two servers, made of TCP: it can be cut, lose what is under way before that, and cut what is idle."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.interop.processes import wait_until

__all__ = ["Cable", "cable"]

_RESET = struct.pack("ii", 1, 0)


class Cable:
    """Passes on what comes for `target`. While it is `broken` it takes everything, passes nothing on and counts that."""

    def __init__(self, listener: socket.socket, target: tuple[str, int], idle: float | None) -> None:
        """A connection on which nothing came for `idle` seconds is cut."""
        self._listener = listener
        self._target = target
        self._idle = idle
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.broken = False
        self.lost = {"there": 0, "back": 0}
        self.cuts = 0

    def break_(self) -> None:
        """From now on what is sent is lost."""
        self.lost = {"there": 0, "back": 0}
        self.broken = True

    def cut(self, *lost: str) -> None:
        """Reset every connection, when something was lost in each of these directions; new ones are as good as before."""
        for direction in lost:
            wait_until(lambda direction=direction: self.lost[direction] > 0, f"something lost on its way {direction}")
        for pair in list(self._pairs):
            self._end(pair)
        self.broken = False

    def serve(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(self._target, 10)
        except OSError:
            near.close()
            return
        pair = near, far
        self._pairs.append(pair)
        try:
            while self._pass(near, far):
                pass
        except (OSError, ValueError):
            pass  # one of them has ended, perhaps by our own doing
        self._end(pair)

    def _pass(self, near: socket.socket, far: socket.socket) -> bool:
        """Pass on what comes next; false when there is nothing more to come."""
        ready, _, _ = select.select([near, far], [], [], self._idle)
        for one, other, direction in ((near, far, "there"), (far, near, "back")):
            if one in ready:
                data = one.recv(65_536)
                if not data:
                    return False
                if self.broken:
                    self.lost[direction] += len(data)
                else:
                    other.sendall(data)
        return bool(ready)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        if pair in self._pairs:
            self._pairs.remove(pair)
            self.cuts += 1
        for one in pair:
            with suppress(OSError):  # the other thread may have closed it
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                one.shutdown(socket.SHUT_RDWR)  # otherwise who waits for it keeps it open
            one.close()


@contextmanager
def cable(near: tuple[str, int], far: tuple[str, int], idle: float | None = None) -> Iterator[Cable]:
    """A cable from one address to another."""
    with socket.create_server(near) as listener:
        made = Cable(listener, far, idle)
        threading.Thread(target=made.serve, daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            made.cut()
