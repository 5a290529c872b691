"""Mutated inputs, with a seed and without; and the command line that the targets share."""

from __future__ import annotations

import argparse
import atexit
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fuzz.steps import Script

OneInput = Callable[[bytes], None]
"""Raises an exception if an input shows a fault."""

# Bounds of integers, and heads of CBOR items with them.
PIECES = [
    *(number.to_bytes(size, "big") for size in (1, 2, 4, 8) for number in (0, 1, 256**size - 1)),
    *(bytes((kind << 5 | low,)) for kind in range(8) for low in (0, 1, 23, 24, 25, 26, 27, 31)),
    b"\xfdUR\x01",
]


def corpus(place: Path) -> list[bytes]:
    """
    Return the inputs in a directory, in the order of their names.

    :raises FileNotFoundError: if there are none.
    """
    found = [path.read_bytes() for path in sorted(place.glob("*.bin"))]
    if not found:
        raise FileNotFoundError(f"no *.bin in {place}")
    return found


def mutated(seeds: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """
    Yield inputs without end: each is one of ``seeds`` after 0 to 6 changes.

    :param seed: the same one gives the same inputs.
    """
    chance = random.Random(seed)
    while True:
        data = chance.choice(seeds)
        for _ in range(chance.randrange(7)):
            data = chance.choice(CHANGES)(data, seeds, chance)
        yield data


def _flip(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    flipped = bytes(byte ^ 1 << chance.randrange(8) for byte in data[at : at + 1])
    return data[:at] + flipped + data[at + 1 :]


def _replace(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def _put_piece(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at, piece = chance.randrange(len(data) + 1), chance.choice(PIECES)
    return data[:at] + piece + data[at + len(piece) * chance.randrange(2) :]


def _cut_out(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    first = chance.randrange(len(data) + 1)
    return data[:first] + data[first + chance.randrange(17) :]


def _cut_short(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _repeat(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    first = chance.randrange(len(data) + 1)
    last = first + chance.randrange(17)
    return data[:last] + data[first:last] * chance.randrange(1, 9) + data[last:]


def _add(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.randrange(17))


def _splice(data: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(seeds)
    return data[: chance.randrange(len(data) + 1)] + other[chance.randrange(len(other) + 1) :]


CHANGES = (_flip, _flip, _replace, _put_piece, _cut_out, _cut_short, _repeat, _add, _splice)


def run_random(one_input: OneInput, seeds: Sequence[bytes], count: int, seed: int) -> None:
    """
    Try ``count`` mutated inputs.

    :raises RuntimeError: at the first that shows a fault, with the input in hexadecimal.
    """
    inputs = mutated(seeds, seed)
    for number in range(count):
        data = next(inputs)
        try:
            one_input(data)
        except Exception as error:
            raise RuntimeError(f"seed {seed}, input {number}: {data.hex()}") from error


def run(load: Callable[[], OneInput], place: Path, arguments: Sequence[str]) -> None:
    """
    Run a target as its command line says: with atheris, or with plain mutation.

    :param load: imports what is tested, so that atheris can measure it, and returns the target.
    :param place: the directory of the corpus.
    """
    parser = argparse.ArgumentParser(
        description="Without --random: atheris; what is not known here goes to libFuzzer."
    )
    parser.add_argument("--random", type=int, metavar="N", help="try N mutated inputs")
    parser.add_argument("--seed", type=int, default=0, help="of --random")
    options, others = parser.parse_known_args(arguments)
    if options.random is None:
        _run_atheris(load, place, others)
        return
    if others:
        parser.error(f"--random goes without {' '.join(others)}")
    started = time.monotonic()
    run_random(load(), corpus(place), options.random, options.seed)
    seconds = time.monotonic() - started
    inputs = f"{options.random} inputs, seed {options.seed}"
    steps = f", {Script.taken} steps" if Script.taken else ""
    print(f"{inputs}{steps}, {seconds:.1f} s: no fault")


def _run_atheris(load: Callable[[], OneInput], place: Path, arguments: Sequence[str]) -> None:
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris, or use --random N")
    # Reached with -atheris_runs=N alone: otherwise libFuzzer ends the process.
    atexit.register(lambda: print(f"{Script.taken} steps") if Script.taken else None)
    with atheris.instrument_imports(include=["udprelay"]):
        one_input = load()
    # Not as a directory: libFuzzer would leave what it finds there.
    seeds = ",".join(map(str, sorted(place.glob("*.bin"))))
    atheris.Setup([sys.argv[0], f"-seed_inputs={seeds}", *arguments], one_input)
    atheris.Fuzz()
