#!/usr/bin/env python3
"""
A client of the session protocol, written from docs/protocol.rst alone.

It sends each line of standard input to the room, or, if it is ``/msg NICK TEXT``, to one member;
it prints "nick: text" and "nick (private): text" for what comes. When its input is at its end, it
stays until all of it is acknowledged. It leaves out new nicks, allowances, the checks that PRECIS
makes of nicks and passphrases, to tell of messages of which the last pieces do not come, and to
wait for who has sent a private message.
"""

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
from itertools import chain, islice, repeat

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

HELLO, CHALLENGE, JOIN, WELCOME, REFUSED, UNKNOWN, VERSIONS = range(0x01, 0x08)
DATA, PRIVATE, NACK, PING, LEAVE, ROSTER, NICK, PATH_RESPONSE, MISSED = range(0x10, 0x19)
DATA_DOWN, ENTRY, PRIVATE_DOWN, NOTICE, ACK, GONE, HEARTBEAT, PONG = range(0x20, 0x28)
MEMBERS, PATH_CHALLENGE, BYE, NICKED = range(0x28, 0x2C)
RELIABLE, SEALED, CONTINUED, MORE, AGAIN = 1, 2, 4, 8, 16
SIGNATURE = b"\xfdUR\x01"
LARGEST = 65_536
OFTEN = (*[0.25] * 4, *[0.5] * 4)  # seconds between the first HELLOs or JOINs
LOST = "lost"  # in place of what came with a sequence


def tell(*words):
    print("*", *words, file=sys.stderr, flush=True)


# What follows from the passphrase -----------------------------------------------------------


def f(x):
    return struct.pack(">H", len(x)) + x


def expand(key, info):
    """HKDF-Expand to 32 bytes: one round."""
    return hmac.digest(key, info + b"\x01", "sha256")


def ascii_spaces(text):
    return "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)


def prepared_passphrase(text):
    return unicodedata.normalize("NFC", ascii_spaces(text.rstrip("\r\n"))).encode()


def prepared_nick(text):
    return unicodedata.normalize("NFKC", re.sub(" +", " ", ascii_spaces(text)).strip(" "))


def room_keys(passphrase, salt):
    master = hashlib.scrypt(passphrase, salt=salt, n=2**15, r=8, p=1, dklen=64, maxmem=2**26)
    return expand(master, b"udprelay 1 access"), expand(master, b"udprelay 1 content")


def proof_of(access_key, *parts):
    return hmac.digest(access_key, b"udprelay 1 join" + b"".join(map(f, parts)), "sha256")


def badge_of(content_key, room, identity, nick):
    parts = f(room.encode()) + f(identity) + f(nick.encode())
    return hmac.digest(content_key, b"udprelay 1 badge" + parts, "sha256")[:16]


def identity_of(secret):
    return hashlib.sha256(b"udprelay identity" + secret).digest()[:16]


def seal_of(content_key, identity, room, flags, own, receiver):
    """The cipher, nonce and associated data of a datagram, with a receiver if it is private."""
    place = f(room.encode())
    cipher = ChaCha20Poly1305(expand(content_key, b"udprelay 1 seal" + place + f(identity)))
    reliable = flags & RELIABLE
    stream = (2 if reliable else 3) if receiver else reliable
    kind = PRIVATE if receiver else DATA
    nonce = struct.pack(">B7xI", stream, own)
    return cipher, nonce, bytes([kind, flags & ~AGAIN]) + place + receiver


# What comes ---------------------------------------------------------------------------------


class Stream:
    """What comes with one sequence: put into order, and asked for where there is a gap."""

    def __init__(self, first, newest):
        self.next, self.newest = first, newest  # the first not settled; the last there is
        self.held, self.asked = {}, {}

    def put(self, sequence, item):
        """Settle a sequence; false if it was settled already."""
        if sequence < self.next or sequence in self.held:
            return False
        self.held[sequence] = item
        self.asked.pop(sequence, None)
        self.newest = max(self.newest, sequence)
        return True

    def take(self):
        self.next += 1
        return self.held.pop(self.next - 1)

    def to_ask(self, now, timeout):
        """The ranges to ask for now."""
        missing = (s for s in range(self.next, self.newest + 1) if s not in self.held)
        ranges = []
        for sequence in islice(missing, 128):
            first = now + random.uniform(0.02, 0.04)
            times, due, noticed = self.asked.setdefault(sequence, (0, first, now))
            if now < due:
                continue
            if times >= 10 and now >= noticed + 30:
                self.put(sequence, LOST)
                continue
            pause = min(max(1, timeout), timeout * 1.5**times)
            self.asked[sequence] = times + 1, now + pause, noticed
            if ranges and sum(ranges[-1]) == sequence:
                ranges[-1][1] += 1
            else:
                ranges.append([sequence, 1])
        return ranges


class Pieces:
    """Messages that have come in part, by where they come from."""

    def __init__(self):
        self.begun = {}

    def whole(self, source, flags, payload, now):
        """A whole message, if the payload is one or ends one."""
        since, begun = self.begun.pop(source, (now, b""))
        if flags & CONTINUED:
            if not begun or now > since + 60 or len(begun + payload) > LARGEST:
                return None
            payload = begun + payload
        if flags & MORE:
            self.begun[source] = now, payload
            return None
        return payload


class Member:
    def __init__(self, nick, kind, identity, as_of):
        self.nick, self.kind, self.identity = nick, kind, identity
        self.here, self.as_of = True, as_of  # the room sequence that it was so at


class Roster:
    """The members, also those who have left: what they have said may come later."""

    def __init__(self, shown):
        self.shown = shown  # the nick to show, given number, nick, identity and badge
        self.members = {}
        self.ask_from, self.due = None, 0  # the first number to ask for, if any
        self.comparing = False
        self.said = deque()  # after a hole: (room sequence, number, own) of each member

    def ask(self):
        """There was a hole: all have to be asked for."""
        self.ask_from, self.due, self.comparing = 0, 0, True

    def put(self, as_of, number, nick, kind, identity, badge):
        known = self.members.get(number)
        if not known or known.as_of <= as_of:
            nick = self.shown(number, nick, identity, badge)
            self.members[number] = Member(nick, kind, identity, as_of)

    def page(self, first, newest, listed, more):
        """What WELCOME or MEMBERS says of the members from one number to another."""
        for number, member in self.members.items():
            if first <= number < (more or 2**32) and member.as_of <= newest:
                member.here = False
        for number, nick, kind, identity, own, badge in listed:
            self.put(newest, number, nick, kind, identity, badge)
            if self.comparing:
                self.said.append((newest, number, own))
        self.ask_from, self.due = more, 0
        self.comparing = self.comparing and more is not None

    def number_of(self, **what):
        """The number of a session that is here and has this identity or nick."""
        for number, member in self.members.items():
            if member.here and member.kind == 0 and what.items() <= vars(member).items():
                return number
        return None


# What goes ----------------------------------------------------------------------------------


class RoundTrip:
    """RFC 6298."""

    def __init__(self):
        self.smoothed, self.varied, self.timeout = None, 0, 0.5

    def measured(self, trip):
        if self.smoothed is None:
            self.smoothed, self.varied = trip, trip / 2
        else:
            self.varied = 0.75 * self.varied + 0.25 * abs(self.smoothed - trip)
            self.smoothed = 0.875 * self.smoothed + 0.125 * trip
        self.timeout = min(4, max(0.1, self.smoothed + 4 * self.varied))


class Sent:
    """A reliable datagram that is kept."""

    def __init__(self, own, flags, body):
        self.own, self.flags, self.body = own, flags, body
        self.first = None  # when it was first sent in any session
        self.renew()

    def renew(self):
        """Nothing of it has been sent in this session."""
        self.since = self.last = self.wait = self.times = 0
        self.overtaken, self.acked = False, None

    def sending(self, now, timeout):
        self.first, self.since = self.first or now, self.since or now
        self.last, self.wait = now, min(4, self.wait * 2) if self.wait else timeout
        self.times += 1

    def overdue(self, now):
        return not self.acked and self.times and (now > self.since + 60 or now > self.first + 120)


class Outbox:
    """What goes with one own sequence; what is kept has no gaps."""

    def __init__(self, trip):
        self.trip, self.next, self.kept = trip, 1, deque()
        self.window, self.gained, self.halved = 32, 0, 0

    @property
    def first(self):
        return self.next - len(self.kept)

    @property
    def waiting(self):
        return [s for s in self.kept if not s.acked]

    def add(self, flags, body):
        self.kept.append(Sent(self.next, flags, body))
        self.next += 1

    def resume(self, expected, new_tag, now):
        for s in self.kept:
            if s.own < expected:
                s.acked = s.acked or now
                continue
            if s.first and (new_tag or s.acked):
                s.flags |= AGAIN
            s.renew()

    def to_send(self, now):
        """Those whose timer has run out, and those for which the window has room."""
        waiting = self.waiting
        late = [s for s in waiting if s.times and now > s.last + s.wait]
        if late and now > self.halved + (self.trip.smoothed or self.trip.timeout):
            self.window, self.halved = max(4, self.window // 2), now
        new = [s for s in waiting if not s.times and s.own <= waiting[0].own + 64]
        under_way = sum(s.times > 0 for s in waiting)
        return late + new[: max(0, self.window - under_way)]

    def acknowledged(self, following, bitmap, now):
        """Take an acknowledgement; return what it shows as overtaken by three others."""
        later = [following + 1 + i for i in range(64) if bitmap >> i & 1]
        for s in self.waiting:
            if s.own < following or s.own in later:
                s.acked = now
                self.gained += 1
                if s.times == 1:
                    self.trip.measured(now - s.last)
        if self.gained >= self.window:
            self.window, self.gained = min(32, self.window + 1), 0
        before = later[-3] if len(later) >= 3 else 0
        found = [s for s in self.waiting if s.own < before and s.times and not s.overtaken]
        for s in found:
            s.overtaken = True
        return found

    def take_failed(self, now):
        """Take out what has failed, the rest of its message, and all before it."""
        end = max((s.own for s in self.kept if s.overdue(now)), default=0)
        failed = []
        while self.kept and (
            self.kept[0].own <= end or (failed and self.kept[0].flags & CONTINUED)
        ):
            failed.append(self.kept.popleft())
        return [s.own for s in failed if not s.acked]

    def forget(self, now, heard):
        """Drop what was acknowledged long enough ago."""
        size = sum(len(s.body) for s in self.kept)
        while self.kept and (acked := self.kept[0].acked):
            too_much = len(self.kept) > 1_024 or size > 1 << 20
            if not (too_much or heard > acked + 30 or now > acked + 150):
                break
            size -= len(self.kept.popleft().body)


class Contact:
    """Whether the relay is there: what is known from PINGs."""

    def __init__(self, keepalive, now):
        self.keepalive, self.heard, self.due = keepalive, now, now + keepalive
        self.sent, self.refused, self.last, self.under_way = 0, 0, 0, {}

    def hear(self, now):
        self.heard = now
        if self.sent:
            self.sent = self.refused = 0
            self.due = now + self.keepalive

    def doubt(self, now):
        if not self.sent:
            self.due = min(self.due, max(now, self.last + 1))

    def refuse(self, now):
        """An ICMP error came: the answer to the last PING, if there is one."""
        self.doubt(now)
        self.refused = min(self.refused + 1, self.sent)

    def lost(self, now):
        return self.refused >= 3 or (self.sent >= 6 and now >= self.due)

    def ping(self, now):
        token = os.urandom(7) + b"\1"
        self.sent += 1
        self.under_way[token], self.last, self.due = now, now, now + 1
        return token


# The client ---------------------------------------------------------------------------------


class Client:
    """All states; the methods for datagrams are in HANDLERS, below."""

    def __init__(self, options):
        self.options, self.address = options, (options.host, options.port)
        self.room, self.nick, self.passphrase = options.room, options.nick, None
        if options.passphrase_file:
            with open(options.passphrase_file, encoding="utf-8") as file:
                self.passphrase = prepared_passphrase(file.read())
            self.nick = prepared_nick(self.nick)
        self.secret = os.urandom(16)
        self.identity = identity_of(self.secret)
        self.keys, self.content_key, self.limit = {}, None, 0
        self.sock, self.session, self.tag, self.number = None, None, None, None
        self.room_stream = self.private_stream = Stream(1, 0)
        self.roster, self.pieces, self.waited = Roster(self.shown), Pieces(), None
        self.expected, self.last_private, self.seen = {}, {}, {}
        self.missed = {}  # by token: [identity, first, count, times sent, when due]
        self.trip = RoundTrip()
        self.outboxes = {DATA: Outbox(self.trip), PRIVATE: Outbox(self.trip)}
        self.input, self.input_open = b"", True
        self.now = self.joined_at = time.monotonic()
        self.begin()

    # Sending

    def send(self, kind, ident, rest=b"", flags=0):
        try:
            self.sock.send(SIGNATURE + bytes([kind, flags]) + ident + rest)
        except OSError:
            self.icmp = True  # of an earlier one; this one is as good as lost

    def begin(self, after=0):
        """To the state greeting, which begins by waiting."""
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
        self.pauses = chain(OFTEN, [1] * 7, [2], repeat(4))

    def come_back(self, answer, stretch=1.0):
        """What BYE and REFUSED ask for."""
        tell(answer["c"], answer["m"])
        if not answer["a"] or not self.session:
            self.close(1, answer["c"])
        self.begin(answer["a"] / 1000 * stretch)

    def close(self, status, *words):
        tell("closed:", *words)
        sys.exit(status)

    # Joining

    def greet(self):
        """The timer of the state greeting."""
        if self.now - self.joined_at > self.options.patience:
            self.close(1, "no relay")
        if self.now >= self.due:
            hello = {"r": self.room, "v": [1], "p": bytes(200)}
            self.send(HELLO, self.nonce, cbor2.dumps(hello))
            self.due = self.now + next(self.pauses)

    def ask_to_join(self):
        """The timer of the state joining."""
        if self.now >= self.deadline:
            self.begin()
        elif self.now >= self.due:
            self.send(JOIN, self.nonce, cbor2.dumps(self.join))
            self.due = self.now + next(self.pauses)

    def on_versions(self, _, body):
        if 1 not in body:
            self.close(1, "other versions:", *body)

    def on_challenge(self, _, body):
        answer = cbor2.loads(body)
        self.join = {
            "c": answer["c"],
            "r": self.room,
            "n": self.nick,
            "s": self.secret,
            "u": [self.outboxes[DATA].first, self.outboxes[PRIVATE].first],
        }
        if self.passphrase:
            self.join |= self.proven(answer["c"], answer["s"])
        if self.tag:
            self.join |= {"t": self.tag, "q": self.room_stream.next - 1}
        self.now = time.monotonic()  # the keys have taken their time
        self.state, self.due, self.deadline = "joining", self.now, self.now + 5
        self.pauses = chain(OFTEN, repeat(1))

    def proven(self, cookie, salt):
        if salt not in self.keys:
            self.keys[salt] = room_keys(self.passphrase, salt)
        access_key, self.content_key = self.keys[salt]
        names = self.room.encode(), self.nick.encode()
        return {
            "p": proof_of(access_key, cookie, *names, self.nonce, self.identity),
            "b": badge_of(self.content_key, self.room, self.identity, self.nick),
        }

    def on_refused(self, _, body):
        self.come_back(cbor2.loads(body))

    def on_welcome(self, _, body):
        w = cbor2.loads(body)
        if self.passphrase and w["n"] != self.nick:
            tell("the relay has made another nick of mine:", w["n"])
        new_tag = w["t"] != self.tag
        if new_tag:
            self.room_stream, self.roster = Stream(w["f"], w["q"]), Roster(self.shown)
            self.roster.comparing = True
        else:
            for sequence in range(self.room_stream.next, w["f"]):
                self.room_stream.put(sequence, LOST)
            self.room_stream.newest = max(self.room_stream.newest, w["q"])
        if w["i"] != self.session:
            self.private_stream = Stream(1, w["d"])
        for outbox, expected in zip(self.outboxes.values(), w["u"], strict=True):
            outbox.resume(expected, new_tag, self.now)
        self.session, self.tag, self.number = w["i"], w["t"], w["m"]
        self.nick, self.limit = w["n"], w["l"]
        self.contact = Contact(w["k"] / 1000, self.now)
        self.state, self.welcome_at = "joined", self.now
        self.roster.page(0, w["q"], w["w"], w.get("y"))

    # Messages to send

    def say(self, text, receiver=b""):
        """Put a message into pieces that will be sent; to all, or to an identity."""
        outbox = self.outboxes[PRIVATE if receiver else DATA]
        size = self.limit - len(receiver) - (16 if self.passphrase else 0)
        for start in range(0, len(text), size):
            flags = RELIABLE | CONTINUED * (start > 0) | MORE * (start + size < len(text))
            payload = text[start : start + size]
            if self.passphrase:
                flags |= SEALED
                cipher, nonce, bound = seal_of(
                    self.content_key, self.identity, self.room, flags, outbox.next, receiver
                )
                payload = cipher.encrypt(nonce, payload, bound)
            outbox.add(flags, receiver + payload)

    def read_line(self, line):
        whisper = re.fullmatch(rb"/msg (\S+) (.+)", line)
        if len(line) > LARGEST:
            tell("too large")
        elif not whisper:
            self.say(line)
        elif number := self.roster.number_of(nick=whisper[1].decode()):
            self.say(whisper[2], self.roster.members[number].identity)
        else:
            tell("nobody here is", whisper[1].decode())

    def transmit(self, kind, s):
        s.sending(self.now, self.trip.timeout)
        self.send(kind, self.session, struct.pack(">I", s.own) + s.body, s.flags)
        if s.times == 3:
            self.contact.doubt(self.now)

    def on_ack(self, _, body):
        own, bitmap, own_private, bitmap_private = struct.unpack_from(">IQIQ", body)
        for kind, *ack in (DATA, own, bitmap), (PRIVATE, own_private, bitmap_private):
            for s in self.outboxes[kind].acknowledged(*ack, self.now):
                self.transmit(kind, s)
        for first, count in struct.iter_unpack(">QH", body[24:]):
            for sequence in range(first, first + count):
                self.room_stream.put(sequence, None)  # our own

    def on_pong(self, _, body):
        token = body[:8]
        if token in self.contact.under_way:
            self.trip.measured(self.now - self.contact.under_way[token])
            self.contact.under_way.clear()
        self.missed.pop(token, None)
        newest, newest_private = struct.unpack(">QQ", body[8:])
        self.room_stream.newest = max(self.room_stream.newest, newest)
        self.private_stream.newest = max(self.private_stream.newest, newest_private)

    # What comes in the sequences

    def plausible(self, stream, sequence):
        """Whether a sequence counts before a PONG has confirmed it."""
        if sequence <= stream.newest + 1_024:
            return True
        self.contact.doubt(self.now)
        return False

    def on_heartbeat(self, _, body):
        (newest,) = struct.unpack(">Q", body)
        if self.plausible(self.room_stream, newest):
            self.room_stream.newest = max(self.room_stream.newest, newest)

    def on_data(self, flags, body):
        sequence, number, own = struct.unpack_from(">QII", body)
        if not self.plausible(self.room_stream, sequence):
            return
        at_once = not flags & RELIABLE and number in self.roster.members
        item = None if at_once else (DATA, number, flags, own, body[16:])
        if self.room_stream.put(sequence, item) and at_once:
            self.message(DATA, number, flags, own, body[16:])

    def on_entry(self, _, body):
        sequence, number, _ = struct.unpack_from(">QII", body)
        if self.plausible(self.room_stream, sequence):
            self.room_stream.put(sequence, (ENTRY, number, cbor2.loads(body[16:])))

    def on_private(self, flags, body):
        sequence, number, own = struct.unpack_from(">QII", body)
        item = (PRIVATE, number, flags, own, body[16:])
        if sequence:
            self.private_stream.put(sequence, item)
        else:
            self.message(*item)

    def on_notice(self, _, body):
        (sequence,) = struct.unpack_from(">Q", body)
        self.private_stream.put(sequence, (NOTICE, cbor2.loads(body[16:])))

    def on_gone(self, _, body):
        stream = self.private_stream if body[0] else self.room_stream
        for first, count, reason in struct.iter_unpack(">QHB", body[1:]):
            for sequence in range(first, first + count):
                stream.put(sequence, None if reason else LOST)

    def deliver(self):
        """Take what comes next from both sequences."""
        stream = self.private_stream
        while stream.next in stream.held:
            self.happened_in_private(stream.take())
        stream = self.room_stream
        while stream.next in stream.held and not self.must_wait(stream.held[stream.next]):
            self.waited = None
            self.happened(stream.next, stream.take())
        self.compare()

    def must_wait(self, item):
        """Whether a message is from somebody who may yet be found in the roster."""
        known = item in (None, LOST) or item[0] != DATA or item[1] in self.roster.members
        if known or self.roster.ask_from is None:
            return False
        self.waited = self.waited or self.now
        return self.now < self.waited + 10

    def happened(self, sequence, item):
        if item is None:
            return
        if item != LOST and item[0] == ENTRY:
            self.entry(sequence, *item[1:])
        elif item == LOST or (item[2] & SEALED and item[1] not in self.roster.members):
            tell("a hole at", sequence)
            self.roster.ask()
        else:
            self.message(*item)

    def happened_in_private(self, item):
        if item == LOST:
            tell("private messages are lost")
            self.pieces.begun.clear()
        elif item and item[0] == NOTICE:
            tell("notice:", item[1])
        elif item:
            self.message(*item)

    # The roster

    def shown(self, number, nick, identity, badge):
        """A member's nick, unless its badge is not right."""
        if not self.passphrase or not identity:
            return nick
        right = badge_of(self.content_key, self.room, identity, nick)
        return nick if hmac.compare_digest(badge, right) else f"#{number}"

    def entry(self, sequence, number, e):
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
                    self.pieces.begun.pop((kind, member.identity), None)
            member.here, member.as_of = False, max(sequence, member.as_of)

    def on_members(self, _, body):
        answer = cbor2.loads(body)
        if answer["f"] == self.roster.ask_from:
            self.roster.page(answer["f"], answer["q"], answer["w"], answer.get("y"))

    def compare(self):
        """After a hole: see what the members had sent, once all before is settled."""
        said = self.roster.said
        while said and said[0][0] < self.room_stream.next:
            _, number, own = said.popleft()
            identity = self.roster.members[number].identity
            if identity in self.expected:
                self.expect(number, identity, own + 1)

    # Messages that have come

    def expect(self, number, identity, own):
        """The next reliable own sequence will be this one; false if it is one we had."""
        expected = self.expected.setdefault(identity, own)
        if own < expected or identity == self.identity:
            return False
        if own > expected:
            tell(f"lost: {own - expected} of #{number}")
            self.pieces.begun.pop((DATA, identity), None)
            count = min(65_535, own - expected)
            self.missed[os.urandom(7) + b"\2"] = [identity, expected, count, 0, self.now]
            self.expected[identity] = own
        return True

    def is_new(self, kind, number, identity, flags, own):
        """Look at the own sequence of a message, and keep it in mind."""
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

    def opened(self, kind, identity, flags, own, payload):
        """What was sealed; nothing if that can't be."""
        receiver = self.identity if kind == PRIVATE else b""
        cipher, nonce, bound = seal_of(self.content_key, identity, self.room, flags, own, receiver)
        with contextlib.suppress(InvalidTag):
            return cipher.decrypt(nonce, payload, bound) if flags & SEALED else None
        return None

    def message(self, kind, number, flags, own, payload):
        unknown = Member(f"#{number}", 1, b"", 0)
        member = self.roster.members.get(number, unknown)
        if kind == DATA and member.identity == self.identity:
            return
        if self.passphrase:
            payload = self.opened(kind, member.identity, flags, own, payload)
            if payload is None:
                tell("dropped what is not sealed by", member.nick)
                return
        if member.identity and not self.is_new(kind, number, member.identity, flags, own):
            return
        text = self.pieces.whole((kind, member.identity), flags, payload, self.now)
        if text is not None:
            private = " (private)" * (kind == PRIVATE)
            print(f"{member.nick}{private}: {text.decode(errors='replace')}", flush=True)

    # Staying and leaving

    def on_path_challenge(self, _, body):
        self.send(PATH_RESPONSE, self.session, body)

    def on_unknown(self, *_):
        tell("the relay does not know us: joining again")
        self.begin(max(0, self.welcome_at + 1 - self.now))

    def on_bye(self, _, body):
        self.come_back(cbor2.loads(body), random.uniform(1, 1.5))

    def on_left(self, *_):
        self.close(0, "left")

    def stay(self):
        """The timers of the state joined."""
        if self.icmp:
            self.icmp = False
            self.contact.refuse(self.now)
        if self.contact.lost(self.now):
            tell("contact lost")
            self.begin()
            return
        self.joined_at = self.now
        self.ask()
        self.deliver()
        self.report()
        self.pump()

    def ask(self):
        """PING, ROSTER and NACK."""
        if self.now >= self.contact.due:
            settled = struct.pack(">Q", self.room_stream.next - 1)
            self.send(PING, self.session, self.contact.ping(self.now) + settled)
        if self.roster.ask_from is not None and self.now >= self.roster.due:
            self.send(ROSTER, self.session, struct.pack(">I", self.roster.ask_from))
            self.roster.due = self.now + 1
        for name, stream in enumerate((self.room_stream, self.private_stream)):
            ranges = [struct.pack(">QH", *r) for r in stream.to_ask(self.now, self.trip.timeout)]
            for i in range(0, len(ranges), 64):
                self.send(NACK, self.session, bytes([name]) + b"".join(ranges[i : i + 64]))

    def report(self):
        """Tell senders what was lost of theirs, until the relay has answered."""
        for token, report in list(self.missed.items()):
            identity, first, count, times, due = report
            if times == 10:
                del self.missed[token]
            number = self.roster.number_of(identity=identity)
            if times < 10 and number and self.now >= due:
                missed = {"m": number, "w": [[first, count]], "t": token}
                self.send(MISSED, self.session, cbor2.dumps(missed))
                report[3:] = times + 1, self.now + 1

    def pump(self):
        """Send what is due; join again if something has failed."""
        for kind, outbox in self.outboxes.items():
            outbox.forget(self.now, self.contact.heard)
            if failed := outbox.take_failed(self.now):
                tell("not delivered:", *failed)
                self.begin(max(0, self.welcome_at + 1 - self.now))
                return
            for s in outbox.to_send(self.now):
                self.transmit(kind, s)

    def leave(self):
        """The timer of the state leaving."""
        if self.now >= self.deadline:
            self.close(0, "left without an answer")
        if self.now >= self.due:
            self.send(LEAVE, self.session)
            self.due = self.now + 0.25

    # The loop

    def run(self):
        while True:
            readable, _, _ = select.select(self.watched(), [], [], 0.01)
            self.now = time.monotonic()
            if 0 in readable:
                self.read()
            if self.sock in readable:
                self.receive()
            if self.state == "joined":
                self.take_lines()
            TIMERS[self.state](self)

    def watched(self):
        waiting = sum(len(outbox.waiting) for outbox in self.outboxes.values())
        return [self.sock, 0] if self.input_open and waiting < 1_000 else [self.sock]

    def read(self):
        more = os.read(0, 65_536)
        self.input_open = bool(more)
        self.input += more if more or self.input[-1:] in (b"", b"\n") else b"\n"

    def take_lines(self):
        *lines, self.input = self.input.split(b"\n")
        for line in filter(None, lines):
            self.read_line(line)
        waiting = any(outbox.waiting for outbox in self.outboxes.values())
        if not self.input_open and not waiting:
            self.state, self.due, self.deadline = "leaving", self.now, self.now + 1

    def receive(self):
        sock = self.sock
        while sock is self.sock:  # the state greeting begins with another one
            try:
                d = sock.recv(65_536)
            except BlockingIOError:
                return
            except OSError:
                self.icmp = True
                return
            if d[:4] == SIGNATURE and len(d) >= 14:
                self.datagram(d[4], d[5], d[6:14], d[14:])

    def datagram(self, kind, flags, ident, body):
        wanted, handler = HANDLERS[self.state].get(kind, (None, None))
        if not handler or ident != getattr(self, wanted):
            return
        if self.state == "joined":
            self.contact.hear(self.now)
        try:
            handler(self, flags, body)
        except (KeyError, TypeError, ValueError, struct.error, cbor2.CBORDecodeError) as e:
            tell("invalid datagram:", repr(e))


TIMERS = {
    "greeting": Client.greet,
    "joining": Client.ask_to_join,
    "joined": Client.stay,
    "leaving": Client.leave,
}
HANDLERS = {
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


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("room")
    parser.add_argument("nick")
    parser.add_argument("--passphrase-file", help="has the passphrase of the room")
    parser.add_argument(
        "--patience", type=float, default=120, help="seconds without the relay; %(default)s"
    )
    return parser.parse_args()


if __name__ == "__main__":
    Client(arguments()).run()
