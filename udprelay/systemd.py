"""What systemd is told: sd_notify(3), without its library."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def notify(state: bytes) -> None:
    """Tell a state, such as ``READY=1``, if systemd has started this process and wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # "@" is the abstract namespace.
    path = "\0" + address[1:] if address.startswith("@") else address
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sender:
        sender.sendto(state, path)
