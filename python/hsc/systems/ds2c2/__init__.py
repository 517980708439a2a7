"""DS²C²: a base layer by a recursive GAN and a residual that lives through block erasures (arXiv 2409.03243),
and the learned image codec it is compared with.
"""

from ...codecs.system import System

# Its codecs are declared when their weights are there.
SYSTEM = System(
    name="ds2c2", title="DS²C²", recipes=f"{__name__}.recipes:RECIPES", page="docs/systems/ds2c2.md"
)
