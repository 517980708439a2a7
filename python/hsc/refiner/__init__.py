"""The conditional diffusion refiner: a receiver's last stage, behind any codec (LRISC, arXiv 2504.21577)."""
