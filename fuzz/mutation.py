"""Mutated inputs, and the command line of the targets."""

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

# Limits of integers, and heads of CBOR items.
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
    Yield inputs for ever: each is one of ``seeds`` after 0 to 6 changes.

    :param seed: the same one gives the same inputs.
    """
    chosen = random.Random(seed)
    while True:
        data = chosen.choice(seeds)
        for _ in range(chosen.randrange(7)):
            data = chosen.choice(CHANGES)(data, seeds, chosen)
        yield data


def _flip(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    at = chosen.randrange(len(data) + 1)
    flipped = bytes(byte ^ 1 << chosen.randrange(8) for byte in data[at : at + 1])
    return data[:at] + flipped + data[at + 1 :]


def _replace(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    at = chosen.randrange(len(data) + 1)
    return data[:at] + chosen.randbytes(1) + data[at + 1 :]


def _put_piece(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    at, piece = chosen.randrange(len(data) + 1), chosen.choice(PIECES)
    return data[:at] + piece + data[at + len(piece) * chosen.randrange(2) :]


def _remove(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    first = chosen.randrange(len(data) + 1)
    return data[:first] + data[first + chosen.randrange(17) :]


def _truncate(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    return data[: chosen.randrange(len(data) + 1)]


def _repeat(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    first = chosen.randrange(len(data) + 1)
    last = first + chosen.randrange(17)
    return data[:last] + data[first:last] * chosen.randrange(1, 9) + data[last:]


def _add(data: bytes, _: Sequence[bytes], chosen: random.Random) -> bytes:
    return data + chosen.randbytes(chosen.randrange(17))


def _splice(data: bytes, seeds: Sequence[bytes], chosen: random.Random) -> bytes:
    other = chosen.choice(seeds)
    return data[: chosen.randrange(len(data) + 1)] + other[chosen.randrange(len(other) + 1) :]


CHANGES = (_flip, _flip, _replace, _put_piece, _remove, _truncate, _repeat, _add, _splice)


def run_random(one_input: OneInput, seeds: Sequence[bytes], count: int, seed: int) -> None:
    """
    Run ``count`` mutated inputs.

    :raises RuntimeError: at the first fault, with the input in hexadecimal.
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
    Run a target with atheris, or with plain mutation, as the command line says.

    :param load: imports the code under test, so that atheris can instrument it; returns the
        target.
    :param place: the directory of the corpus.
    """
    parser = argparse.ArgumentParser(
        description="Without --random: run atheris; other options go to libFuzzer."
    )
    parser.add_argument("--random", type=int, metavar="N", help="run N mutated inputs")
    parser.add_argument("--seed", type=int, default=0, help="for --random")
    options, others = parser.parse_known_args(arguments)
    if options.random is None:
        _run_atheris(load, place, others)
        return
    if others:
        parser.error(f"--random cannot be used with {' '.join(others)}")
    started = time.monotonic()
    run_random(load(), corpus(place), options.random, options.seed)
    seconds = time.monotonic() - started
    inputs = f"{options.random} inputs, seed {options.seed}"
    steps = f", {Script.steps_read} steps" if Script.steps_read else ""
    print(f"{inputs}{steps}, {seconds:.1f} s: no fault")


def _run_atheris(load: Callable[[], OneInput], place: Path, arguments: Sequence[str]) -> None:
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris, or use --random N")
    # Only with -atheris_runs=N: otherwise libFuzzer ends the process.
    atexit.register(lambda: print(f"{Script.steps_read} steps") if Script.steps_read else None)
    with atheris.instrument_imports(include=["udprelay"]):
        one_input = load()
    # Not as a directory: libFuzzer would add its inputs there.
    seeds = ",".join(map(str, sorted(place.glob("*.bin"))))
    atheris.Setup([sys.argv[0], f"-seed_inputs={seeds}", *arguments], one_input)
    atheris.Fuzz()
