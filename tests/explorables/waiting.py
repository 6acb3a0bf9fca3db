"""What tests of panels wait for, and what they count meanwhile."""

import time

import jax


def compilations(caplog, work):
    """How many XLA programs were compiled while `work` ran."""
    caplog.clear()
    with jax.log_compiles(), caplog.at_level("WARNING"):
        work()
    return sum("Finished XLA compilation" in r.getMessage() for r in caplog.records)


def until(condition, seconds=300):
    """Wait for what another thread brings about."""
    patience = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < patience, "it did not come"
        time.sleep(0.001)
