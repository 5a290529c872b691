"""The promises to session members, checked once all clients are settled."""

from __future__ import annotations

from collections import Counter

from virtual_client import Client
from virtual_ledger import Message, Stream, Visit
from virtual_stage import Stage

from reachable import footprint

MAX_MEMORY = 256 * 1024
"""Bytes of a session client that is settled."""

WATCHED = 12.0
"""Seconds for which :func:`check_silence` counts datagrams."""

ANSWER_TIME = 1.0
"""Seconds for the answers to the last datagram in transit."""

MAX_TRANSIT = 1.0
"""Seconds in transit within which the relay's view of who is present is reliable."""

MIN_KEEPALIVE = 4.0
"""Seconds of the shortest keepalive in a conversation."""


def check_promises(stage: Stage) -> None:
    """Check the promises; a broken one is an :exc:`AssertionError`."""
    assert stage.settled, "\n".join(map(_state, stage.clients))
    for client in stage.clients:
        if client.joined:
            _check_rosters(stage, client)
            memory = footprint(client.session_client).size
            assert memory <= MAX_MEMORY, f"{client.name} uses {memory} bytes"
            for message in client.visit.sent.values():
                _check_fate(message)
            if client.visit.recovers:
                _check_messages(stage, client.visit)
    for visit in stage.ledger.visits:
        assert visit.distrusted == [], f"{visit.name} distrusts: {visit.distrusted}"
    if stage.relay.promises is not None:
        stage.relay.promises.check()


def check_silence(stage: Stage) -> None:
    """Check that without messages only keepalives are sent."""
    time, trace = stage.time, stage.network.trace
    if any(client.running and not client.joined for client in stage.clients):
        # It waits for a place, and sends its messages once it has one.
        return
    # A late datagram may still need an answer.
    time.run(stage.network.busy_until + ANSWER_TIME)
    before = len(trace)
    # Members that are dead time out: each causes an entry and heartbeats.
    members = len(stage.relay.sessions())
    alive = sum(client.joined for client in stage.clients)
    leaving = members + len(stage.programs) - alive
    time.run(time.now + WATCHED)
    limit = 2 * alive * (WATCHED / MIN_KEEPALIVE + 1) + 6 * members * leaving + 10
    sent = len(trace) - before
    assert sent <= limit, f"{sent} datagrams in {WATCHED} s without messages"


def _state(client: Client) -> str:
    if not client.running:
        return f"{client.name}: not running"
    session_client = client.session_client
    return f"{client.name}: {session_client.state}, {session_client.outstanding} outstanding"


def _check_rosters(stage: Stage, client: Client) -> None:
    name, members = client.visit.name, client.session_client.members
    roster = stage.relay.roster(client.visit.room)
    known = {number: (member.nick, member.kind.value) for number, member in members.items()}
    assert known == roster, f"the roster of {name} is {known}, the relay's is {roster}"
    others = Counter(
        m.trusted_nick for n, m in members.items() if n != client.session_client.number
    )
    reported = +client.event_roster.nicks
    assert reported == others, f"the events of {name} report {reported}, its roster is {others}"
    assert members[client.session_client.number or 0].nick == client.session_client.nick


def _check_fate(message: Message) -> None:
    """Check that a sender knows the fate of a message."""
    if message.stream.reliable:
        assert message.delivered or message.failed, f"{message} has no fate"


def _check_messages(stage: Stage, visit: Visit) -> None:
    """Check that a member received each message of its time, or reported the loss."""
    missing = []
    for message in stage.ledger.messages():
        if message in visit.received or not _is_due(stage, message, visit):
            continue
        missing.append(message)
        if _must_be_reported(stage, message, visit):
            assert message.missed, f"{visit.name} misses {message}, its sender got no Missed"
    if stage.calm:
        assert not missing, f"{visit.name} misses {missing}"
        assert not visit.lost, f"{visit.name} reported {visit.lost} lost"
    assert len(missing) <= visit.lost, f"{visit.name} misses {missing}, reported {visit.lost}"


def _is_due(stage: Stage, message: Message, visit: Visit) -> bool:
    """Return whether a member should have received a message, as no failure was reported."""
    sender = message.sender
    if sender is None or sender is visit or message.room != visit.room:
        return False
    if not message.stream.reliable or message.receiver not in (None, visit):
        return False
    if visit.joined is None or visit.joined >= message.sent_at:
        return False
    if message.failed or not message.delivered:
        return False
    if (
        message.receiver
        and visit.since > message.sent_at
        and stage.network.max_transit > MAX_TRANSIT
    ):
        # A late datagram of the member has kept its session alive: see "absent".
        return False
    # If its sender does not resubmit it, only the relay has it: in the history of the room, or,
    # if it is private, as long as the session of its receiver lasts.
    stored = message.receiver is None and stage.relay.opened(message.room) < message.sent_at
    return stored or _is_present(stage, sender)


def _must_be_reported(stage: Stage, message: Message, visit: Visit) -> bool:
    """Return whether a sender has to know that a member has missed its message."""
    sender = message.sender
    if sender is None or message.stream is not Stream.ROOM or visit not in message.known_to:
        return False
    # A report in an earlier session may have been lost with it.
    return _is_present(stage, sender) and sender.since <= message.sent_at


def _is_present(stage: Stage, visit: Visit | None) -> bool:
    return any(client.joined and client.visit is visit for client in stage.clients)
