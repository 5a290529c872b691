#!/usr/bin/env python3
"""A client of the session protocol, written from docs/protocol.rst alone.

    independent_client.py HOST PORT ROOM NICK

sends each line of standard input to the room, and prints "nick: text" for each message that
comes. The environment may have PASSPHRASE (of the room), LINGER (seconds to stay after the last
line is acknowledged; 2) and PATIENCE (seconds without being joined until it gives up; 120). It
leaves out private messages, new nicks, and the checks that PRECIS makes of nicks and passphrases.
"""
import contextlib
import hashlib
import hmac
import os
import re
import select
import socket
import struct
import sys
import time
import unicodedata
from collections import deque

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

(HELLO, CHALLENGE, JOIN, WELCOME, REFUSED, UNKNOWN, VERSIONS) = range(1, 8)
(DATA, PRIVATE, NACK, PING, LEAVE, ROSTER, NICK, PATH_RESPONSE, MISSED) = range(0x10, 0x19)
(DATA_DOWN, ENTRY, PRIVATE_DOWN, NOTICE, ACK, GONE, HEARTBEAT, PONG, MEMBERS, PATH_CHALLENGE,
 BYE, NICKED) = range(0x20, 0x2C)
RELIABLE, SEALED, CONTINUED, MORE, AGAIN = 1, 2, 4, 8, 16
SIGNATURE = b"\xfdUR\x01"
LOST = "lost"  # in place of what came with a sequence


def tell(*words):
    print("*", *words, file=sys.stderr, flush=True)


# What follows from the passphrase -----------------------------------------------------------

def f(x):
    return struct.pack(">H", len(x)) + x


def expand(key, info):  # HKDF-Expand to 32 bytes: one round
    return hmac.digest(key, info + b"\x01", "sha256")


def prepare_passphrase(text):
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text.rstrip("\r\n"))
    return unicodedata.normalize("NFC", text).encode()


def prepare_nick(text):  # without the check of what PRECIS allows: the relay does it
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFKC", re.sub(" +", " ", spaced).strip(" "))


def room_keys(passphrase, salt):
    master = hashlib.scrypt(passphrase, salt=salt, n=2**15, r=8, p=1, dklen=64, maxmem=2**26)
    return expand(master, b"udprelay 1 access"), expand(master, b"udprelay 1 content")


def proof(access_key, cookie, room, nick, nonce, identity):
    parts = (cookie, room.encode(), nick.encode(), nonce, identity)
    return hmac.digest(access_key, b"udprelay 1 join" + b"".join(map(f, parts)), "sha256")


def badge(content_key, room, identity, nick):
    parts = f(room.encode()) + f(identity) + f(nick.encode())
    return hmac.digest(content_key, b"udprelay 1 badge" + parts, "sha256")[:16]


def identity_of(secret):
    return hashlib.sha256(b"udprelay identity" + secret).digest()[:16]


def seal_with(content_key, identity, room, flags, own, receiver=b""):
    """The cipher, nonce and associated data of a datagram."""
    place = f(room.encode())
    cipher = ChaCha20Poly1305(expand(content_key, b"udprelay 1 seal" + place + f(identity)))
    stream = (2 if flags & RELIABLE else 3) if receiver else flags & RELIABLE
    nonce = struct.pack(">B7xI", stream, own)
    kind = PRIVATE if receiver else DATA
    return cipher, nonce, bytes([kind, flags & ~AGAIN]) + place + receiver


# What comes in one sequence -----------------------------------------------------------------

class Stream:
    """Puts what comes into order, and knows what to ask for."""

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

    def wanted(self, now, timeout):
        """Ranges to ask for now; at most 256 sequences are asked for at a time."""
        ranges = []
        for sequence in range(self.next, min(self.newest + 1, self.next + 256)):
            if sequence in self.held:
                continue
            times, due = self.asked.setdefault(sequence, (0, now + 0.02))
            if due > now:
                continue
            if times == 10:
                self.put(sequence, LOST)
                continue
            self.asked[sequence] = times + 1, now + min(2, timeout * 1.5**times)
            if ranges and sum(ranges[-1]) == sequence:
                ranges[-1][1] += 1
            else:
                ranges.append([sequence, 1])
        return ranges


class Sent:
    def __init__(self, own, flags, payload):
        self.own, self.flags, self.payload = own, flags, payload
        self.born, self.since, self.last, self.wait = time.monotonic(), 0, 0, 0
        self.times, self.quick, self.acked = 0, False, None


# The client ---------------------------------------------------------------------------------

class Client:
    def __init__(self, host, port, room, nick, passphrase):
        self.address, self.room, self.nick = (host, port), room, nick
        self.passphrase = passphrase and prepare_passphrase(passphrase)
        if passphrase:
            self.nick = prepare_nick(nick)
        self.secret = os.urandom(16)
        self.identity = identity_of(self.secret)
        self.keys, self.content_key, self.salt = {}, None, None
        self.sock, self.session, self.tag = None, None, None
        self.members, self.expected, self.seen, self.partial = {}, {}, {}, {}
        self.checks = []  # (room sequence, number, own): what MEMBERS said after a hole
        self.queue, self.out, self.own = deque(), {}, 1
        self.window, self.window_acked = 32, 0
        self.srtt, self.rttvar, self.timeout = None, 0, 0.5
        self.joined_at = time.monotonic()
        self.ready = None  # when everything was acknowledged
        self.input, self.input_open = b"", True
        self.begin()

    # Sending

    def send(self, kind, ident, rest=b"", flags=0):
        with contextlib.suppress(OSError):  # as good as lost
            self.sock.send(SIGNATURE + bytes([kind, flags]) + ident + rest)

    def begin(self, after=0):
        """To the state greeting."""
        if self.sock:
            self.sock.close()
        family, kind, proto, _, address = socket.getaddrinfo(
            *self.address, type=socket.SOCK_DGRAM)[0]
        self.sock = socket.socket(family, kind, proto)
        self.sock.connect(address)
        self.sock.setblocking(False)
        self.state, self.nonce = "greeting", os.urandom(8)
        self.due, self.pause = time.monotonic() + after, 0.25

    def attempt(self, now):
        """The timers of greeting and joining."""
        if now - self.joined_at > float(os.environ.get("PATIENCE", 120)):
            self.close(1, "no relay")
        if self.state == "joining" and now >= self.deadline:
            self.begin()
        if now < self.due:
            return
        if self.state == "greeting":
            self.send(HELLO, self.nonce, cbor2.dumps({"r": self.room, "v": [1], "p": bytes(200)}))
        else:
            self.send(JOIN, self.nonce, cbor2.dumps(self.join))
        self.due, self.pause = now + self.pause, min(4, self.pause * 2)

    def challenged(self, cookie, salt):
        first = self.own  # the first of those at the end that are all kept
        while first - 1 in self.out:
            first -= 1
        self.join = {"c": cookie, "r": self.room, "n": self.nick, "s": self.secret,
                     "u": [first, 1]}
        if self.passphrase:
            if salt not in self.keys:
                self.keys[salt] = room_keys(self.passphrase, salt)
            access_key, self.content_key = self.keys[salt]
            self.join["p"] = proof(access_key, cookie, self.room, self.nick, self.nonce,
                                   self.identity)
            self.join["b"] = badge(self.content_key, self.room, self.identity, self.nick)
        if self.tag:
            self.join.update(t=self.tag, q=self.stream.next - 1)
        now = time.monotonic()
        self.state, self.due, self.pause, self.deadline = "joining", now, 0.25, now + 4

    def welcomed(self, w):
        if self.passphrase and w["n"] != self.nick:
            tell("the relay has made another nick of mine:", w["n"])
        now, self.nick, self.limit = time.monotonic(), w["n"], w["l"]
        if w["t"] != self.tag:
            self.stream, self.members, self.checks = Stream(w["f"], w["q"]), {}, []
        else:
            for sequence in range(self.stream.next, w["f"]):
                self.stream.put(sequence, LOST)
            self.stream.newest = max(self.stream.newest, w["q"])
        for s in self.out.values():
            if s.own < w["u"][0]:
                s.acked = s.acked or now
            else:
                s.flags |= AGAIN if w["t"] != self.tag else 0
                s.times, s.since, s.wait, s.quick, s.acked = 0, 0, 0, False, None
        self.session, self.tag, self.number = w["i"], w["t"], w["m"]
        self.keepalive = w["k"] / 1000
        self.state, self.heard, self.welcome_at = "joined", now, now
        self.pinged, self.pings, self.next_ping = {}, 0, now + self.keepalive
        self.roster_from, self.roster_due, self.check = None, 0, False
        self.roster(0, w["q"], w["w"], w.get("y"))

    def transmit(self, s, now):
        s.times += 1
        s.since = s.since or now
        s.last, s.wait = now, min(4, s.wait * 2) if s.wait else self.timeout
        self.send(DATA, self.session, struct.pack(">I", s.own) + s.payload, s.flags)

    def say(self, text):
        room = self.limit - (16 if self.passphrase else 0)
        pieces = [text[i:i + room] for i in range(0, len(text), room)]
        for i, piece in enumerate(pieces):
            flags = RELIABLE | CONTINUED * (i > 0) | MORE * (i < len(pieces) - 1)
            self.queue.append((flags, piece))

    def pump(self, now):
        """Send what is new, repeat what is not acknowledged, forget what is."""
        for i, s in enumerate(list(self.out.values()), -len(self.out)):
            if s.acked and (s.acked < self.heard - 30 or s.acked < now - 150 or i < -1024):
                del self.out[s.own]
        waiting = [s for s in self.out.values() if not s.acked]
        under_way = sum(s.times > 0 for s in waiting)
        slower = False
        for s in waiting:
            if (s.since and now > s.since + 60) or now > s.born + 120:
                tell("not delivered:", s.own)
                for o in list(self.out.values()):  # with what went before, and its other pieces
                    if o.own <= s.own or (o.flags & CONTINUED and o.own - 1 not in self.out):
                        del self.out[o.own]
                while self.queue and self.queue[0][0] & CONTINUED and not self.out:
                    self.queue.popleft()
                self.begin(max(0, self.welcome_at + 1 - now))
                return
            if s.times and now > s.last + s.wait:
                slower = True
                self.transmit(s, now)
            elif not s.times and under_way < self.window:
                under_way += 1
                self.transmit(s, now)
        if slower:
            self.window = max(4, self.window // 2)
        while self.queue and under_way < self.window:
            flags, payload = self.queue.popleft()
            if self.passphrase:
                flags |= SEALED
                cipher, nonce, bound = seal_with(self.content_key, self.identity, self.room,
                                                 flags, self.own)
                payload = cipher.encrypt(nonce, payload, bound)
            s = self.out[self.own] = Sent(self.own, flags, payload)
            self.own += 1
            under_way += 1
            self.transmit(s, now)

    def measured(self, trip):  # RFC 6298
        if self.srtt is None:
            self.srtt, self.rttvar = trip, trip / 2
        else:
            self.rttvar = 0.75 * self.rttvar + 0.25 * abs(self.srtt - trip)
            self.srtt = 0.875 * self.srtt + 0.125 * trip
        self.timeout = min(4, max(0.1, self.srtt + 4 * self.rttvar))

    def acknowledged(self, body, now):
        following, bitmap = struct.unpack_from(">IQ", body)
        later = [following + 1 + i for i in range(64) if bitmap >> i & 1]
        for s in self.out.values():
            if s.acked or not s.times:
                continue
            if s.own < following or s.own in later:
                s.acked = now
                if s.times == 1:
                    self.measured(now - s.last)
                self.window_acked += 1
            elif not s.quick and sum(own > s.own for own in later) >= 3:
                s.quick = True
                self.transmit(s, now)
        if self.window_acked >= self.window:
            self.window, self.window_acked = min(32, self.window + 1), 0
        for first, count in struct.iter_unpack(">QH", body[24:]):
            for sequence in range(first, first + count):
                self.stream.put(sequence, None)  # our own

    # The roster

    def roster(self, first, newest, members, more):
        """What WELCOME or MEMBERS says of the members from one number to another."""
        for number, m in self.members.items():
            if first <= number < (more or 2**32) and m["as_of"] <= newest:
                m["here"] = False
        for number, nick, kind, identity, own, mark in members:
            if self.members.get(number, {"as_of": 0})["as_of"] <= newest:
                self.member(number, nick, kind, identity, mark, newest)
            if self.check:
                self.checks.append((newest, number, own))
        self.roster_from, self.roster_due = more, 0  # at once
        self.check = self.check and more is not None

    def member(self, number, nick, kind, identity, mark, as_of):
        if self.passphrase and kind == 0 and not hmac.compare_digest(
                mark, badge(self.content_key, self.room, identity, nick)):
            nick = f"#{number}"
        self.members[number] = {"nick": nick, "kind": kind, "identity": identity, "here": True,
                                "as_of": as_of}

    def entry(self, sequence, number, e):
        m = self.members.get(number)
        if e["e"] == "join":
            if not m or m["as_of"] < sequence:
                self.member(number, e["n"], e["k"], e["i"], e["b"], sequence)
            if e["i"]:
                self.expect(number, e["i"], e["o"] + 1)
        elif m and m["as_of"] < sequence and e["e"] == "nick":
            self.member(number, e["n"], m["kind"], m["identity"], e["b"], sequence)
        elif m and e["e"] == "leave":
            self.partial.pop(m["identity"], None)
            m.update(here=False, as_of=max(sequence, m["as_of"]))

    # Receiving

    def expect(self, number, identity, own):
        """The next reliable own sequence will be this one; false if we had it."""
        expected = self.expected.setdefault(identity, own)
        if own < expected or identity == self.identity:
            return False
        if own > expected:
            tell(f"lost: {own - expected} of #{number}")
            self.partial.pop(identity, None)
            count = min(65535, own - expected)
            self.send(MISSED, self.session, cbor2.dumps({"m": number, "w": [[expected, count]]}))
            self.expected[identity] = own
        return True

    def fresh(self, identity, own):
        """Whether an unreliable one is new: a window of 1,024."""
        top, seen = self.seen.get(identity, (own, set()))
        if own in seen or own <= top - 1024:
            return False
        top = max(top, own)
        self.seen[identity] = top, {o for o in seen if o > top - 1024} | {own}
        return True

    def message(self, number, flags, own, payload):
        m = self.members.get(number, {"nick": f"#{number}", "identity": b"", "kind": 1})
        identity, nick = m["identity"], m["nick"]
        if identity == self.identity:
            return
        if self.passphrase:
            cipher, nonce, bound = seal_with(self.content_key, identity, self.room, flags, own)
            try:
                if not flags & SEALED:
                    raise InvalidTag
                payload = cipher.decrypt(nonce, payload, bound)
            except InvalidTag:
                tell("dropped what is not sealed by", nick)
                return
        if not flags & RELIABLE:
            if identity and not self.fresh(identity, own):
                return
        elif identity:
            if not self.expect(number, identity, own):
                return
            self.expected[identity] = own + 1
        if flags & (CONTINUED | MORE):
            since, parts = self.partial.pop(identity, (0, b""))
            if flags & CONTINUED:
                if time.monotonic() - since > 60 or len(parts) + len(payload) > 65536:
                    return
                payload = parts + payload
            if flags & MORE:
                self.partial[identity] = time.monotonic(), payload
                return
        print(f"{nick}: {payload.decode(errors='replace')}", flush=True)

    def deliver(self):
        while self.stream.next in self.stream.held and self.roster_from is None:
            sequence = self.stream.next
            self.stream.next += 1
            item = self.stream.held.pop(sequence)
            if item == LOST:
                tell("a hole at", sequence)
                self.roster_from, self.roster_due, self.check = 0, 0, True
            elif item:
                kind, number, flags, own, payload = item
                if kind == ENTRY:
                    self.entry(sequence, number, payload)
                else:
                    self.message(number, flags, own, payload)
        for check in [c for c in self.checks if c[0] < self.stream.next]:
            self.checks.remove(check)
            identity = self.members[check[1]]["identity"]
            if identity in self.expected:
                self.expect(check[1], identity, check[2] + 1)

    def close(self, status, *words):
        tell("closed:", *words)
        sys.exit(status)

    def come_back(self, answer):
        if not answer["a"]:
            self.close(1, answer["c"], answer["m"])
        tell(answer["c"], answer["m"])
        self.begin(answer["a"] / 1000)

    def datagram(self, d):
        now, kind, flags, ident, body = time.monotonic(), d[4], d[5], d[6:14], d[14:]
        if kind == VERSIONS and self.state == "greeting" and 1 not in body:
            self.close(1, "other versions:", *body)
        if self.state in ("greeting", "joining"):
            if ident != self.nonce:
                return
            if kind == CHALLENGE and self.state == "greeting":
                c = cbor2.loads(body)
                self.challenged(c["c"], c["s"])
            elif kind == WELCOME and self.state == "joining":
                self.welcomed(cbor2.loads(body))
            elif kind == REFUSED and self.state == "joining":
                answer = cbor2.loads(body)
                self.come_back(answer if self.session else dict(answer, a=0))
            return
        if ident not in (self.session, self.tag):
            return
        if self.pings:
            self.pings, self.next_ping = 0, now + self.keepalive
        self.heard = now
        if ident == self.tag:
            if kind == HEARTBEAT:
                self.stream.newest = max(self.stream.newest, *struct.unpack(">Q", body))
            elif kind in (DATA_DOWN, ENTRY):
                sequence, number, own = struct.unpack_from(">QII", body)
                item = cbor2.loads(body[16:]) if kind == ENTRY else body[16:]
                at_once = kind == DATA_DOWN and not flags & RELIABLE and self.roster_from is None
                item_later = not at_once and (kind, number, flags, own, item)
                if self.stream.put(sequence, item_later) and at_once:
                    self.message(number, flags, own, item)
        elif kind == ACK:
            self.acknowledged(body, now)
        elif kind == GONE:
            for first, count, reason in struct.iter_unpack(">QHB", body[1:]):
                for sequence in range(first, first + count):
                    if body[0] == 0:
                        self.stream.put(sequence, not reason and LOST)
        elif kind == NOTICE:
            tell("notice:", cbor2.loads(body[16:]))
        elif kind == PONG:
            token, newest, _ = struct.unpack(">QQQ", body)
            if token in self.pinged:
                self.measured(now - self.pinged[token])
                self.pinged.clear()
            self.stream.newest = max(self.stream.newest, newest)
        elif kind == MEMBERS:
            answer = cbor2.loads(body)
            if answer["f"] == self.roster_from:
                self.roster(answer["f"], answer["q"], answer["w"], answer.get("y"))
        elif kind == PATH_CHALLENGE:
            self.send(PATH_RESPONSE, self.session, body)
        elif self.state == "leaving" and kind in (BYE, UNKNOWN):
            self.close(0, "left")
        elif kind == UNKNOWN:
            tell("the relay does not know us: joining again")
            self.begin(max(0, self.welcome_at + 1 - now))
        elif kind == BYE:
            self.come_back(cbor2.loads(body))

    # Time

    def tick(self, now):
        if self.state in ("greeting", "joining"):
            self.attempt(now)
        elif self.state == "leaving" and now > self.due:
            if now > self.deadline:
                self.close(0, "left without an answer")
            self.send(LEAVE, self.session)
            self.due = now + 0.25
        if self.state == "joined":
            self.joined_at, silence = now, now - self.heard
            if (self.pings >= 4 and now >= self.next_ping) or silence > 2.5 * self.keepalive:
                tell("contact lost")
                self.begin()
                return
            if now >= self.next_ping:
                self.pings += 1
                token = int.from_bytes(os.urandom(7), "big") + 1
                self.pinged[token] = now
                self.send(PING, self.session, struct.pack(">QQ", token, self.stream.next - 1))
                self.next_ping = now + 1
            if self.roster_from is not None and now >= self.roster_due:
                self.send(ROSTER, self.session, struct.pack(">I", self.roster_from))
                self.roster_due = now + 1
            ranges = self.stream.wanted(now, self.timeout)
            for i in range(0, len(ranges), 64):
                self.send(NACK, self.session, b"\0" + b"".join(
                    struct.pack(">QH", *r) for r in ranges[i:i + 64]))
            self.deliver()
            self.pump(now)

    def run(self):
        while True:
            watched = [self.sock] + [0] * (self.input_open and len(self.queue) < 1000)
            readable, _, _ = select.select(watched, [], [], 0.01)
            if 0 in readable:
                more = os.read(0, 65536)
                self.input_open = bool(more)
                self.input += more
            if self.state == "joined":
                *lines, self.input = self.input.split(b"\n")
                if not self.input_open and self.input:
                    lines, self.input = [*lines, self.input], b""
                for line in filter(None, lines):
                    self.say(line)
            if self.sock in readable:
                self.receive()
            now = time.monotonic()
            self.tick(now)
            idle = not (self.input_open or self.input or self.queue)
            if idle and self.state == "joined" and all(s.acked for s in self.out.values()):
                self.ready = self.ready or now
                if now > self.ready + float(os.environ.get("LINGER", 2)):
                    self.state, self.due, self.deadline = "leaving", now, now + 1
            else:
                self.ready = None

    def receive(self):
        sock = self.sock
        while sock is self.sock:
            try:
                d = sock.recv(65536)
            except OSError:
                return  # nothing more, or an error that a lost datagram has left
            if d[:4] == SIGNATURE and len(d) >= 14:
                try:
                    self.datagram(d)
                except (KeyError, TypeError, ValueError, struct.error) as e:
                    tell("invalid datagram:", repr(e))


if __name__ == "__main__":
    host, port, room, nick = sys.argv[1:5]
    Client(host, int(port), room, nick, os.environ.get("PASSPHRASE")).run()
