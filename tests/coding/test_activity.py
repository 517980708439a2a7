"""Activity: fitting tables to few samples."""

import torch
from gnuradio.hsc.coding import activity


def test_one_row_seen_gives_its_mean_power_every_time():
    """A parabola through one point is not unique; what it is at that point is."""
    power = torch.tensor([4.0, 0.25, 2.0**-12]).expand(200, 3)
    for _ in range(200):
        found = activity.power_by_row(torch.full((200,), activity.OFFSET), power)
        torch.testing.assert_close(found[activity.OFFSET], torch.tensor([2.0, -2.0, -12.0]))
        assert (found[1:] - found[:-1]).sub(0.5).abs().max() < 1e-4  # half an octave a row beyond
