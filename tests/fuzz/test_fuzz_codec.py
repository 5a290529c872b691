"""The target ``codec`` with mutated datagrams; see ``fuzz/README.rst``."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import codec
from fuzz.mutation import corpus, mutated, run, run_random


def test_mutated_datagrams_show_no_fault() -> None:
    run_random(codec.load(), corpus(codec.CORPUS), 500, seed=1)


def test_the_corpus_has_the_vectors() -> None:
    files = {path.name: path.read_bytes() for path in codec.CORPUS.iterdir()}
    assert files == codec.corpus_files(), "python -m fuzz.codec --write-corpus"


def test_a_seed_determines_the_inputs() -> None:
    def first_inputs(seed: int) -> list[bytes]:
        inputs = mutated([b"one", b"two"], seed)
        return [next(inputs) for _ in range(100)]

    assert first_inputs(1) == first_inputs(1) != first_inputs(2)


def test_a_fault_is_reported_with_its_input() -> None:
    def fails(data: bytes) -> None:
        if data != b"fine":
            raise ZeroDivisionError

    with pytest.raises(RuntimeError, match=r"seed 3, input \d+: [0-9a-f]*") as caught:
        run_random(fails, [b"fine"], 1000, seed=3)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_command_line_without_atheris(capsys: pytest.CaptureFixture[str]) -> None:
    run(codec.load, codec.CORPUS, ["--random", "10", "--seed", "2"])
    assert capsys.readouterr().out.startswith("10 inputs, seed 2, ")


def test_options_of_libfuzzer_are_rejected_without_atheris() -> None:
    with pytest.raises(SystemExit):
        run(codec.load, codec.CORPUS, ["--random", "10", "-runs=5"])


def test_an_empty_corpus_raises_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        corpus(tmp_path)
