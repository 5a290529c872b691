from client_fixtures import (
    bob,
    members,
    open_channel,
    peer,
    relay,
    room,
    start_client,
    start_terminal,
)

__all__ = [
    "bob",
    "members",
    "open_channel",
    "peer",
    "relay",
    "room",
    "start_client",
    "start_terminal",
]
