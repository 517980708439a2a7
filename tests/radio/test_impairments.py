"""What a channel does, computed: echoes of a delay spread, losses of a share, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.radio import impairments

RATE = 1e6
QUIET = impairments.Impairments(RATE, snr_db=None)


@pytest.mark.parametrize("doppler", [0.0, 10.0])
def test_delay_spread(doppler):
    taps = impairments.impulse_response(replace(QUIET, delay_spread=3e-6, doppler=doppler))
    assert np.count_nonzero(taps) == (6 if doppler else 16)
    power, delay = np.abs(taps) ** 2, np.arange(len(taps)) / RATE
    mean = np.sum(power * delay)
    assert np.sum(power) == pytest.approx(1, abs=1e-5)
    assert np.sqrt(np.sum(power * (delay - mean) ** 2)) == pytest.approx(3e-6, rel=0.15)


def test_losses_are_of_both_kinds_in_equal_parts():
    gone, burst = impairments.losses(0.1, 61_000, 1)
    assert np.mean(gone | burst) == pytest.approx(0.1, abs=1e-4)
    assert not (gone & burst).any()
    assert np.mean(gone) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_share_of_losses_can_be_had(share):
    gone, burst = impairments.losses(share, 1000, 3)
    assert np.mean(gone | burst) == share


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"cfo": 6e5}, "cfo"),
        ({"doppler": 1e5}, "doppler"),
        ({"taps": (1, 1), "delay_spread": 1e-6}, "not both"),
        ({"interferer": (0, 6e5)}, "outside the band"),
    ],
)
def test_impossible_values_are_refused_in_a_line(change, says):
    with pytest.raises(HscError, match=says) as refused:
        replace(QUIET, **change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"taps": (0, 0)}, {"taps": (1,) * 1000}, {"delay_spread": 1e-3}, {"taps": (float("nan"),)}]
)
def test_impossible_taps_are_refused_in_a_line(change):
    with pytest.raises(HscError):
        impairments.impulse_response(replace(QUIET, **change))
