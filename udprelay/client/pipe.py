"""Standard input and output, one line a message."""

from __future__ import annotations

from twisted.internet import interfaces
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from udprelay.client import notices
from udprelay.client.client import Client
from udprelay.client.descriptors import STDOUT, reader_may_leave, write_stderr
from udprelay.client.formats import Format
from udprelay.client.notices import Notice, RejectedError, too_long
from udprelay.client.talk import DONE, FAILED, Heard, Said, Talk
from udprelay.protocol.lines import Line, LineSplitter


@implementer(interfaces.IHalfCloseableProtocol, interfaces.IPushProducer)
class Pipe(Protocol):
    """
    The front end of a pipe.

    While messages wait to be sent, standard input is not read; while more output than
    ``slack`` waits for its reader, the socket is not read.

    :param wait: seconds to stay after the end of standard input.
    :param slack: bytes that may wait for the reader besides those that Twisted holds anyway.
    """

    transport: StandardIO

    def __init__(self, form: Format, wait: float, slack: int = 0) -> None:
        self.company = form.notices_in_output
        self._format = form
        self._wait = wait
        self._slack = slack
        self._talk: Talk | None = None
        self._full = False
        self._waiting = 0
        self._lines = LineSplitter(form.longest_line)
        self._client: Client | None = None
        self._output_lost = False
        self._closed: Deferred[None] | None = None

    def open(self, reactor: interfaces.IReactorFDSet) -> None:
        """Take standard input and output; read nothing before :meth:`begin`."""
        StandardIO(self, reactor=reactor)

    def begin(self, client: Client, talk: Talk) -> None:
        self._client = client
        self._talk = talk
        if self._output_lost:
            self._leave()
            return
        self.transport.registerProducer(self, True)
        self.transport.resumeProducing()

    def show(self, message: Heard) -> None:
        self._write(self._format.message(message))

    def notice(self, notice: Notice) -> None:
        line = self._format.notice(notice)
        if self._format.notices_in_output:
            self._write(line)
        else:
            write_stderr(line)

    def _write(self, line: bytes) -> None:
        self.transport.write(line + b"\n")
        if self._full and self._talk is not None:
            self._waiting += len(line)
            if self._waiting > self._slack:
                self._talk.pause()

    def pauseProducing(self) -> None:
        """Whoever reads standard output does not keep up."""
        self._full = True

    def resumeProducing(self) -> None:
        """All output has been written."""
        self._full = False
        self._waiting = 0
        if self._talk is not None:
            self._talk.resume()

    def stopProducing(self) -> None:
        """Standard output is lost, which :meth:`writeConnectionLost` takes care of."""

    def drained(self) -> None:
        self.transport.resumeProducing()

    def close(self) -> Deferred[None]:
        if self._closed is None:
            self._closed = Deferred()
            # With a producer the transport would wait for it, not for its own buffer.
            self.transport.unregisterProducer()
            self.transport.loseConnection()
            if self._output_lost:
                self._closed.callback(None)
        return self._closed

    def connectionMade(self) -> None:
        self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self._say(self._lines.feed(data))

    def readConnectionLost(self) -> None:
        self._say(self._lines.end())
        if self._client is not None:
            self._client.input_ended(self._wait)

    def writeConnectionLost(self) -> None:
        self._output_lost = True
        self._leave()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._closed is not None and not self._closed.called:
            self._closed.callback(None)

    def _leave(self) -> None:
        if self._client is None:
            return
        if reader_may_leave(STDOUT):
            self._client.leave(DONE)
        else:
            self._client.notice(notices.output_failed())
            self._client.leave(FAILED)

    def _say(self, lines: list[Line]) -> None:
        if self._client is None:
            return
        for line in lines:
            try:
                self._client.say(self._said(line))
            except RejectedError as rejected:
                self._client.notice(notices.line_rejected(rejected, line.number))
        if self._client.busy:
            self.transport.pauseProducing()

    def _said(self, line: Line) -> Said:
        if line.content is None:
            raise too_long(line.length, self._format.longest_line, "line")
        return self._format.said(line.content)
