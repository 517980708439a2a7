"""What is trained of DS²C², in the order in which each needs the one before; and the learned image codec."""

from . import base_recipes, detail_recipes, lic_recipes, residual_recipes

RECIPES = (
    *base_recipes.RECIPES,
    *detail_recipes.RECIPES,
    *residual_recipes.RECIPES,
    *lic_recipes.RECIPES,
)
