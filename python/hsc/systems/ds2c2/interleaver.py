"""The interleaver of figure 2: which block, the unit of loss, carries an element of a latent.

Element (channel, i, j) goes to block (a · channel + b · i + d · j) mod N, a lattice. No seed is sent: a is 1,
and b and d follow from the channels and N by a small search in integers, so that both ends and all machines
agree. What then holds:

- any 3 × 3 neighbourhood of one channel has at most ⌈9 / N⌉ elements in a block: one from N = 9 on;
- any 3 × 3 neighbourhood of all channels has about its share, 9 · channels / N elements, in every block;
- the channels of one place lie in consecutive blocks;
- every block gets the same number of elements to within one. A lattice alone misses that by some; those over
  it, about one in a hundred where blocks are many, go to other blocks, and leave gaps scattered over the
  latent.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...phy.interleaver import permutation

# Steps b and d that are tried, each. All of them up to as many blocks.
_CANDIDATES = 64
# Rows and columns in which elements of the same block are looked for, the nearest ones.
_REACH = 10


@lru_cache(maxsize=4)
def block_of(channels: int, height: int, width: int, blocks: int) -> np.ndarray:
    """Block of every element of a latent, int64 (channels, height, width), read-only, each in 0 … blocks − 1.
    The first blocks get the one element more. Those of the last few latents are kept.
    """
    b, d = steps(channels, blocks)
    channel, i, j = np.ogrid[:channels, :height, :width]
    block = ((channel + b * i + d * j) % blocks).ravel()
    quota = block_sizes(block.size, blocks)
    # Visited in a scattered order, so that those that move do not lie side by side.
    visited = permutation(block.size)
    by_block = visited[np.argsort(block[visited], kind="stable")]
    count = np.bincount(block, minlength=blocks)
    place = np.arange(block.size) - np.repeat(np.cumsum(count) - count, count)
    over = by_block[place >= quota[block[by_block]]]
    block[over] = np.repeat(np.arange(blocks), np.maximum(quota - count, 0))
    block.setflags(write=False)
    return block.reshape(channels, height, width)


def block_sizes(elements: int, blocks: int) -> np.ndarray:
    """Elements in every block, int64 (blocks,)."""
    return elements // blocks + (np.arange(blocks) < elements % blocks)


@lru_cache(maxsize=64)
def steps(channels: int, blocks: int) -> tuple[int, int]:
    """b and d: the pair that crowds 3 × 3 neighbourhoods least, first of one channel, then of all, and whose
    nearest two elements of one channel in the same block lie farthest apart.
    """
    tried = np.arange(0, blocks, -(-blocks // _CANDIDATES))
    b, d = (each[..., None] for each in np.meshgrid(tried, tried, indexing="ij"))
    i, j = np.mgrid[:3, :3].reshape(2, 9)
    first = (b * i + d * j) % blocks
    behind = (first[..., None, :] - first[..., :, None]) % blocks
    alone = (behind == 0).sum(-1).max(-1)
    # The channels of a place fill a run of blocks: how many runs of the nine meet where one begins.
    together = (behind < channels % blocks).sum(-1).max(-1)
    rows, columns = np.mgrid[:_REACH, 1 - _REACH : _REACH].reshape(2, -1)
    squared = rows**2 + columns**2
    meets = ((b * rows + d * columns) % blocks == 0) & (squared > 0)
    nearest = np.where(meets, squared, 2 * _REACH**2).min(-1)
    best = np.lexsort((-nearest.ravel(), together.ravel(), alone.ravel()))[0]
    return int(b.flat[best]), int(d.flat[best])
