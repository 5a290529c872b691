"""The client under a terminal: a pseudo-terminal, and a small screen to look at."""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence

from client_programs import CLIENT, ENVIRONMENT, TIMEOUT
from wcwidth import wcwidth

# Text, or one escape sequence; an unfinished one waits for its rest.
_SEQUENCE = re.compile(r"\x1b\[([?>]?)([\d;]*) ?([@-~])|\x1b\][^\x07]*\x07|\x1b[^\[\]]|[^\x1b]")

# Without it, the line editor asks for the position of the cursor, warns after 2 s without an
# answer, and a late answer is echoed between two prompts. tests/system uses a real terminal.
_NO_CURSOR_POSITION = {"PROMPT_TOOLKIT_NO_CPR": "1"}

# Opening the terminal makes it the controlling one of the new session.
_TAKE_TERMINAL = 'exec "$@" <"$0" >"$0" 2>"$0"'


class Screen:
    """The screen: enough of a VT100 for a line editor."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.colours: set[int] = set()
        self._rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        rows = ("".join(row).rstrip() for row in self._rows)
        return [row for row in rows if row]

    @property
    def cursor(self) -> tuple[int, int]:
        return self._row, self._column

    def feed(self, text: str) -> None:
        """Draw."""
        text, position = self._rest + text, 0
        while found := _SEQUENCE.match(text, position):
            position = found.end()
            kind = found[3]
            if kind is None:
                if len(found[0]) == 1:
                    self._draw(found[0])
            elif not found[1]:
                self._control(kind, [int(number or 0) for number in found[2].split(";")])
        self._rest = text[position:]

    def _control(self, kind: str, numbers: list[int]) -> None:
        first = max(1, numbers[0])
        if kind == "A":
            self._row = max(0, self._row - first)
        elif kind == "B":
            self._move_down(first)
        elif kind == "C":
            self._column = min(self.columns - 1, self._column + first)
        elif kind == "D":
            self._column = max(0, self._column - first)
        elif kind in "JK":
            assert numbers == [0], "only what follows is expected to be erased"
            del self._rows[self._row][self._column :]
            if kind == "J":
                del self._rows[self._row + 1 :]
        elif kind == "m":
            self.colours.update(number for number in numbers if 30 <= number < 108)
        else:
            raise AssertionError(f"unexpected control sequence {kind!r}")

    def _draw(self, character: str) -> None:
        if character == "\r":
            self._column = 0
        elif character == "\n":
            self._move_down(1)
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character >= " ":
            self._put(character, wcwidth(character))
        else:
            raise AssertionError(f"unexpected control character {character!r}")

    def _put(self, character: str, width: int) -> None:
        if self._column + width > self.columns:
            self._move_down(1)
            self._column = 0
        row = self._rows[self._row]
        row.extend(" " * (self._column - len(row)))
        row[self._column : self._column + width] = [character] + [""] * (width - 1)
        self._column += width

    def _move_down(self, count: int) -> None:
        self._row += count
        while len(self._rows) <= self._row:
            self._rows.append([])


class TerminalProcess:
    """The client, running under a terminal of its own."""

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.screen = Screen(80)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._master, slave = os.openpty()
        self._set_size()
        self._modes = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", _TAKE_TERMINAL, os.ttyname(slave), *CLIENT, *arguments],
            env={**ENVIRONMENT, **_NO_CURSOR_POSITION, **environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.hang_up()

    def type(self, text: str) -> None:
        rest = text.encode("utf-8", "surrogateescape")
        while rest:
            # A terminal buffers 4 KiB of input; its output has to be read meanwhile.
            rest = rest[os.write(self._master, rest[:1024]) :]
            self._look(0)

    def paste(self, text: str) -> None:
        self.type(f"\x1b[200~{text}\x1b[201~")

    def wait_until(self, seen: Callable[[list[str]], object]) -> list[str]:
        """Read until ``seen`` returns true for the lines of the screen; return the lines."""
        deadline = time.monotonic() + TIMEOUT
        while not seen(self.screen.lines):
            left = deadline - time.monotonic()
            assert left > 0, "\n".join(["not seen; the screen is:", *self.screen.lines])
            assert self._look(left), "\n".join(["ended; the screen is:", *self.screen.lines])
        return self.screen.lines

    def wait_for(self, *lines: str) -> list[str]:
        """Read until these are the screen's last lines."""
        return self.wait_until(lambda seen: tuple(seen[-len(lines) :]) == lines)

    def ready(self) -> None:
        self.wait_until(lambda lines: lines[-1:] == [">"])

    def resize(self, columns: int) -> None:
        self.screen.columns = columns
        self._set_size()

    def status(self) -> int:
        """Wait for the end; return the exit status."""
        deadline = time.monotonic() + TIMEOUT
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "\n".join(["runs on:", *self.screen.lines])
            self._look(0.02)
        while self._look(0):
            pass
        return self.process.returncode

    def modes_restored(self) -> bool:
        return termios.tcgetattr(self._slave) == self._modes

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def hang_up(self) -> None:
        for descriptor in (self._master, self._slave):
            if descriptor != -1:
                os.close(descriptor)
        self._master = self._slave = -1

    def _look(self, timeout: float) -> bool:
        if not select.select([self._master], [], [], timeout)[0]:
            return False
        self.screen.feed(self._decoder.decode(os.read(self._master, 65_536)))
        return True

    def _set_size(self) -> None:
        size = struct.pack("HHHH", 24, self.screen.columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
