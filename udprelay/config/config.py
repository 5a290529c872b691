"""The configuration of one process."""

from __future__ import annotations

from attrs import field, frozen

from udprelay.config.options import LogRules
from udprelay.config.values import show_duration
from udprelay.protocol.endpoint import host_port
from udprelay.relay.events import ConfigExposed
from udprelay.relay.rules import PlainPolicy, Protocol, RelayRules

PROCESS_SIZE = 72 * 1024**2
"""Bytes of the program, and of the events and lines of the log that wait."""
LISTENER_SIZE = 8 * 1024**2
"""Bytes of what a listener has read, and of what it sends at once."""


@frozen
class Config:
    """
    The configuration of one process.

    :param console: whether its terminal is a member of the room of the listener ``main``.
    :param exposed: the file, if it has access keys and every user of the machine can read it.
    :param warnings: what may not work, for people.
    """

    rules: RelayRules = field(factory=RelayRules)
    log: LogRules = field(factory=LogRules)
    console: bool = False
    exposed: str = ""
    warnings: tuple[str, ...] = field(default=(), eq=False)

    def max_memory(self) -> int:
        """Return the bytes that the process has at most, without the kernel's buffers."""
        listeners = len(self.rules.listeners)
        return PROCESS_SIZE + LISTENER_SIZE * listeners + self.rules.limits.memory

    def summary(self) -> str:
        """Return the configuration as lines for people."""
        lines = []
        for name, rules in self.rules.listeners.items():
            where = host_port(rules.interface, rules.port)
            text = f"listener {name}: {where}, room {rules.room}, protocol {rules.protocol.value}"
            if rules.protocol is not Protocol.SESSION:
                text += f", plain {rules.plain.value}"
                if rules.plain in (PlainPolicy.CHALLENGE, PlainPolicy.NETWORKS):
                    text += f" (trusted: {', '.join(map(str, rules.plain_networks)) or 'none'})"
            lines.append(text)
        with_listener = {rules.room for rules in self.rules.listeners.values()}
        for name in sorted(with_listener | set(self.rules.rooms)):
            room = self.rules.room(name)
            idle = show_duration(room.idle_timeout)
            text = f"room {name}: at most {room.max_members} members, idle after {idle}"
            if room.access_key is not None:
                text += ", needs a passphrase"
                text += " (plain members do not)" if room.plain_with_key else ""
            for target in room.targets:
                text += f", target {host_port(*target)}"
            lines.append(text if name in with_listener else f"{text} (no listener)")
        kept = self.rules.limits.memory
        most, kept = (round(size / 1024**2) for size in (self.max_memory(), kept))
        lines.append(f"memory: at most {most} MiB, {kept} of them for members and what is kept")
        lines.append(f"log: {self.log.format.value}, {self.log.file or 'standard output'}")
        if self.console:
            lines.append(f"console: room {console_room(self.rules)}")
        exposed = (ConfigExposed(file=self.exposed).human(),) if self.exposed else ()
        lines += [f"warning: {text}" for text in (*exposed, *self.warnings)]
        return "\n".join(lines)


def console_room(rules: RelayRules) -> str:
    """Return the room of the console: that of the listener ``main``, or of the first one."""
    listeners = rules.listeners
    return listeners.get("main", next(iter(listeners.values()))).room
