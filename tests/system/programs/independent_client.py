#!/usr/bin/env python3
"""
A client of the session protocol, written from docs/protocol.rst alone.

It sends each line of standard input to the room, or with ``/msg NICK TEXT`` to one member. It
prints received messages as "nick: text" and "nick (private): text". At the end of its input it
leaves once all messages are acknowledged.

It does not implement nick changes, quotas, the PRECIS checks of nicks and passphrases, reports of
incomplete messages, and private messages of unknown senders.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import os
import random
import re
import select
import socket
import struct
import sys
import time
import unicodedata
from collections import deque
from collections.abc import Callable
from itertools import chain, islice, repeat
from typing import Any, NoReturn, TypeAlias

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

HELLO, CHALLENGE, JOIN, WELCOME, REFUSED, UNKNOWN, VERSIONS = range(0x01, 0x08)
DATA, PRIVATE, NACK, PING, LEAVE, ROSTER, NICK, PATH_RESPONSE, MISSED = range(0x10, 0x19)
DATA_DOWN, ENTRY, PRIVATE_DOWN, NOTICE, ACK, GONE, HEARTBEAT, PONG = range(0x20, 0x28)
MEMBERS, PATH_CHALLENGE, BYE, NICKED = range(0x28, 0x2C)
RELIABLE, SEALED, CONTINUED, MORE, RESUBMITTED = 1, 2, 4, 8, 16
SIGNATURE = b"\xfdUR\x01"
MAX_MESSAGE = 65_536
FIRST_INTERVALS = (*[0.25] * 4, *[0.5] * 4)  # seconds between HELLOs or JOINs
LOST = "lost"  # instead of a received item

Item: TypeAlias = Any  # a type and its fields; LOST; None if there is nothing to handle
Map: TypeAlias = dict[str, Any]  # from CBOR


def report(*words: object) -> None:
    print("*", *words, file=sys.stderr, flush=True)


# Keys, seals and badges ---------------------------------------------------------------------


def f(x: bytes) -> bytes:
    return struct.pack(">H", len(x)) + x


def expand(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand to 32 bytes: one round."""
    return hmac.digest(key, info + b"\x01", "sha256")


def ascii_spaces(text: str) -> str:
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)


def prepared_passphrase(text: str) -> bytes:
    return unicodedata.normalize("NFC", ascii_spaces(text.rstrip("\r\n"))).encode()


def prepared_nick(text: str) -> str:
    return unicodedata.normalize("NFKC", re.sub(" +", " ", ascii_spaces(text)).strip(" "))


def room_keys(passphrase: bytes, salt: bytes) -> tuple[bytes, bytes]:
    master = hashlib.scrypt(passphrase, salt=salt, n=2**15, r=8, p=1, dklen=64, maxmem=2**26)
    return expand(master, b"udprelay 1 access"), expand(master, b"udprelay 1 content")


def proof_of(access_key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(access_key, b"udprelay 1 join" + b"".join(map(f, parts)), "sha256")


def badge_of(content_key: bytes, room: str, identity: bytes, nick: str) -> bytes:
    parts = f(room.encode()) + f(identity) + f(nick.encode())
    return hmac.digest(content_key, b"udprelay 1 badge" + parts, "sha256")[:16]


def identity_of(secret: bytes) -> bytes:
    return hashlib.sha256(b"udprelay identity" + secret).digest()[:16]


def seal_of(
    content_key: bytes, identity: bytes, room: str, flags: int, own: int, receiver: bytes
) -> tuple[ChaCha20Poly1305, bytes, bytes]:
    """Return cipher, nonce and associated data of a datagram; a private one has a receiver."""
    place = f(room.encode())
    cipher = ChaCha20Poly1305(expand(content_key, b"udprelay 1 seal" + place + f(identity)))
    reliable = flags & RELIABLE
    stream = (2 if reliable else 3) if receiver else reliable
    kind = PRIVATE if receiver else DATA
    nonce = struct.pack(">B7xI", stream, own)
    return cipher, nonce, bytes([kind, flags & ~RESUBMITTED]) + place + receiver


# Receiving ----------------------------------------------------------------------------------


class Stream:
    """One incoming sequence: it orders items and requests missing ones."""

    def __init__(self, first: int, newest: int) -> None:
        self.next, self.newest = first, newest  # the first one not settled; the newest one
        self.received: dict[int, Item] = {}
        self.requested: dict[int, tuple[int, float, float]] = {}

    def put(self, sequence: int, item: Item) -> bool:
        """Settle a sequence number; return false for a duplicate."""
        if sequence < self.next or sequence in self.received:
            return False
        self.received[sequence] = item
        self.requested.pop(sequence, None)
        self.newest = max(self.newest, sequence)
        return True

    def pop_next(self) -> Item:
        self.next += 1
        return self.received.pop(self.next - 1)

    def due_ranges(self, now: float, timeout: float) -> list[list[int]]:
        """Return the ranges to request now."""
        missing = (s for s in range(self.next, self.newest + 1) if s not in self.received)
        ranges: list[list[int]] = []
        for sequence in islice(missing, 128):
            first = now + random.uniform(0.02, 0.04)
            times, due, noticed = self.requested.setdefault(sequence, (0, first, now))
            if now < due:
                continue
            if times >= 10 and now >= noticed + 30:
                self.put(sequence, LOST)
                continue
            interval = min(max(1, timeout), timeout * 1.5**times)
            self.requested[sequence] = times + 1, now + interval, noticed
            if ranges and sum(ranges[-1]) == sequence:
                ranges[-1][1] += 1
            else:
                ranges.append([sequence, 1])
        return ranges


class Reassembly:
    """Incomplete messages, by kind and sender."""

    def __init__(self) -> None:
        self.partial: dict[tuple[int, bytes], tuple[float, bytes]] = {}

    def add(
        self, source: tuple[int, bytes], flags: int, payload: bytes, now: float
    ) -> bytes | None:
        """Add a payload; return the message that it completes, if any."""
        since, start = self.partial.pop(source, (now, b""))
        if flags & CONTINUED:
            if not start or now > since + 60 or len(start + payload) > MAX_MESSAGE:
                return None
            payload = start + payload
        if flags & MORE:
            self.partial[source] = now, payload
            return None
        return payload


class Member:
    def __init__(self, nick: str, kind: int, identity: bytes, sequence: int) -> None:
        self.nick, self.kind, self.identity = nick, kind, identity
        self.present, self.sequence = True, sequence  # of the last report


class Roster:
    """The members and former members, whose messages may arrive late."""

    def __init__(self, shown: Callable[[int, str, bytes, bytes], str]) -> None:
        self.shown = shown  # returns the nick to show
        self.members: dict[int, Member] = {}
        self.next_page: int | None = None  # the first number of the page to request, if any
        self.due = 0.0
        self.checking = False
        # After a loss: room sequence, number and own sequence of each member.
        self.last_owns: deque[tuple[int, int, int]] = deque()

    def request_all(self) -> None:
        """Request all pages, after a loss."""
        self.next_page, self.due, self.checking = 0, 0, True

    def put(
        self, sequence: int, number: int, nick: str, kind: int, identity: bytes, badge: bytes
    ) -> None:
        known = self.members.get(number)
        if not known or known.sequence <= sequence:
            nick = self.shown(number, nick, identity, badge)
            self.members[number] = Member(nick, kind, identity, sequence)

    def page(self, first: int, newest: int, listed: list[list[Any]], more: int | None) -> None:
        """Apply a page of WELCOME or MEMBERS."""
        for number, member in self.members.items():
            if first <= number < (more or 2**32) and member.sequence <= newest:
                member.present = False
        for number, nick, kind, identity, own, badge in listed:
            self.put(newest, number, nick, kind, identity, badge)
            if self.checking:
                self.last_owns.append((newest, number, own))
        self.next_page, self.due = more, 0
        self.checking = self.checking and more is not None

    def number_of(self, **what: object) -> int | None:
        """Return the number of the present session member with an identity or nick."""
        for number, member in self.members.items():
            if member.present and member.kind == 0 and what.items() <= vars(member).items():
                return number
        return None


# Sending ------------------------------------------------------------------------------------


class RoundTrip:
    """RFC 6298."""

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variation, self.timeout = 0.0, 0.5

    def add_sample(self, trip: float) -> None:
        if self.smoothed is None:
            self.smoothed, self.variation = trip, trip / 2
        else:
            self.variation = 0.75 * self.variation + 0.25 * abs(self.smoothed - trip)
            self.smoothed = 0.875 * self.smoothed + 0.125 * trip
        self.timeout = min(4, max(0.1, self.smoothed + 4 * self.variation))


class Sent:
    """A reliable datagram that is stored."""

    def __init__(self, own: int, flags: int, body: bytes) -> None:
        self.own, self.flags, self.body = own, flags, body
        self.first = 0.0  # when it was first sent in any session; 0: never
        self.renew()

    def renew(self) -> None:
        """Start a session, in which it has not been sent yet."""
        self.since = self.last = self.wait = self.acked = 0.0
        self.times, self.retransmitted = 0, False

    def note_sent(self, now: float, timeout: float) -> None:
        self.first, self.since = self.first or now, self.since or now
        self.last, self.wait = now, min(4, self.wait * 2) if self.wait else timeout
        self.times += 1

    def overdue(self, now: float) -> bool:
        return (
            not self.acked and self.times > 0 and (now > self.since + 60 or now > self.first + 120)
        )


class SendQueue:
    """The datagrams of one own sequence; the stored ones have no gaps."""

    def __init__(self, trip: RoundTrip) -> None:
        self.trip, self.next = trip, 1
        self.stored: deque[Sent] = deque()
        self.window, self.acks, self.halved_at = 32, 0, 0.0

    @property
    def first(self) -> int:
        return self.next - len(self.stored)

    @property
    def unacknowledged(self) -> list[Sent]:
        return [s for s in self.stored if not s.acked]

    def add(self, flags: int, body: bytes) -> None:
        self.stored.append(Sent(self.next, flags, body))
        self.next += 1

    def resume(self, expected: int, new_tag: bool, now: float) -> None:
        for s in self.stored:
            if s.own < expected:
                s.acked = s.acked or now
                continue
            if s.first and (new_tag or s.acked):
                s.flags |= RESUBMITTED
            s.renew()

    def due(self, now: float) -> list[Sent]:
        """Return the datagrams that are overdue, and those that fit into the window."""
        waiting = self.unacknowledged
        late = [s for s in waiting if s.times and now > s.last + s.wait]
        if late and now > self.halved_at + (self.trip.smoothed or self.trip.timeout):
            self.window, self.halved_at = max(4, self.window // 2), now
        new = [s for s in waiting if not s.times and s.own <= waiting[0].own + 64]
        in_flight = sum(s.times > 0 for s in waiting)
        return late + new[: max(0, self.window - in_flight)]

    def acknowledged(self, following: int, bitmap: int, now: float) -> list[Sent]:
        """Receive ACK; return the datagrams that it shows as lost: three later ones arrived."""
        later = [following + 1 + i for i in range(64) if bitmap >> i & 1]
        for s in self.unacknowledged:
            if s.own < following or s.own in later:
                s.acked = now
                self.acks += 1
                if s.times == 1:
                    self.trip.add_sample(now - s.last)
        if self.acks >= self.window:
            self.window, self.acks = min(32, self.window + 1), 0
        before = later[-3] if len(later) >= 3 else 0
        found = [
            s for s in self.unacknowledged if s.own < before and s.times and not s.retransmitted
        ]
        for s in found:
            s.retransmitted = True
        return found

    def pop_failed(self, now: float) -> list[int]:
        """Remove what has failed, the rest of its message, and all before it."""
        end = max((s.own for s in self.stored if s.overdue(now)), default=0)
        failed: list[Sent] = []
        while self.stored and (
            self.stored[0].own <= end or (failed and self.stored[0].flags & CONTINUED)
        ):
            failed.append(self.stored.popleft())
        return [s.own for s in failed if not s.acked]

    def forget(self, now: float, heard: float) -> None:
        """Remove datagrams that were acknowledged long ago."""
        size = sum(len(s.body) for s in self.stored)
        while self.stored and (acked := self.stored[0].acked):
            over_limit = len(self.stored) > 1_024 or size > 1 << 20
            if not (over_limit or heard > acked + 30 or now > acked + 150):
                break
            size -= len(self.stored.popleft().body)


class Liveness:
    """Sends PINGs and detects a lost contact."""

    def __init__(self, keepalive: float, now: float) -> None:
        self.keepalive, self.heard, self.due = keepalive, now, now + keepalive
        self.sent, self.icmp_errors, self.last = 0, 0, 0.0
        self.in_flight: dict[bytes, float] = {}

    def hear(self, now: float) -> None:
        self.heard = now
        if self.sent:
            self.sent = self.icmp_errors = 0
            self.due = now + self.keepalive

    def probe(self, now: float) -> None:
        if not self.sent:
            self.due = min(self.due, max(now, self.last + 1))

    def receive_icmp_error(self, now: float) -> None:
        """Count an ICMP error for the last PING, if there is one."""
        self.probe(now)
        self.icmp_errors = min(self.icmp_errors + 1, self.sent)

    def lost(self, now: float) -> bool:
        return self.icmp_errors >= 3 or (self.sent >= 6 and now >= self.due)

    def ping(self, now: float) -> bytes:
        token = os.urandom(7) + b"\1"
        self.sent += 1
        self.in_flight[token], self.last, self.due = now, now, now + 1
        return token


# The client ---------------------------------------------------------------------------------


class Client:
    """All states; HANDLERS and TIMERS have their methods."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.address = options, (options.host, options.port)
        self.room, self.nick, self.passphrase = options.room, options.nick, b""
        if options.passphrase_file:
            with open(options.passphrase_file, encoding="utf-8") as file:
                self.passphrase = prepared_passphrase(file.read())
            self.nick = prepared_nick(self.nick)
        self.secret = os.urandom(16)
        self.identity = identity_of(self.secret)
        self.keys: dict[bytes, tuple[bytes, bytes]] = {}
        self.content_key, self.limit = b"", 0
        self.sock: socket.socket | None = None
        self.session, self.tag, self.number = b"", b"", 0
        self.room_stream = self.private_stream = Stream(1, 0)
        self.roster, self.reassembly = Roster(self.shown), Reassembly()
        self.waiting_since: float | None = None
        self.expected: dict[bytes, int] = {}
        self.last_private: dict[bytes, int] = {}
        self.seen: dict[tuple[int, bytes], tuple[int, set[int]]] = {}
        # By token: [identity, first, count, times sent, due].
        self.reports: dict[bytes, list[Any]] = {}
        self.trip = RoundTrip()
        self.queues = {DATA: SendQueue(self.trip), PRIVATE: SendQueue(self.trip)}
        self.input, self.input_open = b"", True
        self.now = self.joined_at = time.monotonic()
        self.start_greeting()

    # Sending

    def send(self, kind: int, ident: bytes, rest: bytes = b"", flags: int = 0) -> None:
        assert self.sock is not None
        try:
            self.sock.send(SIGNATURE + bytes([kind, flags]) + ident + rest)
        except OSError:
            self.icmp = True  # for an earlier datagram; this one is lost

    def start_greeting(self, after: float = 0) -> None:
        """Change to the state greeting, with HELLO after some seconds."""
        if self.sock:
            self.sock.close()
        family, kind, proto, _, address = socket.getaddrinfo(
            *self.address, type=socket.SOCK_DGRAM
        )[0]
        self.sock = socket.socket(family, kind, proto)
        self.sock.connect(address)
        self.sock.setblocking(False)
        self.state, self.nonce, self.icmp = "greeting", os.urandom(8), False
        self.due = self.now + after
        self.intervals = chain(FIRST_INTERVALS, [1] * 7, [2], repeat(4))

    def rejoin(self, answer: Map, stretch: float = 1.0) -> None:
        """Join again after BYE or REFUSED, or close."""
        report(answer["c"], answer["m"])
        if not answer["a"] or not self.session:
            self.close(1, answer["c"])
        self.start_greeting(answer["a"] / 1000 * stretch)

    def close(self, status: int, *words: object) -> NoReturn:
        report("closed:", *words)
        sys.exit(status)

    # Joining

    def greet(self) -> None:
        """The timer of the state greeting."""
        if self.now - self.joined_at > self.options.timeout:
            self.close(1, "no relay")
        if self.now >= self.due:
            hello = {"r": self.room, "v": [1], "p": bytes(200)}
            self.send(HELLO, self.nonce, cbor2.dumps(hello))
            self.due = self.now + next(self.intervals)

    def retry_join(self) -> None:
        """The timer of the state joining."""
        if self.now >= self.deadline:
            self.start_greeting()
        elif self.now >= self.due:
            self.send(JOIN, self.nonce, cbor2.dumps(self.join))
            self.due = self.now + next(self.intervals)

    def on_versions(self, _: int, body: bytes) -> None:
        if 1 not in body:
            self.close(1, "other versions:", *body)

    def on_challenge(self, _: int, body: bytes) -> None:
        answer = cbor2.loads(body)
        self.join: Map = {
            "c": answer["c"],
            "r": self.room,
            "n": self.nick,
            "s": self.secret,
            "u": [self.queues[DATA].first, self.queues[PRIVATE].first],
        }
        if self.passphrase:
            self.join |= self.proven(answer["c"], answer["s"])
        if self.tag:
            self.join |= {"t": self.tag, "q": self.room_stream.next - 1}
        self.now = time.monotonic()  # deriving the keys takes time
        self.state, self.due, self.deadline = "joining", self.now, self.now + 5
        self.intervals = chain(FIRST_INTERVALS, repeat(1))

    def proven(self, cookie: bytes, salt: bytes) -> dict[str, bytes]:
        if salt not in self.keys:
            self.keys[salt] = room_keys(self.passphrase, salt)
        access_key, self.content_key = self.keys[salt]
        names = self.room.encode(), self.nick.encode()
        return {
            "p": proof_of(access_key, cookie, *names, self.nonce, self.identity),
            "b": badge_of(self.content_key, self.room, self.identity, self.nick),
        }

    def on_refused(self, _: int, body: bytes) -> None:
        self.rejoin(cbor2.loads(body))

    def on_welcome(self, _: int, body: bytes) -> None:
        w = cbor2.loads(body)
        if self.passphrase and w["n"] != self.nick:
            report("the relay has normalised the nick to", w["n"])
        new_tag = w["t"] != self.tag
        if new_tag:
            self.room_stream, self.roster = Stream(w["f"], w["q"]), Roster(self.shown)
            self.roster.checking = True
        else:
            for sequence in range(self.room_stream.next, w["f"]):
                self.room_stream.put(sequence, LOST)
            self.room_stream.newest = max(self.room_stream.newest, w["q"])
        if w["i"] != self.session:
            self.private_stream = Stream(1, w["d"])
        for queue, expected in zip(self.queues.values(), w["u"], strict=True):
            queue.resume(expected, new_tag, self.now)
        self.session, self.tag, self.number = w["i"], w["t"], w["m"]
        self.nick, self.limit = w["n"], w["l"]
        self.liveness = Liveness(w["k"] / 1000, self.now)
        self.state, self.welcome_at = "joined", self.now
        self.roster.page(0, w["q"], w["w"], w.get("y"))

    # Sending messages

    def send_message(self, text: bytes, receiver: bytes = b"") -> None:
        """Slice a message and queue the pieces, for the room or for one identity."""
        queue = self.queues[PRIVATE if receiver else DATA]
        size = self.limit - len(receiver) - (16 if self.passphrase else 0)
        for start in range(0, len(text), size):
            flags = RELIABLE | CONTINUED * (start > 0) | MORE * (start + size < len(text))
            payload = text[start : start + size]
            if self.passphrase:
                flags |= SEALED
                cipher, nonce, bound = seal_of(
                    self.content_key, self.identity, self.room, flags, queue.next, receiver
                )
                payload = cipher.encrypt(nonce, payload, bound)
            queue.add(flags, receiver + payload)

    def read_line(self, line: bytes) -> None:
        private = re.fullmatch(rb"/msg (\S+) (.+)", line)
        if len(line) > MAX_MESSAGE:
            report("too large")
        elif not private:
            self.send_message(line)
        elif number := self.roster.number_of(nick=private[1].decode()):
            self.send_message(private[2], self.roster.members[number].identity)
        else:
            report("no such member:", private[1].decode())

    def transmit(self, kind: int, s: Sent) -> None:
        s.note_sent(self.now, self.trip.timeout)
        self.send(kind, self.session, struct.pack(">I", s.own) + s.body, s.flags)
        if s.times == 3:
            self.liveness.probe(self.now)

    def on_ack(self, _: int, body: bytes) -> None:
        own, bitmap, own_private, bitmap_private = struct.unpack_from(">IQIQ", body)
        for kind, following, bits in (DATA, own, bitmap), (PRIVATE, own_private, bitmap_private):
            for s in self.queues[kind].acknowledged(following, bits, self.now):
                self.transmit(kind, s)
        for first, count in struct.iter_unpack(">QH", body[24:]):
            for sequence in range(first, first + count):
                self.room_stream.put(sequence, None)  # its own

    def on_pong(self, _: int, body: bytes) -> None:
        token = body[:8]
        if token in self.liveness.in_flight:
            self.trip.add_sample(self.now - self.liveness.in_flight[token])
            self.liveness.in_flight.clear()
        self.reports.pop(token, None)
        newest, newest_private = struct.unpack(">QQ", body[8:])
        self.room_stream.newest = max(self.room_stream.newest, newest)
        self.private_stream.newest = max(self.private_stream.newest, newest_private)

    # Sequenced datagrams

    def is_plausible(self, stream: Stream, sequence: int) -> bool:
        """Return whether a sequence number is credible without confirmation by PONG."""
        if sequence <= stream.newest + 1_024:
            return True
        self.liveness.probe(self.now)
        return False

    def on_heartbeat(self, _: int, body: bytes) -> None:
        (newest,) = struct.unpack(">Q", body)
        if self.is_plausible(self.room_stream, newest):
            self.room_stream.newest = max(self.room_stream.newest, newest)

    def on_data(self, flags: int, body: bytes) -> None:
        sequence, number, own = struct.unpack_from(">QII", body)
        if not self.is_plausible(self.room_stream, sequence):
            return
        at_once = not flags & RELIABLE and number in self.roster.members
        item = None if at_once else (DATA, number, flags, own, body[16:])
        if self.room_stream.put(sequence, item) and at_once:
            self.message(DATA, number, flags, own, body[16:])

    def on_entry(self, _: int, body: bytes) -> None:
        sequence, number, _ = struct.unpack_from(">QII", body)
        if self.is_plausible(self.room_stream, sequence):
            self.room_stream.put(sequence, (ENTRY, number, cbor2.loads(body[16:])))

    def on_private(self, flags: int, body: bytes) -> None:
        sequence, number, own = struct.unpack_from(">QII", body)
        item = (PRIVATE, number, flags, own, body[16:])
        if sequence:
            self.private_stream.put(sequence, item)
        else:
            self.message(*item)

    def on_notice(self, _: int, body: bytes) -> None:
        (sequence,) = struct.unpack_from(">Q", body)
        self.private_stream.put(sequence, (NOTICE, cbor2.loads(body[16:])))

    def on_gone(self, _: int, body: bytes) -> None:
        stream = self.private_stream if body[0] else self.room_stream
        for first, count, reason in struct.iter_unpack(">QHB", body[1:]):
            for sequence in range(first, first + count):
                stream.put(sequence, None if reason else LOST)

    def deliver(self) -> None:
        """Handle the deliverable items of both sequences."""
        stream = self.private_stream
        while stream.next in stream.received:
            self.handle_private(stream.pop_next())
        stream = self.room_stream
        while stream.next in stream.received and not self.must_wait(stream.received[stream.next]):
            self.waiting_since = None
            self.handle(stream.next, stream.pop_next())
        self.check_last_owns()

    def must_wait(self, item: Item) -> bool:
        """Return whether the sender of a message may still be found in the roster."""
        known = item in (None, LOST) or item[0] != DATA or item[1] in self.roster.members
        if known or self.roster.next_page is None:
            return False
        self.waiting_since = self.waiting_since or self.now
        return self.now < self.waiting_since + 10

    def handle(self, sequence: int, item: Item) -> None:
        if item is None:
            return
        if item != LOST and item[0] == ENTRY:
            self.entry(sequence, *item[1:])
        elif item == LOST or (item[2] & SEALED and item[1] not in self.roster.members):
            report("lost:", sequence)
            self.roster.request_all()
        else:
            self.message(*item)

    def handle_private(self, item: Item) -> None:
        if item == LOST:
            report("lost: private messages")
            self.reassembly.partial.clear()
        elif item and item[0] == NOTICE:
            report("notice:", item[1])
        elif item:
            self.message(*item)

    # The roster

    def shown(self, number: int, nick: str, identity: bytes, badge: bytes) -> str:
        """Return the nick of a member, or its number if the badge is wrong."""
        if not self.passphrase or not identity:
            return nick
        right = badge_of(self.content_key, self.room, identity, nick)
        return nick if hmac.compare_digest(badge, right) else f"#{number}"

    def entry(self, sequence: int, number: int, e: Map) -> None:
        member = self.roster.members.get(number)
        if e["e"] == "join":
            self.roster.put(sequence, number, e["n"], e["k"], e["i"], e["b"])
            if e["i"]:
                self.expect(number, e["i"], e["o"] + 1)
        elif member and e["e"] == "nick":
            self.roster.put(sequence, number, e["n"], member.kind, member.identity, e["b"])
        elif member and e["e"] == "leave":
            if e["r"] in ("left", "kicked"):
                for kind in (DATA, PRIVATE):
                    self.reassembly.partial.pop((kind, member.identity), None)
            member.present, member.sequence = False, max(sequence, member.sequence)

    def on_members(self, _: int, body: bytes) -> None:
        answer = cbor2.loads(body)
        if answer["f"] == self.roster.next_page:
            self.roster.page(answer["f"], answer["q"], answer["w"], answer.get("y"))

    def check_last_owns(self) -> None:
        """After a loss, check the last own sequences of all members, once they are settled."""
        last_owns = self.roster.last_owns
        while last_owns and last_owns[0][0] < self.room_stream.next:
            _, number, own = last_owns.popleft()
            identity = self.roster.members[number].identity
            if identity in self.expected:
                self.expect(number, identity, own + 1)

    # Received messages

    def expect(self, number: int, identity: bytes, own: int) -> bool:
        """Expect a reliable own sequence next; return false if it is a duplicate."""
        expected = self.expected.setdefault(identity, own)
        if own < expected or identity == self.identity:
            return False
        if own > expected:
            report(f"lost: {own - expected} datagrams from #{number}")
            self.reassembly.partial.pop((DATA, identity), None)
            count = min(65_535, own - expected)
            self.reports[os.urandom(7) + b"\2"] = [identity, expected, count, 0, self.now]
            self.expected[identity] = own
        return True

    def is_new(self, kind: int, number: int, identity: bytes, flags: int, own: int) -> bool:
        """Record the own sequence of a message; return false if it is a duplicate."""
        if not flags & RELIABLE:
            top, seen = self.seen.get((kind, identity), (own, set()))
            if own in seen or own <= top - 1_024:
                return False
            top = max(top, own)
            self.seen[kind, identity] = top, {o for o in seen if o > top - 1_024} | {own}
        elif kind == PRIVATE:
            if own <= self.last_private.get(identity, 0):
                return False
            self.last_private[identity] = own
        else:
            if not self.expect(number, identity, own):
                return False
            self.expected[identity] = own + 1
        return True

    def opened(
        self, kind: int, identity: bytes, flags: int, own: int, payload: bytes
    ) -> bytes | None:
        """Return the opened payload; None if its seal is wrong or missing."""
        receiver = self.identity if kind == PRIVATE else b""
        cipher, nonce, bound = seal_of(self.content_key, identity, self.room, flags, own, receiver)
        with contextlib.suppress(InvalidTag):
            return cipher.decrypt(nonce, payload, bound) if flags & SEALED else None
        return None

    def message(self, kind: int, number: int, flags: int, own: int, payload: bytes) -> None:
        unknown = Member(f"#{number}", 1, b"", 0)
        member = self.roster.members.get(number, unknown)
        if kind == DATA and member.identity == self.identity:
            return
        if self.passphrase:
            opened = self.opened(kind, member.identity, flags, own, payload)
            if opened is None:
                report("dropped a message that is not sealed by", member.nick)
                return
            payload = opened
        if member.identity and not self.is_new(kind, number, member.identity, flags, own):
            return
        text = self.reassembly.add((kind, member.identity), flags, payload, self.now)
        if text is not None:
            private = " (private)" * (kind == PRIVATE)
            print(f"{member.nick}{private}: {text.decode(errors='replace')}", flush=True)

    # Staying and leaving

    def on_path_challenge(self, _: int, body: bytes) -> None:
        self.send(PATH_RESPONSE, self.session, body)

    def on_unknown(self, *_: object) -> None:
        report("unknown session: joining again")
        self.start_greeting(max(0, self.welcome_at + 1 - self.now))

    def on_bye(self, _: int, body: bytes) -> None:
        self.rejoin(cbor2.loads(body), random.uniform(1, 1.5))

    def on_left(self, *_: object) -> None:
        self.close(0, "left")

    def stay(self) -> None:
        """The timers of the state joined."""
        if self.icmp:
            self.icmp = False
            self.liveness.receive_icmp_error(self.now)
        if self.liveness.lost(self.now):
            report("contact lost")
            self.start_greeting()
            return
        self.joined_at = self.now
        self.send_requests()
        self.deliver()
        self.report()
        self.pump()

    def send_requests(self) -> None:
        """Send PING, ROSTER and NACK, if they are due."""
        if self.now >= self.liveness.due:
            settled = struct.pack(">Q", self.room_stream.next - 1)
            self.send(PING, self.session, self.liveness.ping(self.now) + settled)
        if self.roster.next_page is not None and self.now >= self.roster.due:
            self.send(ROSTER, self.session, struct.pack(">I", self.roster.next_page))
            self.roster.due = self.now + 1
        for name, stream in enumerate((self.room_stream, self.private_stream)):
            ranges = [
                struct.pack(">QH", *r) for r in stream.due_ranges(self.now, self.trip.timeout)
            ]
            for i in range(0, len(ranges), 64):
                self.send(NACK, self.session, bytes([name]) + b"".join(ranges[i : i + 64]))

    def report(self) -> None:
        """Send MISSED for lost messages, until the relay has answered."""
        for token, report in list(self.reports.items()):
            identity, first, count, times, due = report
            if times == 10:
                del self.reports[token]
            number = self.roster.number_of(identity=identity)
            if times < 10 and number and self.now >= due:
                missed = {"m": number, "w": [[first, count]], "t": token}
                self.send(MISSED, self.session, cbor2.dumps(missed))
                report[3:] = times + 1, self.now + 1

    def pump(self) -> None:
        """Send the datagrams that are due; join again if one has failed."""
        for kind, queue in self.queues.items():
            queue.forget(self.now, self.liveness.heard)
            if failed := queue.pop_failed(self.now):
                report("not delivered:", *failed)
                self.start_greeting(max(0, self.welcome_at + 1 - self.now))
                return
            for s in queue.due(self.now):
                self.transmit(kind, s)

    def leave(self) -> None:
        """The timer of the state leaving."""
        if self.now >= self.deadline:
            self.close(0, "left without an answer")
        if self.now >= self.due:
            self.send(LEAVE, self.session)
            self.due = self.now + 0.25

    # The loop

    def run(self) -> None:
        while True:
            readable, _, _ = select.select(self.watched(), [], [], 0.01)
            self.now = time.monotonic()
            if 0 in readable:
                self.read()
            if self.sock in readable:
                self.receive()
            if self.state == "joined":
                self.read_lines()
            TIMERS[self.state](self)

    def watched(self) -> list[Any]:
        waiting = sum(len(queue.unacknowledged) for queue in self.queues.values())
        return [self.sock, 0] if self.input_open and waiting < 1_000 else [self.sock]

    def read(self) -> None:
        more = os.read(0, 65_536)
        self.input_open = bool(more)
        self.input += more if more or self.input[-1:] in (b"", b"\n") else b"\n"

    def read_lines(self) -> None:
        *lines, self.input = self.input.split(b"\n")
        for line in filter(None, lines):
            self.read_line(line)
        waiting = any(queue.unacknowledged for queue in self.queues.values())
        if not self.input_open and not waiting:
            self.state, self.due, self.deadline = "leaving", self.now, self.now + 1

    def receive(self) -> None:
        sock = self.sock
        assert sock is not None
        while sock is self.sock:  # the state greeting opens another one
            try:
                d = sock.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                self.icmp = True
                return
            if d[:4] == SIGNATURE and len(d) >= 14:
                self.datagram(d[4], d[5], d[6:14], d[14:])

    def datagram(self, kind: int, flags: int, ident: bytes, body: bytes) -> None:
        wanted, handler = HANDLERS[self.state].get(kind, ("", None))
        if not handler or ident != getattr(self, wanted):
            return
        if self.state == "joined":
            self.liveness.hear(self.now)
        try:
            handler(self, flags, body)
        except (KeyError, TypeError, ValueError, struct.error, cbor2.CBORDecodeError) as e:
            report("invalid datagram:", repr(e))


TIMERS = {
    "greeting": Client.greet,
    "joining": Client.retry_join,
    "joined": Client.stay,
    "leaving": Client.leave,
}
HANDLERS: dict[str, dict[int, tuple[str, Callable[[Client, int, bytes], None]]]] = {
    "greeting": {
        CHALLENGE: ("nonce", Client.on_challenge),
        VERSIONS: ("nonce", Client.on_versions),
    },
    "joining": {
        WELCOME: ("nonce", Client.on_welcome),
        REFUSED: ("nonce", Client.on_refused),
    },
    "joined": {
        DATA_DOWN: ("tag", Client.on_data),
        ENTRY: ("tag", Client.on_entry),
        HEARTBEAT: ("tag", Client.on_heartbeat),
        PRIVATE_DOWN: ("session", Client.on_private),
        NOTICE: ("session", Client.on_notice),
        ACK: ("session", Client.on_ack),
        GONE: ("session", Client.on_gone),
        PONG: ("session", Client.on_pong),
        MEMBERS: ("session", Client.on_members),
        PATH_CHALLENGE: ("session", Client.on_path_challenge),
        UNKNOWN: ("session", Client.on_unknown),
        BYE: ("session", Client.on_bye),
    },
    "leaving": {
        UNKNOWN: ("session", Client.on_left),
        BYE: ("session", Client.on_left),
    },
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("room")
    parser.add_argument("nick")
    parser.add_argument("--passphrase-file", help="file with the passphrase of the room")
    parser.add_argument(
        "--timeout", type=float, default=120, help="seconds without the relay; %(default)s"
    )
    return parser.parse_args()


if __name__ == "__main__":
    Client(arguments()).run()
