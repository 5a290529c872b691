"""
The events of the relay.

Each event is a frozen record with a stable id, a level, typed fields and a one-line human form.
``docs/events.rst`` lists them all; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, ClassVar

from attrs import asdict, frozen

from udprelay.protocol.text import printable


class Level(Enum):
    """How much an event matters to an operator."""

    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@frozen
class Event:
    """
    Something that has happened.

    :cvar id: the stable name of this kind of event.
    :cvar text: the human form, a format string over the fields.
    """

    id: ClassVar[str]
    level: ClassVar[Level] = Level.INFO
    text: ClassVar[str]

    def fields(self) -> dict[str, Any]:
        """Return the typed fields by name."""
        return asdict(self)

    def human(self) -> str:
        """Return the human form, safe to show on a terminal; an empty field shows as ``-``."""
        return self.text.format_map({name: _shown(v) for name, v in self.fields().items()})


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        counted = (f"{key} {number}" for key, number in value.items() if number)
        value = ", ".join(counted) or "none"
    return printable(str(value)) or "-"


@frozen
class RelayStarted(Event):
    """The relay is about to open its listeners."""

    id = "relay.started"
    text = "udprelay {version} started (reactor {reactor})"
    version: str
    reactor: str


@frozen
class RelayStatistics(Event):
    """All counters since the relay was started, and the sizes of all its tables now."""

    id = "relay.statistics"
    text = "{counts}"
    counts: Mapping[str, int]


@frozen
class ConfigExposed(Event):
    """The configuration file has access keys, and every user of the machine can read it."""

    id = "config.exposed"
    level = Level.WARN
    text = "{file} has access keys, and every user of this machine can read it"
    file: str


@frozen
class ConfigWarning(Event):
    """The configuration has something that may not work, or has no effect."""

    id = "config.warning"
    level = Level.WARN
    text = "{problem}"
    problem: str


@frozen
class RelayInterfacesUnknown(Event):
    """The network interfaces cannot be read: ``plain_networks = local`` is this machine only."""

    id = "relay.interfaces-unknown"
    level = Level.WARN
    text = (
        "plain_networks = local is this machine only, as the network interfaces cannot be read:"
        " {error}"
    )
    error: str


@frozen
class ListenerOpened(Event):
    """
    A listener is bound and reading; ``interface`` and ``port`` are the real ones.

    ``batched`` tells whether many datagrams move in one system call. The buffers are what the
    kernel has granted, in bytes.
    """

    id = "listener.opened"
    text = (
        "listener {listener} opened on {interface} port {port}, room {room}, plain = {plain},"
        " plain_networks = {plain_networks}"
    )
    listener: str
    interface: str
    port: int
    room: str
    plain: str
    plain_networks: str
    batched: bool
    receive_buffer: int
    send_buffer: int


@frozen
class ListenerUnbatched(Event):
    """The kernel does not move many datagrams in one system call; the relay is slower."""

    id = "listener.unbatched"
    level = Level.WARN
    text = "listener {listener} moves one datagram per system call: {error}"
    listener: str
    error: str


@frozen
class ListenerUnprotected(Event):
    """A listener admits every address: a spoofed source can be made to receive a room."""

    id = "listener.unprotected"
    level = Level.WARN
    text = "listener {listener} admits every address (plain = any), forged ones too"
    listener: str


@frozen
class ListenerFailed(Event):
    """A listener could not be opened; the relay does not start."""

    id = "listener.failed"
    level = Level.ERROR
    text = "[listener:{listener}] cannot bind {interface} port {port}: {error}"
    listener: str
    interface: str
    port: int
    error: str


@frozen
class ListenerWaiting(Event):
    """A listener is not open, as the machine does not have its address; it opens by itself."""

    id = "listener.waiting"
    level = Level.WARN
    text = "[listener:{listener}] waits for {interface} port {port}: {error}"
    listener: str
    interface: str
    port: int
    error: str


@frozen
class ListenerStatistics(Event):
    """
    The counters of a listener since it was opened, every ``[log] statistics``.

    ``datagrams`` and ``bytes`` came in from members, ``deliveries`` went out, ``segmented`` of
    them as parts of larger messages. ``batches`` counts by size how many messages were read at
    once. ``receive_drops`` did not fit into the kernel's receive buffer, ``filtered_drops`` were
    dropped by the kernel while a filter was attached, for that or as part of a flood: at least so
    many.
    """

    id = "listener.statistics"
    text = (
        "listener {listener}: {datagrams} datagrams ({bytes} bytes) in, {deliveries} deliveries "
        "out ({segmented} segmented), batches {batches}, {receive_drops} lost in the kernel, at "
        "least {filtered_drops} while floods were filtered"
    )
    listener: str
    datagrams: int
    bytes: int
    deliveries: int
    segmented: int
    batches: Mapping[str, int]
    receive_drops: int
    filtered_drops: int


@frozen
class FloodFiltered(Event):
    """
    A source sends far more than it may: the kernel drops its datagrams for a while.

    It is a member of ``room``, or no member. ``sources`` are new since the last such event.
    """

    id = "flood.filtered"
    level = Level.WARN
    text = (
        "flood at listener {listener} from {address} (member {member} of {room}): filtered in "
        "the kernel; new sources: {sources}"
    )
    listener: str
    address: str
    room: str
    member: str
    sources: int


@frozen
class FloodUnfiltered(Event):
    """The kernel refuses to filter floods: the relay drops their datagrams itself."""

    id = "flood.unfiltered"
    level = Level.WARN
    text = "listener {listener}: floods cannot be filtered in the kernel: {error}"
    listener: str
    error: str


@frozen
class FloodOver(Event):
    """No source is filtered any more, and none has gone on."""

    id = "flood.over"
    text = "no more floods, after {seconds} s; sources that were filtered: {sources}"
    sources: int
    seconds: float


@frozen
class ListenerClosed(Event):
    """A listener is closed; its last ``listener.statistics`` precedes this event."""

    id = "listener.closed"
    text = "listener {listener} closed"
    listener: str


@frozen
class ListenerSegmentsOff(Event):
    """
    Segmentation offload fails for ``address``, or for all addresses if it is empty.

    Nothing is lost: the listener sends datagram by datagram from now on.
    """

    id = "listener.segments-off"
    text = "listener {listener} sends datagram by datagram to {address}: {error}"
    listener: str
    address: str
    error: str


@frozen
class RoomOpened(Event):
    """A room has its first member."""

    id = "room.opened"
    text = "room {room} opened"
    room: str


@frozen
class RoomStatistics(Event):
    """The counters of a room since it was opened, every ``[log] statistics``."""

    id = "room.statistics"
    text = (
        "room {room}: {members} members, {datagrams} datagrams ({bytes} bytes) in, "
        "{deliveries} deliveries out"
    )
    room: str
    members: int
    datagrams: int
    bytes: int
    deliveries: int


@frozen
class RoomClosed(Event):
    """
    A room has lost its last member (``reason`` is ``empty``), or the relay stops (``stopping``).

    ``datagrams`` and ``bytes`` came in from members, ``deliveries`` went out to them.
    """

    id = "room.closed"
    text = "room {room} closed ({reason}) after {datagrams} datagrams, {deliveries} deliveries"
    room: str
    reason: str
    datagrams: int
    bytes: int
    deliveries: int


@frozen
class MemberJoined(Event):
    """A member has joined a room. ``address`` and ``listener`` are empty for a local member."""

    id = "member.joined"
    text = "{member} ({kind} {address}) joined {room}"
    room: str
    member: str
    kind: str
    address: str
    listener: str


@frozen
class MemberLeft(Event):
    """
    A member has left a room.

    ``reason``: ``idle``; ``kicked``; ``left`` (a session member that sent LEAVE, or an operator
    that has joined another room); ``replaced``
    (a target that has moved, or a plain member whose address has become that of a target or of a
    session member); ``unreachable`` (ICMP has refused a silent member of a full room).
    """

    id = "member.left"
    text = "{member} ({address}) left {room}: {reason}"
    room: str
    member: str
    address: str
    listener: str
    reason: str


@frozen
class MemberRenamed(Event):
    """A session member has a new nick."""

    id = "member.renamed"
    text = "{before} is now {member} in {room}"
    room: str
    member: str
    before: str


@frozen
class MemberMoved(Event):
    """A session member has proved a new address."""

    id = "member.moved"
    text = "{member} of {room} moved from {before} to {address}"
    room: str
    member: str
    before: str
    address: str
    listener: str


@frozen
class MemberTroubled(Event):
    """
    A member is in trouble, for ``reason`` (a drop reason), and may get less than is sent.

    ``unreachable``: an ICMP error was received. It gets one datagram a second until it is
    reachable, or is heard. ``send-buffer``: what is sent to it stays in the send buffer, as its
    link is slower than its room, or its machine does not answer. It gets what its link can
    carry. ``send-failed``: the kernel refuses datagrams for it. Other members get all of theirs.
    """

    id = "member.troubled"
    level = Level.WARN
    text = "{member} ({address}) of {room} is in trouble ({reason}): {error}"
    room: str
    member: str
    address: str
    listener: str
    reason: str
    error: str


@frozen
class MemberRecovered(Event):
    """A member that was in trouble gets everything again; it was so for ``seconds``."""

    id = "member.recovered"
    text = "{member} ({address}) of {room} is no longer in trouble, after {seconds} s"
    room: str
    member: str
    address: str
    listener: str
    seconds: float


@frozen
class MemberAwaited(Event):
    """
    Reliable senders have waited for a member for a second or longer, as it was far behind.

    ``outcome`` is ``caught up``, ``too slow`` or ``left``.
    """

    id = "member.awaited"
    text = "{member} of {room} was waited for {seconds} s: {outcome}"
    room: str
    member: str
    address: str
    listener: str
    seconds: float
    outcome: str


@frozen
class MemberRejected(Event):
    """
    An address was not admitted, for ``reason`` (a drop reason).

    Emitted only for the first datagram in each window of ``drop_window``, listener and reason; the
    rest is in ``datagrams.dropped``.
    """

    id = "member.rejected"
    level = Level.WARN
    text = "{address} rejected from {room} at listener {listener}: {reason}"
    room: str
    address: str
    listener: str
    reason: str


@frozen
class LoopFound(Event):
    """
    A member returns what it is sent, so that one datagram would go round for ever.

    What it sends is dropped for the next ``seconds``, which is longer each time.
    """

    id = "loop.found"
    level = Level.WARN
    text = (
        "{member} ({address}) sends back to {room} what it gets, a loop: muted for {seconds} s; "
        "look for a relay, an echo program or a bridge there"
    )
    room: str
    member: str
    address: str
    listener: str
    seconds: float


@frozen
class LoopOver(Event):
    """A member that was in a loop has been silent or honest for a while, or has left."""

    id = "loop.over"
    text = "{member} ({address}) is in no loop of {room} any more; {dropped} dropped"
    room: str
    member: str
    address: str
    listener: str
    dropped: int


@frozen
class DatagramsDropped(Event):
    """``count`` datagrams or deliveries were dropped for ``reason`` within ``window`` seconds."""

    id = "datagrams.dropped"
    level = Level.WARN
    text = "{count} dropped in {window} s (listener {listener}, room {room}): {reason}"
    listener: str
    room: str
    reason: str
    count: int
    window: float


@frozen
class MemoryFull(Event):
    """
    The memory for members, rooms and what is kept for them is used up.

    Within ``window`` seconds, ``trimmed`` datagrams had to leave histories early, and ``refused``
    members or rooms were refused.
    """

    id = "memory.full"
    level = Level.WARN
    text = (
        "the memory of {budget} bytes is used up: {trimmed} datagrams left histories early,"
        " {refused} members were refused in {window} s; raise [limits] memory, or lower history"
    )
    budget: int
    used: int
    trimmed: int
    refused: int
    window: float


@frozen
class DatagramRelayed(Event):
    """One datagram with its payload; only with ``[log] payloads = yes``."""

    id = "datagram.relayed"
    text = "{member} ({address}) in {room}, {bytes} bytes: {payload}"
    room: str
    member: str
    address: str
    bytes: int
    payload: str


@frozen
class TargetResolved(Event):
    """The address of a target has been found, or has changed."""

    id = "target.resolved"
    text = "target {target} of {room} is at {address}"
    room: str
    target: str
    address: str
    addresses: int


@frozen
class TargetUnresolved(Event):
    """A target's name has no address; it is looked up again."""

    id = "target.unresolved"
    level = Level.WARN
    text = "target {target} of {room} cannot be resolved: {error}"
    room: str
    target: str
    error: str


@frozen
class TargetRefused(Event):
    """
    A target has no address but such as it must not have.

    One of the relay's own listeners would get its own datagrams for ever.
    """

    id = "target.refused"
    level = Level.WARN
    text = (
        "target {target} of {room} gets nothing: {address} {error}; "
        "remove it from the targets of the room"
    )
    room: str
    target: str
    address: str
    error: str


@frozen
class TargetUnreachable(Event):
    """An ICMP error was received from a target; emitted once in each ``target_refresh``."""

    id = "target.unreachable"
    level = Level.WARN
    text = "target {target} of {room} ({address}) cannot be reached: {error}"
    room: str
    target: str
    address: str
    error: str


@frozen
class ConsoleInputClosed(Event):
    """The console's standard input has ended; it goes on printing."""

    id = "console.input-closed"
    text = "standard input has ended: the console of {room} only prints from now on"
    room: str


@frozen
class OperatorActed(Event):
    """
    An operator has acted on the relay: ``action`` is ``kick``, ``say`` or ``tell``.

    ``say`` and ``tell`` of an operator that is a member of the room are messages of this member,
    and have no event. ``member`` is empty for ``say``.
    """

    id = "operator.acted"
    text = "{operator}: {action} {member} in {room}"
    operator: str
    action: str
    room: str
    member: str


@frozen
class EventsLost(Event):
    """A consumer of events was too slow and has lost ``count``; only the consumer gets this."""

    id = "events.lost"
    level = Level.WARN
    text = "{consumer} was too slow and has lost {count} events"
    consumer: str
    count: int


@frozen
class LogFolded(Event):
    """
    Members or strangers caused so many events that ``count`` of them have no line in the text log.

    Only the text log has this event; JSON has all events.
    """

    id = "log.folded"
    text = "{count} more events of members and strangers in {window} s: {events}"
    count: int
    window: float
    events: Mapping[str, int]


@frozen
class LogLost(Event):
    """
    The output of the log was too slow, or could not be written, and ``count`` entries are missing.

    ``since`` is the time of the first, as in all entries.
    """

    id = "log.lost"
    level = Level.WARN
    text = "{count} entries since {since} were lost: the log could not be written"
    count: int
    since: str


@frozen
class LogFailed(Event):
    """The log cannot be written, or not be opened again; entries wait as long as they fit."""

    id = "log.failed"
    level = Level.ERROR
    text = "the log {output} cannot be written: {error}"
    output: str
    error: str


@frozen
class SignalReceived(Event):
    """
    A signal has arrived.

    ``action`` is ``reopen-log``, ``statistics``, ``stop`` or ``none``.
    """

    id = "signal.received"
    text = "{signal}: {action}"
    signal: str
    action: str


@frozen
class RelayStopping(Event):
    """The relay has been asked to stop and does not read any more."""

    id = "relay.stopping"
    text = "udprelay is stopping"


@frozen
class RelayStopped(Event):
    """
    The totals of this run.

    ``datagrams`` and ``bytes`` came in from members; ``deliveries`` were handed to the kernel;
    ``dropped`` counts by reason; ``members`` joined in all.
    """

    id = "relay.stopped"
    text = (
        "udprelay stopped after {uptime} s: {members} members, {datagrams} datagrams "
        "({bytes} bytes) in, {deliveries} deliveries out, dropped: {dropped}"
    )
    uptime: float
    members: int
    datagrams: int
    bytes: int
    deliveries: int
    dropped: Mapping[str, int]


@frozen
class Diagnostic(Event):
    """
    A warning or an error that Twisted or a library logged.

    ``traceback`` is empty, or that of an unexpected error.
    """

    id = "diagnostic"
    level = Level.WARN
    text = "{source}: {message}"
    source: str
    message: str
    traceback: str
