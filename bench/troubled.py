"""
What members in trouble cost the others: ``python -m bench.troubled``, as root.

A room of 40: one talks, 19 listen, and 20 are in trouble. 14 machines have vanished from the
network, one is behind an interface of 200 kbit/s, five sockets are closed. A control run has none
of the 20. The goal: the listeners lose at most one point more than in the control run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import veth

LIVE, VANISHED, REFUSED = 19, 14, 5
SIZE = 1000

_LAN, _SLOW = "10.78.0", "10.79.0"
_PORT = 6000
_MEMBERS = Path(__file__).with_name("troubled_members.py")


@dataclass(frozen=True)
class Result:
    """
    One run.

    :ivar sent: datagrams to the room.
    :ivar live: what each of the live listeners got.
    :ivar slow: what the member behind the slow interface got; 0 without one.
    :ivar events: of the relay.
    """

    sent: int
    live: list[int]
    slow: int
    events: list[dict[str, object]]

    @property
    def loss(self) -> float:
        """The percentage that the live listeners lost."""
        return 100 * (1 - sum(self.live) / (self.sent * len(self.live)))


@contextmanager
def network() -> Iterator[tuple[list[str], list[str], list[str]]]:
    """
    Make the relay's namespace, that of a fast network, and that behind a slow interface.

    :raises veth.CannotMakeError: if the kernel, or a container, does not permit it.
    """
    with ExitStack() as stack:
        relay, lan, slow = (stack.enter_context(veth.namespace()) for _ in range(3))
        inside = veth.entering(relay)
        for name, process, prefix in (("fast", lan, _LAN), ("slow", slow, _SLOW)):
            other = veth.entering(process)
            veth.ip(inside, f"link add {name} type veth peer name {name} netns {process}")
            for end, number in ((inside, 1), (other, 2)):
                veth.ip(end, f"address add {prefix}.{number}/24 dev {name}")
                veth.ip(end, f"link set {name} up")
            veth.ip(inside, "link set lo up")
        for number in range(VANISHED):
            veth.ip(veth.entering(lan), f"address add {_LAN}.{100 + number}/24 dev fast")
        shape = "qdisc add dev slow root tbf rate 200kbit burst 2k limit 50mb"
        veth.run([*inside, "tc", *shape.split()])
        yield inside, veth.entering(lan), veth.entering(slow)


@contextmanager
def _relay(inside: list[str], options: str) -> Iterator[subprocess.Popen[str]]:
    twistd = str(Path(sys.executable).with_name("twistd"))
    with TemporaryDirectory() as work:
        (Path(work) / "relay.ini").write_text(
            f"[listener:main]\ninterface = 0.0.0.0\nport = {_PORT}\nplain_networks = 10.0.0.0/8\n"
            f"{options}\n"
        )
        command = [*inside, twistd, "-n", "--pidfile=", "udprelay", "--log-format", "json"]
        with subprocess.Popen(
            [*command, "-c", "relay.ini"], cwd=work, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if json.loads(line)["event"] == "listener.opened":
                    break
            try:
                yield process
            finally:
                process.terminate()
                process.stdout.read()


def measure(rate: float, seconds: float, *, troubled: bool, options: str = "") -> Result:
    """Run the relay and the members once."""
    with network() as (inside, lan, slow), _relay(inside, options) as relay, ExitStack() as stack:

        def members(namespace: list[str], arguments: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [*namespace, sys.executable, str(_MEMBERS), *arguments.split()],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "joined\n"
            return process

        number = int(rate * seconds)
        slow_one = members(slow, f"listen {_SLOW}.1") if troubled else None
        bad = f"{VANISHED} {REFUSED}" if troubled else "0 0"
        talk = f"talk {_LAN}.1 {_LAN} {LIVE} {bad} {number} {rate} {SIZE}"
        room = members(lan, talk)
        if troubled:
            for last in range(100, 100 + VANISHED):
                veth.ip(lan, f"address delete {_LAN}.{last}/24 dev fast")
            veth.ip(inside, "neighbour flush dev fast")
        live = json.loads(room.communicate("go\n")[0])
        counted = json.loads(slow_one.communicate("\n")[0]) if slow_one is not None else 0
        relay.terminate()
        assert relay.stdout is not None
        events = [json.loads(line) for line in relay.stdout]
    return Result(number, live, counted, events)


def main() -> None:
    """Print the loss with and without members in trouble."""
    parser = argparse.ArgumentParser(prog="python -m bench.troubled", description=__doc__)
    parser.add_argument(
        "--rate", type=float, default=1000, help="datagrams a second (%(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=20, help="of each run (%(default)s)")
    options = parser.parse_args()
    print(f"{'':24}{'control':>10}{'troubled':>10}{'worst':>10}{'slow gets':>12}")
    for name, ini in (
        ("default", ""),
        ("send_buffer = 208 KiB", "send_buffer = 208 KiB"),
        ("208 KiB, batch = no", "send_buffer = 208 KiB\nbatch = no"),
    ):
        control = measure(options.rate, options.seconds, troubled=False, options=ini)
        result = measure(options.rate, options.seconds, troubled=True, options=ini)
        worst = 100 * (1 - min(result.live) / result.sent)
        slow = 8 * result.slow * (SIZE + 42) / options.seconds / 1000
        print(
            f"{name:24}{control.loss:8.2f} %{result.loss:8.2f} %{worst:8.2f} %{slow:7.0f} kbit/s"
        )


if __name__ == "__main__":
    main()
