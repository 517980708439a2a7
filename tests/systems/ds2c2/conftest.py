"""A learned image codec before any training."""

import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.systems.ds2c2 import lic_network, lic_training
from gnuradio.hsc.systems.ds2c2.lic_integer import packed
from gnuradio.hsc.systems.ds2c2.lic_network import LicNetwork
from support.fields import smooth_photos


@pytest.fixture(scope="session")
def lic_state() -> dict[str, torch.Tensor]:
    """As it is shipped: the linear start, with tables fitted to a few images."""
    torch.manual_seed(1)
    network = LicNetwork()
    images = torch.from_numpy(smooth_photos(8, 128, 128)).permute(0, 3, 1, 2).float() / 255
    lic_training.begin(network, weights.load("lrisc"), images)
    lic_training.fit_tables(network, images)
    return packed(network)


@pytest.fixture
def lic_ready(lic_state, monkeypatch):
    """Network and coder, which the codec loads too."""
    found = lic_network.ready(lic_state)
    monkeypatch.setattr(lic_network, "load", lambda name: found)
    return found
