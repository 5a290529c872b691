"""
The seeds of simulations.

``UDPRELAY_SIM_SEED=17 pytest tests/simulation`` runs one seed alone, ``UDPRELAY_SIM_RUNS=100000``
that many of each simulation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import pytest

RUNS = 100


@pytest.fixture
def for_each_seed() -> Callable[..., None]:
    """Return a function that runs a simulation for each seed and names the one that fails."""

    def run(simulate: Callable[[int], object], seeds: Iterable[int] | None = None) -> None:
        alone = os.environ.get("UDPRELAY_SIM_SEED")
        if seeds is None:
            seeds = range(int(os.environ.get("UDPRELAY_SIM_RUNS", RUNS)))
        for seed in [int(alone)] if alone else seeds:
            try:
                simulate(seed)
            except Exception as error:
                raise AssertionError(
                    f"seed {seed}: {error}\nthis one alone: UDPRELAY_SIM_SEED={seed}"
                ) from error

    return run
