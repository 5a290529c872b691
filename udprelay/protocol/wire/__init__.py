"""
The datagrams of the session protocol, as in ``docs/protocol.rst``.

Every kind of datagram is a class with ``encode()``; what is not valid can neither be encoded nor
decoded.
"""

from udprelay.protocol.wire.decoding import (
    FromClient,
    FromRelay,
    decode_from_client,
    decode_from_relay,
)
from udprelay.protocol.wire.header import WireError

__all__ = ["FromClient", "FromRelay", "WireError", "decode_from_client", "decode_from_relay"]
