"""LRISC: latent JSCC of adaptive length, SNR adaptation, and a conditional diffusion receiver
(arXiv 2504.21577).
"""

from ...codecs.system import System

SYSTEM = System(
    name="lrisc",
    title="LRISC",
    codecs=(),
    recipes=f"{__name__}.recipes:RECIPES",
    page="docs/systems/lrisc.md",
)
