"""
The reference configuration, made of the declarations of its options.

``python tests/docs/docs_reference.py > etc/udprelay.ini`` writes it after a change of them.
"""

from __future__ import annotations

import textwrap
from enum import Enum
from typing import Any

from udprelay.config.options import SECTIONS
from udprelay.config.values import show_duration
from udprelay.protocol.endpoint import host_port
from udprelay.relay.option import Form, Option

WIDTH = 97

HEAD = """\
# The configuration of udprelay: every option with its default, and what is valid.
#
#   twistd -n udprelay --config udprelay.ini --check
#
# prints a summary, or all mistakes. Keep only the options that you change.
# Write comments on lines of their own, durations as 90s, 5m, 1h 30m, sizes as 64 KiB, 10 MiB,
# and lists with commas. A list may continue on indented lines.
"""

HEADINGS = {
    "udprelay": "[udprelay]\n",
    "listener:NAME": """\
# A listener is a socket. There may be several: [listener:games], [listener:site-b].
# The flags --interface, --port and --room override the options of the listener main.
[listener:main]
""",
    "room:NAME": """\
# The defaults of all rooms.
[room:*]
""",
    "limits": """\
# A room with options of its own. The others are those of [room:*].
#[room:lobby]
#label = nick
#targets = 192.0.2.7:2055, [2001:db8::7]:2055
#history_on_join = 20


# Limits of the whole relay, and of the work that unverified sources can cause.
[limits]
""",
    "log": "[log]\n",
}


def reference() -> str:
    """Return the text of ``etc/udprelay.ini``."""
    sections = []
    for kind, options in SECTIONS.items():
        parts = [_option(name, option) for name, option in options.items()]
        sections.append("\n".join([HEADINGS[kind], *parts]))
    return HEAD + "\n" + "\n\n".join(sections)


def _option(name: str, option: Option) -> str:
    text = option.help
    if option.maximum:
        bounds = (show(option.form, bound) for bound in (option.minimum, option.maximum))
        text += "\nValid: {} to {}.".format(*bounds)
    lines = []
    for paragraph in text.split("\n"):
        lines += [paragraph] if paragraph.startswith(" ") else textwrap.wrap(paragraph, WIDTH)
    value = textwrap.wrap(
        f"{name} = {show(option.form, option.default)}", WIDTH, subsequent_indent="    "
    )
    return "".join([*(f"# {line}\n" for line in lines), "\n".join(value), "\n"])


def show(form: Form, value: Any) -> str:
    """Return a value as people write it in the file."""
    match form:
        case Form.YES_OR_NO:
            return "yes" if value else "no"
        case Form.CHOICE:
            assert isinstance(value, Enum)
            return str(value.value)
        case Form.NUMBER:
            return f"{value:.0f}" if value == int(value) else f"{value}"
        case Form.DURATION:
            return show_duration(value) if value else "0"
        case Form.SIZE:
            return show_size(int(value))
        case Form.NETWORKS:
            return ", ".join(map(str, value))
        case Form.TARGETS:
            return ", ".join(host_port(*target) for target in value)
        case Form.ACCESS_KEY:
            return str(value or "")
    return str(value)


def show_size(size: int) -> str:
    """Format a size in the largest unit that gives a whole number."""
    for unit, power in (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024)):
        if size and size % power == 0:
            return f"{size // power} {unit}"
    return str(size)


if __name__ == "__main__":
    print(reference(), end="")
