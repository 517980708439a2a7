"""The base layer's code: image → bytes → c, c′, s and x′. Decoding c touches integers only, so that every
machine finds the same; c′, s and x′ are floating point and are only added to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ... import weights
from ...coding.entropy import WORD, AnsCoder, EntropyTables, check_end, opened, packed
from ...coding.stored_tables import unpack_tables
from ...errors import HscError
from ...nn import planes
from ...nn.transform import pad
from .base_contexts import LARGEST, Context, Contexts, walk
from .base_network import CELL, CHANNELS, CLASSES, MEANS, MULTIPLE, STEPS, TOKEN, WEIGHTS, BaseNetwork

# Error that a bit is worth, in squared quantiser steps. 6 dB a bit at high rate: 2 ln 2 / 12 = 0.116; between
# 0.1 and 0.2 makes no difference (measured on Kodak images).
_BIT = 0.12
# Bits of a code for each bit of Σ log₂(1 + (c / step)²), means left out: what whole training photographs have
# together, the same at every fineness. One of them departs from it by 6 to 20 %, and its lengths at two
# neighbouring finenesses by 2 to 5 % from their expected ratio.
_LENGTH = 2.3
# A finer code that is expected to be longer than there is room by no more than this is tried.
_DOUBT = 1.05
# Probability of a label that was sent: FineNet knows no certainty from its training.
_SURE = 0.97
# Words of an entropy coder's state: as long as it has more, it has not run dry.
_HEAD = 2


@dataclass(frozen=True)
class BaseCode:
    """An image's base layer.

    Attributes:
        data: what is sent.
        c: int64 (CHANNELS, h, w), in quantiser steps.
    """

    data: bytes
    c: np.ndarray


@dataclass(frozen=True)
class Synthesis:
    """What c says the image is, float planes of the padded size.

    Attributes:
        expanded: c′ (1, 3, H, W).
        semantic: s, log-probabilities of classes (1, 12, H/8, W/8).
        refined: x′ (1, 3, H, W).
    """

    expanded: torch.Tensor
    semantic: torch.Tensor
    refined: torch.Tensor


@dataclass(frozen=True)
class Fineness:
    """What codes c at one fineness.

    Attributes:
        step: of the quantiser.
        contexts, tables: what is known of a value, and its probabilities.
    """

    step: float
    contexts: Contexts
    tables: EntropyTables

    def choose(self, c: torch.Tensor) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
        """Quantise c (B, CHANNELS, h, w): int64, each value the one whose error and bits cost least, given
        those before it; and symbols and rows (B, n) of every pass, as they are decoded.
        """
        wanted = (c / self.step).double().clamp(-LARGEST, LARGEST).numpy()
        coded = []

        def visit(context: Context) -> np.ndarray:
            own = wanted[:, context.channel, context.at.rows, context.at.columns]
            near = np.round(own).astype(np.int64)
            candidates = np.stack([near, near - np.sign(near), np.zeros_like(near), context.shift])
            symbols = context.symbols(candidates)
            cost = np.square(candidates - own) + _BIT * self.tables.costs(symbols, context.row)
            found = np.take_along_axis(candidates, cost.argmin(0)[None], 0)[0]
            coded.append((context.symbols(found), context.row))
            return found

        return walk(self.contexts, MEANS, (len(c), *c.shape[2:]), visit), coded

    def encode(self, c: torch.Tensor) -> BaseCode:
        """Quantise and code c (1, CHANNELS, h, w)."""
        chosen, coded = self.choose(c)
        coder = AnsCoder()
        for symbols, rows in reversed(coded):
            self.tables.push(coder, symbols[0], rows[0])
        return BaseCode(packed(coder), chosen[0])

    def decode(self, data: bytes, height: int, width: int) -> np.ndarray:
        """The c of a `BaseCode`, int64 (CHANNELS, height, width). Raises HscError for bytes that are no
        code.
        """
        coder = opened(data)
        c = self._walk(height, width, lambda row: self.tables.pop(coder, row).astype(np.int64))
        check_end(coder)
        return c

    def decode_end(self, data: bytes, height: int, width: int) -> np.ndarray:
        """What the last bytes of a code, whole words of it, tell of c: passes that they hold, as of `decode`;
        what is expected of the others, which is 0 for most. Raises HscError as `decode`.
        """
        coder = opened(data)

        def symbols(row: np.ndarray) -> np.ndarray:
            if coder.num_words() <= _HEAD:
                return np.zeros(len(row), np.int64)
            found = self.tables.pop(coder, row).astype(np.int64)
            return found if coder.num_words() > _HEAD else np.zeros_like(found)

        return self._walk(height, width, symbols)

    def _walk(self, height: int, width: int, symbols: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        def visit(context: Context) -> np.ndarray:
            return context.values(symbols(context.row[0])[None])

        return walk(self.contexts, MEANS, (1, height, width), visit)[0]


class BaseCodec:
    """The base layer with the tables and networks of some weights."""

    def __init__(self, network: BaseNetwork) -> None:
        self.network = network.eval().requires_grad_(False)
        self.finenesses = tuple(fineness_of(network, index) for index in range(len(STEPS)))

    def compress(self, image: np.ndarray) -> torch.Tensor:
        """uint8 (H, W, C), C = 1 or 3 → c before rounding, float (1, CHANNELS, h, w). Raises HscError for
        what is no image.
        """
        with torch.inference_mode():
            return self.network.compress(pad(planes.to_planes(image), MULTIPLE))

    def code(self, c: torch.Tensor, fineness: int) -> BaseCode:
        """What `compress` gives → code. Raises HscError for a fineness that there is not."""
        return self._fineness(fineness).encode(c)

    def finest(self, c: torch.Tensor, most: int) -> tuple[int, BaseCode]:
        """What `compress` gives → the finest fineness whose code has at most so many bytes, and that code;
        the coarsest where none has.

        A code costs more than the rest of the base layer, so that lengths are foretold: most often the first
        one that is made is the one.
        """
        expected = _expected_bytes(c)
        fineness = max(int(np.searchsorted(expected, most, side="right")) - 1, 0)
        code = self.code(c, fineness)
        expected *= len(code.data) / max(expected[fineness], 1)
        while len(code.data) > most and fineness:
            fineness -= 1
            code = self.code(c, fineness)
        while fineness + 1 < len(STEPS) and expected[fineness + 1] <= _DOUBT * most:
            finer = self.code(c, fineness + 1)
            if len(finer.data) > most:
                break
            fineness, code = fineness + 1, finer
        return fineness, code

    def encode(self, image: np.ndarray, fineness: int) -> BaseCode:
        """uint8 (H, W, C) → code. Raises HscError as `compress` and `code`."""
        return self.code(self.compress(image), fineness)

    def decode(self, data: bytes, fineness: int, shape: tuple[int, int, int]) -> np.ndarray:
        """Inverse: c, int64 (CHANNELS, h, w), of an image of shape (H, W, C). Raises HscError for bytes that
        are no code of such an image.
        """
        planes.check_shape(shape)
        return self._fineness(fineness).decode(data, *cells(shape))

    def decode_end(self, data: bytes, size: int, fineness: int, shape: tuple[int, int, int]) -> np.ndarray:
        """c as far as the last bytes of a code of `size` bytes tell it: its low frequencies, which come
        first. Raises HscError as `decode`.
        """
        planes.check_shape(shape)
        words = data[(len(data) - size) % WORD :]
        return self._fineness(fineness).decode_end(words, *cells(shape))

    @torch.no_grad()
    def expand(self, c: np.ndarray, fineness: int) -> torch.Tensor:
        """c, int64 (B, CHANNELS, h, w) → c′ (B, 3, H, W)."""
        known = torch.from_numpy(c).to(self.network.deviation)
        return self.network.expand(known * self._fineness(fineness).step)

    def labels(self, image: np.ndarray) -> np.ndarray:
        """The likeliest class of every token of uint8 (H, W, C), int64 (H/8, W/8) of padded sides: what is
        sent as s.
        """
        with torch.inference_mode():
            s = self.network.segment(pad(planes.to_planes(image), MULTIPLE))
        return s[0].argmax(0).numpy()

    def synthesise(
        self,
        c: np.ndarray,
        fineness: int,
        shape: tuple[int, int, int],
        steps: int = 2,
        labels: np.ndarray | None = None,
    ) -> Synthesis:
        """c → c′, s and x′ after so many steps of FineNet; x′ is c′ after none. `labels` as of the method
        where s was sent, else SegNet tells it from c′. Raises HscError for c or labels of another shape.
        """
        if c.shape != (CHANNELS, *cells(shape)):
            raise HscError(f"c of an image {shape} is {(CHANNELS, *cells(shape))}, not {c.shape}")
        expanded = self.expand(c[None], fineness)
        with torch.inference_mode():
            semantic = self.network.segment(expanded) if labels is None else log_probabilities(labels)
            if semantic.shape[-2:] != tuple(side // TOKEN for side in expanded.shape[-2:]):
                raise HscError(f"a semantic map of {labels.shape} tokens is not that of an image {shape}")
            refined = [expanded, *self.network.refine(semantic, expanded, steps)][-1]
        return Synthesis(expanded, semantic, refined)

    def _fineness(self, fineness: int) -> Fineness:
        if not 0 <= fineness < len(self.finenesses):
            most = len(self.finenesses) - 1
            raise HscError(f"the base layer has no fineness {fineness}: choose one of 0 to {most}")
        return self.finenesses[fineness]


def log_probabilities(labels: np.ndarray) -> torch.Tensor:
    """Labels (h, w) as `BaseNetwork.segment` would say them, nearly sure of each, (1, 12, h, w)."""
    sure = functional.one_hot(torch.from_numpy(labels), CLASSES).movedim(-1, 0)[None].float()
    return (_SURE * sure + (1 - _SURE) / (CLASSES - 1) * (1 - sure)).log()


def _expected_bytes(c: torch.Tensor) -> np.ndarray:
    """About how long the code of c is at each fineness, ascending."""
    others = np.delete(c.numpy(), MEANS, 1)
    return np.array([_LENGTH / 8 * np.log2(1 + np.square(others / step)).sum() for step in STEPS])


def cells(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Rows and columns of c of an image (H, W, C)."""
    height, width = (-(-side // MULTIPLE) * (MULTIPLE // CELL) for side in shape[:2])
    return height, width


def fineness_of(network: BaseNetwork, index: int) -> Fineness:
    """What codes c at one fineness, from the network's tables."""

    def array(stored: torch.Tensor) -> np.ndarray:
        return stored[index].cpu().numpy()

    contexts = Contexts(
        mean=array(network.mean),
        scale=array(network.scale),
        bias=array(network.bias),
        own_mean=array(network.own_mean),
        own_scale=array(network.own_scale),
    )
    return Fineness(STEPS[index], contexts, unpack_tables(network.tables[index].cpu()))


@lru_cache(maxsize=2)
def load_base(name: str = WEIGHTS) -> BaseCodec:
    """The base layer with shipped weights. Raises HscError when they are missing or damaged."""
    network = BaseNetwork()
    network.load_state_dict(weights.load(name))
    return BaseCodec(network.to(memory_format=torch.channels_last))


def encode(image: np.ndarray, fineness: int) -> BaseCode:
    """`BaseCodec.encode` with the shipped weights."""
    return load_base().encode(image, fineness)


def decode(data: bytes, fineness: int, shape: tuple[int, int, int]) -> np.ndarray:
    """`BaseCodec.decode` with the shipped weights."""
    return load_base().decode(data, fineness, shape)


def decode_end(data: bytes, size: int, fineness: int, shape: tuple[int, int, int]) -> np.ndarray:
    """`BaseCodec.decode_end` with the shipped weights."""
    return load_base().decode_end(data, size, fineness, shape)


def synthesise(
    c: np.ndarray,
    fineness: int,
    shape: tuple[int, int, int],
    steps: int = 2,
    labels: np.ndarray | None = None,
) -> Synthesis:
    """`BaseCodec.synthesise` with the shipped weights."""
    return load_base().synthesise(c, fineness, shape, steps, labels)
