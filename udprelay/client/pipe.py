"""Standard input and output in a pipe, one message a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from udprelay.client.channel import (
    DONE,
    FAILED,
    Channel,
    IncomingMessage,
    RejectedError,
    too_long,
)
from udprelay.client.client import Client
from udprelay.client.descriptors import STDOUT, finish, reader_may_leave, stderr
from udprelay.client.formats import Format
from udprelay.client.notices import Notice
from udprelay.protocol.text import Line, LineSplitter, printable

if TYPE_CHECKING:
    from udprelay.client.commands import TypedLines


@implementer(interfaces.IHalfCloseableProtocol, interfaces.IPushProducer)
class Pipe(Protocol):
    """
    The front end of a pipe, with back-pressure in both directions.

    Standard input is not read while the channel is busy. The socket is not read while the
    output buffer exceeds ``max_buffered``.

    :param wait: seconds to stay after the end of standard input.
    :param max_buffered: bytes of output that are buffered beyond Twisted's own buffer.
    :param typed: standard input is a terminal: a person types commands, too, and is told what is
        going on.
    """

    transport: StandardIO

    def __init__(
        self, form: Format, wait: float, max_buffered: int, *, typed: bool = False
    ) -> None:
        self.shows_presence = form.notices_in_output or typed
        self._typed = typed
        # What runs typed lines.
        self._typed_lines: TypedLines | None = None
        self._format = form
        self._wait = wait
        self._max_buffered = max_buffered
        self._channel: Channel | None = None
        self._output_full = False
        self._buffered = 0
        self._lines = LineSplitter(form.max_line)
        self._client: Client | None = None
        self._output_lost = False
        self._closed: Deferred[None] | None = None

    def begin(self, client: Client, channel: Channel) -> None:
        self._client = client
        self._channel = channel
        if self._output_lost:
            leave_without_output(client)
            return
        if self._typed:
            # Its completion, which is not needed here, takes long to import.
            from udprelay.client.commands import typed_lines

            self._typed_lines, _ = typed_lines(client, channel, _show)
            client.notice(Notice.of("terminal.ready", peer=channel.peer))
        self.transport.registerProducer(self, True)
        self.transport.resumeProducing()

    def show(self, message: IncomingMessage) -> None:
        self._write(self._format.message(message))

    def notice(self, notice: Notice) -> None:
        line = self._format.notice(notice)
        if self._format.notices_in_output and self._closed is None:
            self._write(line)
        else:
            stderr().write(line + b"\n")

    def _write(self, line: bytes) -> None:
        self.transport.write(line + b"\n")
        if self._output_full and self._channel is not None:
            self._buffered += len(line)
            if self._buffered > self._max_buffered:
                self._channel.pause()

    def pauseProducing(self) -> None:
        """Start counting output, as Twisted's buffer is full."""
        self._output_full = True

    def resumeProducing(self) -> None:
        """Read the socket again, as all output has been written."""
        self._output_full = False
        self._buffered = 0
        if self._channel is not None:
            self._channel.resume()

    def stopProducing(self) -> None:
        """Do nothing: :meth:`writeConnectionLost` follows."""

    def resume_input(self) -> None:
        if self._typed_lines is None or not self._typed_lines.quit:
            self.transport.resumeProducing()

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred()
            # With a producer, the transport would not close when its buffer is empty.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            if self._output_lost:
                self._closed.callback(None)
        return self._closed

    def flush(self) -> None:
        finish(stderr())

    def connectionMade(self) -> None:
        # Nothing is read before begin().
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self._send_lines(self._lines.feed(data))

    def readConnectionLost(self) -> None:
        self._send_lines(self._lines.end())
        if self._client is not None:
            self._client.input_ended(self._wait)

    def writeConnectionLost(self) -> None:
        self._output_lost = True
        if self._client is not None:
            leave_without_output(self._client)

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._closed is not None and not self._closed.called:
            self._closed.callback(None)

    def _send_lines(self, lines: list[Line]) -> None:
        if self._client is None:
            return
        for line in lines:
            try:
                if line.content is None:
                    raise too_long(line.length, self._format.max_line, "line")
                if self._typed_lines is not None and line.content.startswith(b"/"):
                    # Also where lines are JSON objects: a command is never said aloud.
                    self._typed_lines.run(line.content.decode("utf-8", "surrogateescape"))
                    if self._typed_lines.quit:
                        self.transport.pauseProducing()
                        self._client.input_ended(None)
                        return
                    continue
                self._client.send(self._format.parse(line.content))
            except RejectedError as rejected:
                notice = Notice.of(
                    "line.rejected",
                    line=line.number,
                    reason=rejected.reason,
                    bytes=rejected.length,
                    cause=str(rejected),
                )
                self._client.notice(notice)
        if self._client.busy:
            self.transport.pauseProducing()


def _show(text: str) -> None:
    stderr().write(b"-- " + printable(text).encode() + b"\n")


def leave_without_output(client: Client) -> None:
    """Leave because standard output can't be written; that is an error unless it is a pipe."""
    if reader_may_leave(STDOUT):
        client.leave(DONE)
    else:
        client.notice(Notice.of("output.failed"))
        client.leave(FAILED)
