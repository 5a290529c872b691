"""
The datagrams of the session protocol, as in ``docs/protocol.rst``.

Each type of datagram is a class with ``encode()`` and ``decode()``. Both reject invalid fields.
"""

from udprelay.protocol.wire.decoding import (
    FromClient,
    FromRelay,
    decode_from_client,
    decode_from_relay,
)
from udprelay.protocol.wire.header import WireError

__all__ = ["FromClient", "FromRelay", "WireError", "decode_from_client", "decode_from_relay"]
