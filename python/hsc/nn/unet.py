"""A small U-Net from pixels to pixels: cells of a few pixels and cells of twice that side, in dense 3 × 3
convolutions, without normalisation and attention. Nothing in it depends on the size of the image, so that
tiles give what the whole gives.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .residual import Blocks, telling

# Pixels have about this standard deviation around the mean of what is around them, this wide [pixels].
# Networks see that difference: bfloat16 would not keep fine detail on top of the whole brightness.
_PIXEL_DEVIATION, _AROUND = 0.08, 9


class UNet(nn.Module):
    """The network; what it makes of images is for its heirs to say.

    Args:
        planes: of the input.
        cell: side of the cells of the finer level, whose pixels are its channels [pixels].
        widths: channels of the finer and of the coarser level.
        blocks: residual blocks before, at and behind the coarser level.
        told: numbers that are known of the whole image.
        known: maps of what is known of the coarser cells.
    """

    def __init__(
        self,
        planes: int,
        cell: int,
        widths: tuple[int, int],
        blocks: tuple[int, int, int],
        told: int,
        known: int = 0,
    ) -> None:
        super().__init__()
        (fine, coarse), (before, at, behind) = widths, blocks
        self.cell = cell
        self.told = telling(told)
        self.enter = nn.Conv2d(planes * cell**2, fine, 3, padding=1)
        if known:
            self.known_fine, self.known_coarse = nn.Conv2d(known, fine, 1), nn.Conv2d(known, coarse, 1)
        self.before, self.at, self.behind = Blocks(fine, before), Blocks(coarse, at), Blocks(fine, behind)
        self.down, self.up = nn.Conv2d(4 * fine, coarse, 1), nn.Conv2d(coarse, 4 * fine, 1)
        self.leave = nn.Conv2d(fine, 3 * cell**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def residual(
        self, pixels: torch.Tensor, told: torch.Tensor, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the network makes of images; nothing, untrained. (B, 3, H, W).

        Args:
            pixels: (B, planes, H, W), of about unit deviation; H and W multiples of twice the cell's side.
            told: (B, told), about −1 … 1.
            known: (B, known, h, w) of the coarser cells, about −1 … 1.
        """
        told = self.told(told)
        fine = self.enter(functional.pixel_unshuffle(pixels, self.cell))
        if known is not None:
            fine = fine + functional.interpolate(self.known_fine(known), scale_factor=2)
        fine = self.before(fine, told)
        coarse = self.down(functional.pixel_unshuffle(fine, 2))
        if known is not None:
            coarse = coarse + self.known_coarse(known)
        coarse = self.at(coarse, told)
        fine = self.behind(fine + functional.pixel_shuffle(self.up(coarse), 2), told)
        return functional.pixel_shuffle(self.leave(fine), self.cell)


def surroundings(images: torch.Tensor) -> torch.Tensor:
    """Mean of what surrounds every pixel of images (B, 3, H, W), same shape."""
    return functional.avg_pool2d(images, _AROUND, 1, _AROUND // 2, count_include_pad=False)


def detail(images: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Images less the `surroundings` of some, of about unit deviation; same shape."""
    return (images - mean) / _PIXEL_DEVIATION


def reach(cell: int, blocks: tuple[int, int, int]) -> int:
    """What a network sees beyond a pixel, rounded up to its coarser cells [pixels]."""
    fine, coarse = 2 + 2 * (blocks[0] + blocks[2]), 2 * blocks[1]
    seen = _AROUND // 2 + fine * cell + coarse * 2 * cell + 2 * cell
    return -(-seen // (2 * cell)) * 2 * cell
