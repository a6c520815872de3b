"""avahi, which publishes what others have to say on the link, and the D-Bus to say it over; in a namespace of our own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.processes import running, wait_until
from tests.interop.scenario import Failure

__all__ = ["NEEDS", "avahi"]

NEEDS = ("avahi-daemon", "dbus-daemon", "ip")

_BUS = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <policy context="default">
    <allow user="*"/> <allow own="*"/>
    <allow send_type="method_call"/> <allow receive_type="method_call"/>
    <allow send_type="signal"/> <allow receive_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/> <allow receive_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/> <allow receive_type="error"/>
  </policy>
</busconfig>
"""
_AVAHI = """\
[server]
host-name={machine}
allow-interfaces={interface}
disallow-other-stacks=no
[publish]
publish-workstation=no
publish-hinfo=no
[rlimits]
"""
_NO_LIMITS = ("--no-drop-root", "--no-chroot", "--no-rlimits")


@contextmanager
def avahi(folder: Path, machine: str, interface: str) -> Iterator[None]:
    """Multicast goes to `interface` alone, where this host is called `machine`. /run is empty but for what runs here."""
    subprocess.run(["ip", "link", "set", interface, "multicast", "on"], check=True)
    subprocess.run(["ip", "route", "add", "224.0.0.0/4", "dev", interface], check=True)
    wait_until(lambda: not _tentative(interface), f"an address on {interface}")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    for made in ("dbus", "avahi-daemon"):
        (Path("/run") / made).mkdir()
    bus, configuration = folder / "bus.conf", folder / "avahi.conf"
    bus.write_text(_BUS)
    configuration.write_text(_AVAHI.format(machine=machine, interface=interface))
    with (
        _serving("dbus", ["dbus-daemon", f"--config-file={bus}", "--nofork", "--nopidfile"], folder, "dbus/system_bus_socket"),
        _serving("avahi", ["avahi-daemon", f"--file={configuration}", *_NO_LIMITS], folder, "avahi-daemon/socket"),
    ):
        yield


def _tentative(interface: str) -> bool:
    """Whether it is not known yet that nobody else has its addresses (RFC 4862, 5.4): until then nothing is sent from them."""
    shown = subprocess.run(["ip", "-6", "address", "show", "dev", interface, "tentative"], check=True, capture_output=True)
    return bool(shown.stdout)


@contextmanager
def _serving(name: str, command: Sequence[str], folder: Path, socket: str) -> Iterator[None]:
    """A process that makes this socket in /run when it is ready."""
    with running(name, command, folder, []) as process:

        def ready() -> bool:
            if process.poll() is not None:
                log = (folder / f"{name}.log").read_text(errors="replace")
                raise Failure(f"{name} ended with status {process.returncode}: {log[-2000:]}")
            return (Path("/run") / socket).exists()

        wait_until(ready, f"{name} listening")
        yield
