"""Where the weights of LPIPS and DISTS, an extra, are not installed, tests that need them are passed over."""

import pytest
from gnuradio.hsc import metrics, perceptual_weights

needs_perceptual = pytest.mark.skipif(
    not all(metrics.perceptual_available(name) for name in metrics.PERCEPTUAL),
    reason=f"the weights of LPIPS and DISTS are an extra: {perceptual_weights.INSTALL}",
)
