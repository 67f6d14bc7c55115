"""Kills of the service while it works. `crash.py` does the same for as many rounds as one likes."""

import pytest
from crash import live_once


@pytest.mark.parametrize("seed", [1, 2])
def test_results_are_those_of_a_run_that_nobody_disturbed(tmp_path, seed):
    live_once(tmp_path / "life", seed, rounds=4, say=print)
