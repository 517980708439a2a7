"""Waiting for what other threads and processes do."""

import time

PATIENCE = 60.0  # s: a machine may be busy with other things; on an idle one nothing takes longer than 3 s


def wait_for(condition):
    """Until `condition()` is true; the test fails when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
