"""Tells a member that is about to leave what all others have settled."""

from __future__ import annotations

from math import inf

from udprelay.protocol.wire.from_relay import Waiting
from udprelay.protocol.wire.header import MAX_U32
from udprelay.relay.output import Output
from udprelay.relay.session.member import SessionMember
from udprelay.relay.session.room_log import log_of

EVERYBODY = MAX_U32
"""The number in a ROSTER that asks for this."""
ASK_INTERVAL = 0.1
"""Seconds from one look at all members of a room to the next."""
SILENCE = 15.0
"""Seconds without a datagram of a member after which nobody stays for it: it may be gone."""


def settled_by_all(session: SessionMember, output: Output, now: float) -> int:
    """
    Return the room sequence that all members of a room have settled that report it.

    Those that are behind are asked for a report. It is 0 while private messages are on their way.
    """
    flow, log = session.flow, log_of(session)
    if now < flow.asked + ASK_INTERVAL:
        return flow.settled
    flow.asked, settled = now, log.newest
    for member in log.by_identity.values():
        if member.place == inf or now - member.last_heard > SILENCE:
            continue
        private = member.private_place < member.private.newest
        if private or member.place < log.newest:
            output.send_to(member, Waiting(member.id, (member.number,)).encode())
            settled = 0 if private else min(settled, int(member.place))
    flow.settled = settled
    return settled
