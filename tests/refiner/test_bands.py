"""What a refiner is told: bands of an error's variance."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.codecs.contract import error_shape
from gnuradio.hsc.nn.transform import KEPT, zigzag
from gnuradio.hsc.refiner import bands


def test_bands_are_diagonals_of_the_block():
    """Ten of luma, the last two for what is left behind the eighth; six of both colour differences."""
    diagonal = zigzag().sum(1)
    luma, red, green = np.split(bands.BAND.numpy(), np.cumsum(KEPT)[:2])
    assert np.array_equal(luma, np.where(np.arange(64) < 36, diagonal, np.where(np.arange(64) < 45, 8, 9)))
    for colour in (red, green):
        assert np.array_equal(colour, 10 + np.minimum(diagonal[: len(colour)], 5))


def test_bands_are_means_and_go_back_to_their_coefficients():
    variance = torch.rand(2, 120, 3, 5, generator=torch.Generator().manual_seed(1))
    found = bands.of_coefficients(variance)
    assert found.shape == (2, 16, 3, 5)
    for band in range(16):
        torch.testing.assert_close(found[:, band], variance[:, band == bands.BAND].mean(1))
    torch.testing.assert_close(bands.of_coefficients(bands.to_coefficients(found)), found)


@pytest.mark.parametrize("shape", [(40, 57, 3), (33, 8, 1), (1, 1, 3)])
def test_bands_of_an_image_have_the_contracts_shape(shape):
    variance = torch.rand(120, 8, 8)
    found = bands.of_image(variance, shape)
    assert found.shape == error_shape(shape) and found.dtype == np.float32
    wanted = bands.of_coefficients(variance)[:, : found.shape[1], : found.shape[2]].numpy()
    known = 16 if shape[2] == 3 else 10
    assert np.array_equal(found[:known], wanted[:known]) and not found[known:].any()
