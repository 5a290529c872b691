"""The memory that members, rooms, and what is kept for them take, with the objects around them."""

PLAIN_SIZE = 1024
"""Bytes of a member without a session, at most."""
SESSION_SIZE = 8192
"""Bytes of a session member at most, without what is in the pools; 2 KiB while it is idle."""
ROOM_SIZE = 4096
"""Bytes of a room without members."""
LOG_SIZE = 8192
"""Bytes of what a room with session members has in addition, without what is in the pools."""
DEPARTED_SIZE = 768
"""Bytes of a session that has ended and is remembered."""
RUN_SIZE = 384
"""Bytes of a run in a history beside its datagrams."""
ENTRY_SIZE = 256
"""Bytes of an entry that is stored, beside itself."""
PRIVATE_SIZE = 320
"""Bytes of a private datagram that is stored, beside itself."""
EARLY_SIZE = 192
"""Bytes of a datagram that waits for an earlier one, beside itself."""
