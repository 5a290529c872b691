"""What must be true once all is settled: who has what, who knows of what is missing, and quiet."""

from __future__ import annotations

from collections import Counter

from virtual_client import Client
from virtual_ledger import Said, Stream, Visit
from virtual_stage import Stage

from udprelay.session_client import contact, identities, incoming, kept, origins
from udprelay.session_client import suspicions as suspicious

QUIET = 12.0
"""Seconds that are watched for quiet."""

AFTERWARDS = 1.0
"""Seconds for the answers to the last datagram that is under way."""

ON_THE_WAY = 1.0
"""Seconds within which a datagram comes, if the relay is to tell who got what is private."""

KEEPALIVE = 4.0
"""Seconds of the shortest keepalive that a conversation has."""


def reckon(stage: Stage) -> None:
    """Check the promises; a broken one is an :exc:`AssertionError`."""
    assert stage.settled, "\n".join(map(_state, stage.clients))
    for client in stage.clients:
        if client.joined:
            _rosters_agree(stage, client)
            _is_bounded(client)
            for said in client.visit.said.values():
                _is_told(said)
            if client.visit.recovers:
                _has_all(stage, client.visit)
    for visit in stage.ledger.visits:
        assert visit.distrusted == [], f"{visit.name} distrusts: {visit.distrusted}"
    if stage.relay.promises is not None:
        stage.relay.promises.check()


def fall_silent(stage: Stage) -> None:
    """Check that nothing but keepalives is sent when nobody says anything."""
    time, trace = stage.time, stage.network.trace
    if any(client.running and not client.joined for client in stage.clients):
        # It waits for a place, and has things to say once there is one.
        return
    # What was late before may still come to somebody who has to answer it.
    time.run(stage.network.busy_until + AFTERWARDS)
    before = len(trace)
    # Some of them may be dead, and go in the end: that is an entry, and heartbeats.
    members = len(stage.relay.sessions())
    alive = sum(client.joined for client in stage.clients)
    goings = members + len(stage.programs) - alive
    time.run(time.now + QUIET)
    most = 2 * alive * (QUIET / KEEPALIVE + 1) + 6 * members * goings + 10
    sent = len(trace) - before
    assert sent <= most, f"{sent} datagrams in {QUIET} s of silence"


def _state(client: Client) -> str:
    if not client.running:
        return f"{client.name}: gone"
    membership = client.membership
    return f"{client.name}: {membership.state}, {membership.outstanding} outstanding"


def _rosters_agree(stage: Stage, client: Client) -> None:
    name, members = client.visit.name, client.membership.members
    there = stage.relay.roster(client.visit.room)
    known = {number: (member.nick, int(member.kind)) for number, member in members.items()}
    assert known == there, f"{name} knows {known}, there are {there}"
    shown = Counter(m.shown for n, m in members.items() if n != client.membership.number)
    told = +client.onlooker.seen
    assert told == shown, f"{name} was told of {told}, there are {shown}"
    assert members[client.membership.number or 0].nick == client.membership.nick


def _is_told(said: Said) -> None:
    """Check that a sender that is still there knows what became of a message."""
    if said.stream.reliable:
        assert said.delivered or said.failed, f"nobody knows what became of {said}"


def _has_all(stage: Stage, visit: Visit) -> None:
    """Check that a member has all that was said while it was there, or knows what it has not."""
    missing = []
    for said in stage.ledger.all_said():
        if said in visit.received or not _is_due(stage, said, visit):
            continue
        missing.append(said)
        if _is_to_be_told(stage, said, visit):
            assert said.missed, f"{visit.name} has not got {said}, and its sender was not told"
    if stage.calm:
        assert not missing, f"{visit.name} misses {missing}"
        assert not visit.lost, f"{visit.name} was told of {visit.lost} lost"
    assert len(missing) <= visit.lost, f"{visit.name} misses {missing}, knows of {visit.lost}"


def _is_due(stage: Stage, said: Said, visit: Visit) -> bool:
    """Return whether a message had to come to a member, as nobody was told that it did not."""
    sender = said.sender
    if sender is None or sender is visit or said.room != visit.room:
        return False
    if not said.stream.reliable or said.receiver not in (None, visit):
        return False
    if visit.joined is None or visit.joined >= said.at or said.failed or not said.delivered:
        return False
    if said.receiver and visit.since > said.at and stage.network.slowest > ON_THE_WAY:
        # The relay took the member to be there by what it had sent long before: see "absent".
        return False
    # If nobody offers it again, only the relay has it: in the room's history, or, if it is
    # private, as long as its receiver's session lasts.
    kept = said.receiver is None and stage.relay.opened(said.room) < said.at
    return kept or _is_there(stage, sender)


def _is_to_be_told(stage: Stage, said: Said, visit: Visit) -> bool:
    """Return whether a sender has to know that a member has not got its message."""
    sender = said.sender
    if sender is None or said.stream is not Stream.ROOM or visit not in said.known_to:
        return False
    # What it was told in a session may have been lost with that.
    return _is_there(stage, sender) and sender.since <= said.at


def _is_there(stage: Stage, visit: Visit | None) -> bool:
    return any(client.joined and client.visit is visit for client in stage.clients)


def _is_bounded(client: Client) -> None:
    """Check that a membership keeps no more than it may."""
    machine = client.membership._machine
    sending, arrivals = machine.session.sending, machine.session.arrivals
    for outgoing in (sending._room, sending._private):
        assert not outgoing._pieces
        assert not outgoing._messages
        assert not outgoing._to_send
        assert not outgoing._window._under_way
        assert len(outgoing._kept._pieces) <= kept.MOST
        assert len(outgoing.origins._messages) <= origins._MOST
    for stream in (arrivals._room, arrivals._private):
        assert len(stream._gaps) <= incoming.MOST_GAPS
        assert not stream._held
    deliveries = arrivals._deliveries
    assert len(deliveries.messages._identities) <= identities.MOST_IDENTITIES
    assert len(deliveries._suspicions._told) <= suspicious._MOST
    assert len(machine.session.contact._sent) <= contact._MEASURED
    assert not deliveries._strangers._waiting
