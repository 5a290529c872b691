"""``device_feature.py DEVICE FEATURE on|off``: as ``ethtool -K``, which is often not installed."""

from __future__ import annotations

import array
import fcntl
import socket
import struct
import sys

_SIOCETHTOOL = 0x8946
_GET_STRINGS, _GET_COUNTS, _GET_FEATURES, _SET_FEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES, _NAME_SIZE = 4, 32


def main(device: str, feature: str, setting: str) -> str:
    """Switch a feature of a network device; return what is wrong, "" if nothing."""
    names = _names(device)
    if feature not in names:
        return f"{device} has no {feature}"
    number, bit = divmod(names.index(feature), 32)
    blocks = (len(names) + 31) // 32
    changes = [0] * (2 * blocks)
    # For each block of 32: which bits change, and to what.
    changes[2 * number] = 1 << bit
    changes[2 * number + 1] = (setting == "on") << bit
    _ask(device, struct.pack(f"=2I{2 * blocks}I", _SET_FEATURES, blocks, *changes))
    answer = _ask(device, struct.pack("=2I", _GET_FEATURES, blocks) + bytes(16 * blocks))
    _, _, active, _ = struct.unpack_from("=4I", answer, 8 + 16 * number)
    return "" if active >> bit & 1 == (setting == "on") else f"{device} keeps its {feature}"


def _names(device: str) -> list[str]:
    counts = _ask(device, struct.pack("=2IQI", _GET_COUNTS, 0, 1 << _FEATURES, 0))
    count = struct.unpack_from("=I", counts, 16)[0]
    question = struct.pack("=3I", _GET_STRINGS, _FEATURES, count) + bytes(count * _NAME_SIZE)
    names = _ask(device, question)[12:]
    return [
        names[i : i + _NAME_SIZE].rstrip(b"\0").decode() for i in range(0, len(names), _NAME_SIZE)
    ]


def _ask(device: str, question: bytes) -> bytes:
    data = array.array("B", question)
    address, _ = data.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), address))
    return data.tobytes()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or 0)
