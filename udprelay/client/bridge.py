"""A bridge: the front end of a program that knows nothing but a UDP peer."""

from __future__ import annotations

from errno import errorcode
from os import strerror
from typing import Any

from twisted.internet.defer import Deferred, succeed

from udprelay.client import bridge_notices, notices
from udprelay.client.bridge_address import BridgeAddressError, is_exposed, look_up
from udprelay.client.bridge_passage import BridgePassage
from udprelay.client.bridge_port import SocketAddress, written
from udprelay.client.client import Client
from udprelay.client.descriptors import STDERR, STDOUT, reader_may_leave, write_unless_full
from udprelay.client.formats import Format
from udprelay.client.member import Member
from udprelay.client.notices import Notice
from udprelay.client.option_values import Address
from udprelay.client.talk import DONE, FAILED, Heard, Talk


class Bridge:
    """
    Stands between a room and a program; only notices come out of it otherwise.

    :param form: how notices look.
    :param address: where to be for the program; port 0 is any.
    :param program: where the program is; ``None``: wherever something comes from.
    :param per_member: whether each other member has a port of its own, besides the room's.
    :ivar resolving: whether a name is being looked up, in a thread.
    """

    company = True

    def __init__(
        self,
        reactor: Any,
        form: Format,
        address: Address,
        program: Address | None = None,
        per_member: bool = False,
    ) -> None:
        self.resolving = False
        self._reactor = reactor
        self._format = form
        self._address = address
        self._program = program
        self._per_member = per_member
        self._client: Client | None = None
        self._passage: BridgePassage | None = None
        self._output_lost = False
        self._closed = False

    async def open(self, client: Client) -> bool:
        """Open the socket for the program; return whether that could be done, after telling."""
        self._client = client
        try:
            self.resolving = True
            found = await look_up(self._reactor.nameResolver, self._address, self._program)
            self.resolving = False
            if not self._closed:
                self._open(client, *found)
        except BridgeAddressError as error:
            self.resolving = False
            client.notice(bridge_notices.unusable(error.address, error.reason, str(error)))
        return self._passage is not None

    def _open(self, client: Client, bound: SocketAddress, program: SocketAddress | None) -> None:
        try:
            passage = BridgePassage(self._reactor, bound, program, self._per_member, client.notice)
        except OSError as error:
            number = error.errno or 0
            reason = errorcode.get(number, "EUNKNOWN")
            raise BridgeAddressError(self._address, reason, strerror(number)) from error
        self._passage = passage
        at = None if program is None else written(program)
        client.notice(bridge_notices.opened(passage.address, at))
        if is_exposed(bound):
            client.notice(bridge_notices.exposed(passage.address))

    def begin(self, client: Client, talk: Talk) -> None:
        if self._passage is not None:
            self._passage.begin(talk)

    def company_changed(self, member: Member) -> None:
        """Take note of who is in the room with oneself, ``member``."""
        if self._passage is not None:
            self._passage.take_company(member)

    def show(self, message: Heard) -> None:
        if self._passage is not None:
            self._passage.show(message)

    def notice(self, notice: Notice) -> None:
        if notice.event == "messages.lost" and self._passage is not None:
            # Daily bread where nothing is repeated: counted, not told one by one.
            self._passage.counts.drop("lost", int(notice.fields["count"] or 0))
            return
        line = self._format.notice(notice)
        if not self._format.notices_in_output:
            write_unless_full(STDERR, line)
        elif not write_unless_full(STDOUT, line) and not self._output_lost:
            self._output_lost = True
            self._leave()

    def drained(self) -> None:
        """Nothing waits here."""

    def close(self) -> Deferred[None]:
        self._closed = True
        if self._passage is not None:
            self._passage.close()
            self._passage = None
        return succeed(None)

    def _leave(self) -> None:
        """Leave, as nobody reads the notices that were asked for."""
        if self._client is None:
            return
        if reader_may_leave(STDOUT):
            self._client.leave(DONE)
        else:
            self._client.notice(notices.output_failed())
            self._client.leave(FAILED)
