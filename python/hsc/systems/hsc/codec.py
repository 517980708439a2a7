"""HSC: hybrid semantic-complementary transmission (arXiv 2507.17196).

    image ─▶ semantic encoder ─▶ SR (analog) ──────────────▶ semantic decoder ─▶ G ─┐
      │             └▶ semantic decoder ─▶ G                                         ├▶ recomposition ─▶ image
      └────────────────── X, G ─▶ CR: A, A X ─▶ (digital) ─▶ A, A X ────────────────┘

The functions are what the fine blocks call; `HscCodec` is the whole system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...codecs.contract import Codec, Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Base, DigitalStream, Link, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from ...phy import analog, digital
from ...phy import mcs as mcs_table
from ...phy.adaptation import LinkSetting
from . import cr, cr_paper, cr_progressive, cr_rate, models
from .options import AUTO, CODINGS, LARGEST_RANK, TUNINGS, HscOptions

DEFAULT_MCS = "16QAM-1/2"  # section IV-A
NOISE_DRAWS, MOST_DRAWS, DRAWN_VALUES = 4, 64, 1 << 17  # pixel values
ROUNDING_ERROR = 1 / 12 / 255**2  # MSE of rounding to uint8
SHORT_DB = 0.3  # what may be missing from a target PSNR without a notice
AIR_LOSS_DB = 0.5  # of SNR: what a receiver's channel estimate costs the SR, counted in for a target PSNR
SMALL_IMAGE, NEARLY_EXACT = 4096, 1e-6  # values; MSE, i.e. 60 dB
# Below this SNR the fine-tuned networks give the better images (measured on test digits and on Kodak).
FEW_SHOT_BELOW_DB = 18.0


# Budgets where nothing else is said: three LDPC blocks on a digit, the usual 1/6 on a photograph.
DEFAULT_CBR_DIGIT, DEFAULT_CBR_PHOTO = 0.67, 1 / 6


@dataclass(frozen=True)
class HscParameters:
    """What the receiver has to know, 5 bytes: model number, coding and tuning, quantiser step, rank.

    Attributes:
        model: number of the semantic model in `hsc_models.MODELS`.
        tuning: index into `TUNINGS`.
        coding: index into CODINGS.
        reversible: JPEG2000 mode of the paper's coding.
        step: quantiser step code, 0…31.
        rank: k.
    """

    model: int
    tuning: int = 0
    coding: int = 0
    reversible: bool = True
    step: int = 0
    rank: int = 0

    def pack(self) -> bytes:
        """5 bytes."""
        flags = self.tuning | self.coding << 2 | self.reversible << 4
        return bytes([self.model, flags, self.step]) + self.rank.to_bytes(2, "big")

    @classmethod
    def unpack(cls, data: bytes) -> HscParameters:
        """From the first 5 bytes of any byte string. Raises HscError for what no version of this codec sends."""
        if len(data) < 5:
            raise HscError(
                f"HSC parameters are 5 bytes, not {len(data)}: the packet comes from another codec"
            )
        parameters = cls(
            data[0],
            data[1] & 3,
            data[1] >> 2 & 3,
            bool(data[1] >> 4 & 1),
            data[2],
            int.from_bytes(data[3:5], "big"),
        )
        usable = (
            parameters.coding < len(CODINGS) and parameters.tuning < len(TUNINGS) and parameters.step < 32
        )
        if not usable or data[1] >> 5 or parameters.rank > LARGEST_RANK:
            raise HscError(
                "HSC parameters make no sense: the packet comes from a newer version, update this receiver"
            )
        return parameters


@dataclass(frozen=True)
class Semantic:
    """Outcome of the semantic encoder.

    Attributes:
        values: the SR, float32 (n,), two values to a complex symbol.
        generated: G as the receiver would have it over an ideal channel, float32 (H, W, C) in [0, 1].
        model: number of the network.
    """

    values: np.ndarray
    generated: np.ndarray
    model: int


@dataclass(frozen=True)
class Complementary:
    """Outcome of the CR encoder: the digital stream, the parameters for the receiver, and what the user
    should know of them.

    `data` is empty at rank 0.
    """

    data: bytes
    parameters: HscParameters
    notices: tuple[str, ...] = ()


def semantic_encode(image: np.ndarray, options: HscOptions) -> Semantic:
    """uint8 image (H, W, C) -> SR and predicted G, eqs. (1) and (6). Raises HscError for an image or a model
    that is not served.
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise HscError(f"HSC takes uint8 images (H, W, C), not {image.dtype} of shape {image.shape}")
    shape = tuple(image.shape)
    number = models.model_number(shape, options.semantic, options.symbols)
    models.value_count(number, shape)
    model = models.load_model(number, _tuning(options), options.rank or 0)
    values = models.encode_values(model, image, options.sampling)
    return Semantic(values, models.decode_values(model, values, 0.0, shape), number)


def noisy_predictions(
    semantic: Semantic, options: HscOptions, snr_db: float, shape: tuple[int, int, int]
) -> list[np.ndarray]:
    """Some draws of G as a receiver would have it over AWGN at `snr_db`, each float32 (H, W, C); the draws
    are always the same ones.

    A target PSNR takes more of them on small images, where one draw is not like another, and AIR_LOSS_DB of
    the SNR.
    """
    draws = NOISE_DRAWS
    if options.psnr_db is not None:
        draws = min(max(DRAWN_VALUES // semantic.generated.size, NOISE_DRAWS), MOST_DRAWS)
        snr_db -= AIR_LOSS_DB
    model = models.load_model(semantic.model, _tuning(options), options.rank or 0)
    variance = np.float32(np.mean(semantic.values**2) * 10 ** (-snr_db / 10))
    noise = np.random.default_rng(1).standard_normal((draws, semantic.values.size), np.float32) * np.sqrt(
        variance
    )
    return [models.decode_values(model, semantic.values + draw, variance, shape) for draw in noise]


def complementary_encode(
    image: np.ndarray,
    semantic: Semantic,
    options: HscOptions,
    uses: int | None = None,
    mcs: str | None = None,
    noisy: Sequence[np.ndarray] = (),
) -> Complementary:
    """uint8 image (H, W, C) and its SR -> CR, eq. (2).

    Args:
        uses: most channel uses of SR and CR. None: those of the options' CBR, else DEFAULT_CBR; with a rank
            or a PSNR no limit.
        mcs: the link's MCS, which comes before the options'.
        noisy: G as the receiver may have it. With `cr` "auto" they choose the coding; with "projection" the
            error matrix is the mean over them, so that A covers the channel's share of the error too; and a
            PSNR is that of an image made with them.

    Raises:
        HscError: rank above the image's height, or a budget that the SR alone exceeds (`budget.TooFew`).
    """
    height, mcs = image.shape[0], mcs or options.mcs or DEFAULT_MCS
    if options.rank is not None and options.rank > height:
        raise HscError(
            f"rank {options.rank} is above full rank: an image {height} pixels high has ranks 0 to {height}"
        )
    if uses is None and options.rank is None and options.psnr_db is None:
        uses = budget.channel_uses(Link(cbr=options.cbr), image.shape, usual_cbr(image.shape))
    most = None if uses is None else cr_bytes(uses, image.shape, semantic.values.size, mcs)
    if options.rank == 0 or (most == 0 and options.rank is None):
        return Complementary(b"", HscParameters(semantic.model, TUNINGS.index(_tuning(options))))
    if height > LARGEST_RANK:
        raise HscError(
            f"the CR of an image {height} pixels high takes too long: scale it to {LARGEST_RANK} or less, or send rank 0"
        )
    if options.cr != AUTO:
        return _complement(image, semantic, options, most, noisy)
    made = _complement(
        image, semantic, replace(options, cr="residual"), most, noisy if options.psnr_db else ()
    )
    if not noisy:
        return made
    other = _complement(image, semantic, replace(options, cr="projection"), most, noisy)
    if options.psnr_db is None:
        return min(made, other, key=lambda candidate: _expected_errors(image, candidate, noisy).mean())
    enough = 10 ** (-options.psnr_db / 10)
    return min(
        made,
        other,
        key=lambda c: (max(cr_progressive.sure(_expected_errors(image, c, noisy)), enough), len(c.data)),
    )


def usual_cbr(shape: tuple[int, int, int]) -> float:
    """CBR of an image (H, W, C) where nothing else is said."""
    return DEFAULT_CBR_DIGIT if tuple(shape) == models.DIGIT_SHAPE else DEFAULT_CBR_PHOTO


def _complement(
    image: np.ndarray, semantic: Semantic, options: HscOptions, most: int | None, noisy: Sequence[np.ndarray]
) -> Complementary:
    known, counted = (
        (noisy[::2], noisy) if options.psnr_db else (noisy, ())
    )  # a draw that A was made for flatters it
    generated = known if known and options.cr != "residual" else [semantic.generated]
    prepared = cr_rate.source(image / 255.0, generated, options.cr == "residual", counted)
    tuning, coding = TUNINGS.index(_tuning(options)), CODINGS.index(options.cr)

    def make(wanted: HscOptions) -> Complementary:
        data, rank, step = _code(prepared, wanted, most)
        return Complementary(
            data, HscParameters(semantic.model, tuning, coding, options.jpeg2000_ratio == 1, step, rank)
        )

    made = make(options)
    if not options.rank or noisy or options.tuning == "ncr" or image.size > SMALL_IMAGE:
        return made
    # Near exactness one row more can move one pixel across a rounding edge: send the smallest rank that is as
    # good as any below it.
    first = cr.smallest_rank(prepared.tails, NEARLY_EXACT * image.size)
    candidates = [*(make(replace(options, rank=rank)) for rank in range(max(first, 1), options.rank)), made]
    return min(
        candidates, key=lambda candidate: _expected_errors(image, candidate, [semantic.generated]).mean()
    )


def _expected_errors(image: np.ndarray, made: Complementary, noisy: Sequence[np.ndarray]) -> np.ndarray:
    """MSE of the received image for each G, (draws,), the whole CR having arrived."""
    received = ReceivedDigital(made.data, np.ones(len(made.data), bool))
    rows = _rows(received, image.shape, made.parameters)
    images = [_recomposed(generated, rows, made.parameters) for generated in noisy]
    return np.array([np.square(received_image / 255.0 - image / 255.0).mean() for received_image in images])


def _notices(
    image: np.ndarray,
    semantic: Semantic,
    made: Complementary,
    noisy: Sequence[np.ndarray],
    options: HscOptions,
    link: Link,
    mcs: str,
) -> tuple[str, ...]:
    """What is to be expected instead of a target PSNR that is out of reach."""
    if options.psnr_db is None:
        return ()
    lost = bool(made.data) and link.snr_db is not None and link.snr_db < mcs_table.by_name(mcs).threshold_db
    arrived = replace(made, data=b"") if lost else made
    errors = _expected_errors(image, arrived, noisy or [semantic.generated])
    psnr_db = float(-10 * np.log10(max(cr_progressive.sure(errors), 1e-10)))
    if psnr_db >= options.psnr_db - SHORT_DB:
        return ()
    why = (
        f": at {link.snr_db:g} dB SNR the CR is lost at {mcs}"
        if lost
        else ""
        if link.snr_db is None
        else f" at {link.snr_db:g} dB SNR"
    )
    within = "" if link.cbr is None else f" within a CBR of {link.cbr:.4g}"
    return (
        f"the target of {options.psnr_db:g} dB PSNR cannot be reached{within}{why}; at least {psnr_db:.1f} dB is to be expected",
    )


def _tuning(options: HscOptions) -> str:
    return "none" if options.tuning == AUTO else options.tuning


def _code(prepared: cr_rate.Source, options: HscOptions, most: int | None) -> tuple[bytes, int, int]:
    """Stream, rank and step code for the rank, or for the PSNR within `most` bytes, or for as many bytes."""
    if options.rank is not None:
        return _code_rank(prepared, options, options.rank)
    if options.psnr_db is not None:
        made = _code_psnr(prepared, options, options.psnr_db)
        if most is None or len(made[0]) <= most:
            return made
    return (cr_rate.paper_for_budget if options.cr == "paper" else cr_rate.progressive_for_budget)(
        prepared, most
    )


def _code_psnr(prepared: cr_rate.Source, options: HscOptions, psnr_db: float) -> tuple[bytes, int, int]:
    largest_error = prepared.projected.size * 10 ** (-psnr_db / 10)
    if len(prepared.differences) > 1:  # over a noisy channel nothing is exact that rounding could leave alone
        largest_error -= min(prepared.projected.size * ROUNDING_ERROR, largest_error / 2)
    if largest_error <= prepared.floor:
        largest_error += prepared.floor  # out of reach: as near to it as over an ideal channel
    if options.cr != "paper":
        return cr_rate.progressive_for_error(prepared, largest_error)
    rank = cr.smallest_rank(prepared.errors * (1 + cr_rate.NOISE_SHARE), largest_error)
    return _code_rank(prepared, options, rank) if rank else (b"", 0, 0)


def _code_rank(prepared: cr_rate.Source, options: HscOptions, rank: int) -> tuple[bytes, int, int]:
    step = cr_rate.step_for_rank(prepared.tails, rank, prepared.projected.shape[1])
    if options.cr != "paper":
        coded = prepared.progressive(rank, step)
        return (*coded.cut(len(coded.chunks)), step)
    step = min(step, cr_rate.finest_paper_step(prepared))
    return prepared.paper(rank, step, options.jpeg2000_ratio), rank, step


def cr_bytes(uses: int, shape: tuple[int, int, int], n_values: int, mcs: str) -> int:
    """Bytes of CR that fit beside an image's SR: whole LDPC blocks within so many channel uses. Raises
    `budget.TooFew` for too few.
    """
    needed = analog.symbol_count(n_values)
    if uses < needed:
        advice = f"raise the CBR to at least {budget.least_cbr(needed, shape):g}"
        raise budget.TooFew(f"{uses} channel uses do not hold the SR", needed, advice)
    blocks = min(
        (uses - needed) // digital.symbols_per_block(mcs),
        digital.LARGEST_STREAM // digital.payload_bytes_per_block(mcs),
    )
    return blocks * digital.payload_bytes_per_block(mcs)


def semantic_decode(
    received: ReceivedAnalog | None, shape: tuple[int, int, int], parameters: HscParameters
) -> np.ndarray | None:
    """Received SR -> G, float32 (H, W, C) in [0, 1], eq. (6); None when nothing of it came.

    Raises HscError for a shape or a model number that cannot be served.
    """
    count = models.value_count(parameters.model, shape)
    if received is None or len(received.values) < count or not received.received[:count].any():
        return None
    model = models.load_model(parameters.model, TUNINGS[parameters.tuning], parameters.rank)
    return models.decode_values(model, received.values[:count], received.noise_variance[:count], shape)


def recompose(
    generated: np.ndarray | None,
    received: ReceivedDigital | None,
    shape: tuple[int, int, int],
    parameters: HscParameters,
) -> np.ndarray:
    """G and the received CR -> image, uint8 (H, W, C): eqs. (7) and (8), from as many rows of A as arrived
    intact.

    Without CR the generated image; without SR the CR over a flat grey image. Raises HscError when there is
    neither.
    """
    rows = _rows(received, shape, parameters)
    if generated is None:
        if not len(rows[0]):
            raise HscError("nothing usable of the image arrived: neither SR nor CR")
        generated = np.full(shape, 0.5)
    return _recomposed(generated, rows, parameters)


Rows = tuple[np.ndarray, np.ndarray]  # A (k', H), and A X or A (X − G) (k', W·C)


def _recomposed(generated: np.ndarray, rows: Rows, parameters: HscParameters) -> np.ndarray:
    image = np.asarray(generated, np.float64)
    if len(rows[0]):
        combine = cr.add_residual if CODINGS[parameters.coding] == "residual" else cr.recompose
        image = combine(image, *rows)
    return np.rint(np.nan_to_num(image, nan=0.5).clip(0, 1) * 255).astype(np.uint8)


def _rows(received: ReceivedDigital | None, shape: tuple[int, int, int], parameters: HscParameters) -> Rows:
    """Rows of the CR that arrived intact; none without it."""
    if received is None or not parameters.rank:
        return np.zeros((0, shape[0])), np.zeros((0, shape[1] * shape[2]))
    return _decode_cr(received, shape, parameters)


def _decode_cr(received: ReceivedDigital, shape: tuple[int, int, int], parameters: HscParameters) -> Rows:
    height, width, channels = shape
    columns, rank = width * channels, min(parameters.rank, height)
    if CODINGS[parameters.coding] == "paper":
        step = cr_progressive.coefficient_step(parameters.step)
        return cr_paper.decode(
            received.data, received.received, height, columns, rank, step, parameters.reversible
        )
    return cr_progressive.decode(
        received.data, received.received, height, columns, channels, rank, parameters.step
    )


class HscCodec(Codec):
    """HSC as one codec: `encode` at the transmitter, `decode` at the receiver. Keyword arguments are the
    fields of `HscOptions`.
    """

    name = "hsc"
    Options = HscOptions
    base = Base("analog", "SR")
    weights = ("hsc-*",)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) -> message with the SR as analog stream, and the CR as digital stream unless its
        rank is 0.
        """
        shape = tuple(image.shape)
        mcs, options = self._mcs(link), self._tuned(shape, link)
        semantic = semantic_encode(image, options)
        noisy = noisy_predictions(semantic, options, link.snr_db, shape) if self._uses_noise(link) else ()

        def message(uses: int | None) -> Message:
            extra = complementary_encode(image, semantic, options, uses, mcs, noisy)
            streams = (DigitalStream(extra.data, mcs),) if extra.data else ()
            notices = _notices(image, semantic, extra, noisy, options, link, mcs)
            return Message(self.name, shape, extra.parameters.pack(), semantic.values, streams, notices)

        limit = Link(cbr=options.cbr or link.cbr)
        if limit.cbr is None and (options.rank is not None or options.psnr_db is not None):
            return message(None)
        return budget.within(limit, shape, message, usual_cbr(shape))

    def _mcs(self, link: Link) -> str:
        """MCS of the CR."""
        given = link.mcs or self.options.mcs
        if given or self.options.psnr_db is None or link.snr_db is None:
            return given or DEFAULT_MCS
        return min(
            mcs_table.by_name(DEFAULT_MCS), mcs_table.best_for(link.snr_db), key=lambda mcs: mcs.bits_per_use
        ).name

    def _tuned(self, shape: tuple[int, int, int], link: Link) -> HscOptions:
        """The options with `tuning` "auto" settled by the link's SNR, and by whether fine-tuned weights are
        there.
        """
        options = self.options
        if options.tuning != AUTO:
            return options
        number = models.model_number(shape, options.semantic, options.symbols)
        noisy = link.snr_db is not None and link.snr_db < FEW_SHOT_BELOW_DB
        return replace(options, tuning="few-shot" if noisy and models.has_few_shot(number) else "none")

    def _uses_noise(self, link: Link) -> bool:
        counts = self.options.psnr_db is not None or self.options.cr in (AUTO, "projection")
        return link.snr_db is not None and self.options.rank != 0 and counts

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message -> image, from whatever arrived. Raises HscError when nothing usable did."""
        parameters = HscParameters.unpack(received.parameters)
        generated = semantic_decode(received.analog, received.shape, parameters)
        return Decoded(
            recompose(
                generated, received.digital[0] if received.digital else None, received.shape, parameters
            )
        )

    def adapted(self, setting: LinkSetting) -> HscCodec:
        """With the target PSNR of the setting as the amount of CR, or none where nothing digital gets
        through.
        """
        if setting.digital and setting.psnr_db is None:
            return self
        amount = {"psnr_db": setting.psnr_db} if setting.digital else {"rank": 0}
        return self.with_options(**{"rank": None, "psnr_db": None, "cbr": None, **amount})

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Rank of the CR, its coding, the network of the SR and its tuning."""
        known = HscParameters.unpack(parameters)
        names = {
            "coding": CODINGS[known.coding],
            "network": models.MODELS.get(known.model),
            "tuning": TUNINGS[known.tuning],
        }
        return {"rank": known.rank, **names}
