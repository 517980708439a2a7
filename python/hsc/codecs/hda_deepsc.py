"""HDA-DeepSC: hybrid digital-analog semantic communication (Xie, Qin, Han and Letaief, JSAC 2025).

    image ─▶ semantic encoder ─▶ z ─▶ HDA allocation ─┬─▶ z_D ─▶ entropy coder, AES, LDPC, QAM (digital) ─┬─▶ HDA fusion ─▶ ẑ
                                                      └─▶ z_A ─▶ channel encoder, gains (analog) ─────────┘
    ẑ ─▶ semantic decoder ─▶ image

The functions are the boxes of the paper's figure 2; `HdaDeepScCodec` is the whole system.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..errors import HscError
from ..message import DigitalStream, Link, Message, ReceivedMessage
from ..nn import activity, hda
from ..nn.transform import pad
from ..phy import digital, mcs
from . import erasure, hda_analog, hda_models, hda_stream, whitening
from .hda_analog import Selection
from .hda_models import Model, Profile
from .hda_regions import LATENT_PIXELS, Region, grid, regions
from .hda_stream import RegionPart

DEFAULT_CBR = 1 / 6
ONE_WAY_MCS = "BPSK-1/2"  # when nothing is known of the link: decodes at 0 dB
ONE_WAY_SNR_DB = 10.0  # that the analog gains are made for then
LARGEST_IMAGE = 1 << 24  # pixels
CODER_BYTES = 8  # of an entropy coder's end, per region
_LARGEST_SHARE = 0.9  # of the channel uses that the digital part may take when its least is more than the DA ratio allows


@dataclass(frozen=True)
class HdaOptions:
    """Options of HDA-DeepSC.

    Attributes:
        da_ratio: digital over analog channel uses, 0.05 to 10 (the paper: 0.2 to 3); an upper limit: the digital part's true length,
            after entropy coding and LDPC, comes close to it from below. None: the ratio with the least expected error.
        key: 32 bytes of AES-256 for the digital part, or None for a CRC only.
        repair_share: RaptorQ repair symbols over all symbols of the digital part, 0 to 0.9: lost packets up to that share cost no digital
            information.
    """

    da_ratio: float | None = 0.2
    key: bytes | None = None
    repair_share: float = 0.35

    def __post_init__(self) -> None:
        if self.da_ratio is not None and not 0.05 <= self.da_ratio <= 10:
            raise HscError(f"the DA ratio is {self.da_ratio}: give 0.05 to 10, or none to have it chosen")
        if self.key is not None and len(self.key) != 32:
            raise HscError(f"the AES key has {len(self.key)} bytes: give 32 (64 hexadecimal digits)")
        erasure.repair_symbols(1, self.repair_share)


@dataclass(frozen=True)
class HdaParameters:
    """What every packet header says: profile and quality (a byte), the selection (two int16), length of the digital part before repair."""

    profile: int
    quality: int
    selection: Selection
    source_bytes: int

    def pack(self) -> bytes:
        """8 bytes."""
        numbers = np.array([self.selection.threshold, self.selection.water], ">i2").tobytes()
        return bytes([self.profile << 4 | self.quality]) + numbers + self.source_bytes.to_bytes(3, "big")

    @classmethod
    def unpack(cls, data: bytes) -> HdaParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        if len(data) < 8 or data[0] >> 4 >= len(hda_models.PROFILES) or data[0] & 15 >= hda.QUALITIES:
            raise HscError("the HDA parameters in the header are not possible: the packet comes from a newer version, update this receiver")
        threshold, water = np.frombuffer(data[1:5], ">i2").tolist()
        return cls(data[0] >> 4, data[0] & 15, Selection(threshold, water), int.from_bytes(data[5:8], "big"))


@dataclass(frozen=True)
class Fused:
    """ẑ and the variance of its error, float (120, h, w); `lost` regions are unknown in it."""

    z: torch.Tensor
    variance: torch.Tensor
    lost: int


@torch.inference_mode()
def semantic_encode(image: np.ndarray, model: Model) -> torch.Tensor:
    """Eq. (1): uint8 (H, W, C) → z, float (120, h, w), h and w multiples of 4."""
    planes = torch.from_numpy(np.array(np.broadcast_to(image, (*image.shape[:2], 3)))).permute(2, 0, 1)[None].float() / 255
    return model.network.encode(pad(planes, hda.MULTIPLE))[0]


@torch.inference_mode()
def semantic_decode(fused: Fused, shape: tuple[int, int, int], model: Model) -> np.ndarray:
    """Eq. (12): ẑ → uint8 (H, W, C)."""
    height, width, channels = shape
    planes = model.network.decode(fused.z[None], fused.variance[None])[0, :, :height, :width]
    if channels == 1:
        planes = planes.mean(0, keepdim=True)
    return (planes.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()


@dataclass(frozen=True)
class _Allocated:
    """One quality's split of z: indices of z_D, activity latents, u = C(z_A), and the log-powers that both ends know."""

    quality: int
    indices: torch.Tensor
    activity: torch.Tensor
    features: torch.Tensor
    log_power: torch.Tensor


def _split(z: torch.Tensor, latents: torch.Tensor, quality: int, network: hda.HdaNetwork) -> _Allocated:
    """Eqs. (13) to (15) and (3) at one quality."""
    indices = hda.quantise(latents, quality)
    base = network.hyper.decode(hda.dequantise(indices, quality))  # z̃
    features = network.channel_encode(z - base)  # z_A = z − z̃, eq. (15)
    active = network.activity_latents(features, quality)
    return _Allocated(quality, indices[0], active[0], features[0], network.log_powers(active, quality)[0])


def _rows(values: torch.Tensor) -> np.ndarray:
    """Number of each value's entropy table for maps (288, down, across), flattened."""
    return np.repeat(np.arange(values.shape[0]), values[0].numel())


def _coded(split: _Allocated) -> torch.Tensor:
    return torch.cat([split.indices, split.activity])


@dataclass(frozen=True)
class _Budget:
    """Channel uses of a message and what its digital part may take of them."""

    uses: int
    mcs: mcs.Mcs
    snr_db: float
    da_ratio: float | None
    repair_share: float
    overhead: int

    @property
    def most_digital(self) -> int:
        """Channel uses that the DA ratio leaves to the digital part."""
        return int(self.uses * (self.da_ratio / (1 + self.da_ratio) if self.da_ratio else _LARGEST_SHARE))

    def digital_uses(self, n_bytes: int) -> int:
        """Channel uses of so many bytes with repair symbols and LDPC."""
        size = digital.payload_bytes_per_block(self.mcs)
        return digital.symbol_count(erasure.protected_bytes(n_bytes, self.repair_share, size), self.mcs)


def _budget(shape: tuple[int, int, int], link: Link, options: HdaOptions) -> _Budget:
    chosen = mcs.by_name(link.mcs) if link.mcs else mcs.by_name(ONE_WAY_MCS) if link.snr_db is None else mcs.best_for(link.snr_db)
    uses = int((link.cbr or DEFAULT_CBR) * np.prod(shape))
    snr_db = ONE_WAY_SNR_DB if link.snr_db is None else link.snr_db
    extra = hda_stream.overhead(len(regions(*shape[:2])), options.key)
    return _Budget(uses, chosen, snr_db, options.da_ratio, options.repair_share, extra)


@torch.inference_mode()
def allocate(z: torch.Tensor, shape: tuple[int, int, int], link: Link, options: HdaOptions, profile: Profile) -> Message:
    """HDA allocation and both coders, eqs. (13) to (15), (3), (4): z (120, h, w) → message. HscError for too small a CBR."""
    model, budget = hda_models.load(profile), _budget(shape, link, options)
    latents = model.network.hyper.encode(z[None])
    split, selection = _choose(z[None], latents, model, budget)
    parts, values = _code(split, selection, model, regions(*shape[:2]))
    plain = hda_stream.seal(parts, options.key)
    data = erasure.protect(plain, options.repair_share, digital.payload_bytes_per_block(budget.mcs))
    room = 2 * (budget.uses - digital.symbol_count(len(data), budget.mcs))
    padding = len(parts) * whitening.GROUP
    if len(values) > room:  # the estimate of the digital length was short of the truth
        selection = hda_analog.select(split.log_power, room - padding, budget.snr_db)
        parts, values = _code(split, selection, model, regions(*shape[:2]))
        plain = hda_stream.seal(parts, options.key)
        data = erasure.protect(plain, options.repair_share, digital.payload_bytes_per_block(budget.mcs))
    if budget.digital_uses(len(plain)) > budget.uses:
        raise _too_small(budget, link)
    parameters = HdaParameters(profile.number, split.quality, selection, len(plain)).pack()
    return Message("hda_deepsc", shape, parameters, values, (DigitalStream(data, budget.mcs.name),))


def _too_small(budget: _Budget, link: Link) -> HscError:
    return HscError(
        f"CBR {link.cbr or DEFAULT_CBR:.4g} is too small for the digital part at {budget.mcs.name}: "
        "give a larger CBR or a smaller repair share"
    )


def _choose(z: torch.Tensor, latents: torch.Tensor, model: Model, budget: _Budget) -> tuple[_Allocated, Selection]:
    """The finest quality within the DA ratio; with none given, the one of the least expected error."""
    count = len(regions(*(LATENT_PIXELS * side for side in latents.shape[-2:])))
    candidates, padding = [], count * whitening.GROUP
    for quality in _fitting(latents, model, budget):
        split = _split(z, latents, quality, model.network)
        bits = model.tables[quality].bits(_coded(split).flatten().numpy(), _rows(_coded(split)))
        uses = budget.digital_uses(int(bits / 8) + budget.overhead + CODER_BYTES * count)
        if quality < hda.QUALITIES - 1 and uses > budget.most_digital:
            continue
        selection = hda_analog.select(split.log_power, 2 * (budget.uses - uses) - padding, budget.snr_db)
        candidates.append((hda_analog.expected_error(split.log_power, selection, budget.snr_db), split, selection))
        if budget.da_ratio or (len(candidates) > 1 and candidates[-1][0] > candidates[-2][0]):
            break
    return min(candidates, key=lambda candidate: candidate[0])[1:]


def _fitting(latents: torch.Tensor, model: Model, budget: _Budget) -> range:
    """Qualities from the finest whose latents alone fit the digital part."""
    rows = np.repeat(np.arange(hda.LATENTS), latents[0, 0].numel())
    for quality in range(hda.QUALITIES):
        bits = model.tables[quality].bits(hda.quantise(latents[0], quality).flatten().numpy(), rows)
        if budget.digital_uses(int(bits / 8) + budget.overhead) <= budget.most_digital:
            return range(quality, hda.QUALITIES)
    return range(hda.QUALITIES - 1, hda.QUALITIES)


def _code(split: _Allocated, selection: Selection, model: Model, where: list[Region]) -> tuple[list[RegionPart], np.ndarray]:
    values, first = hda_analog.gather(split.features, split.log_power, selection, where)
    coded, parts = _coded(split), []
    for region, place in zip(where, first, strict=True):
        part = coded[(slice(None), *region.latents)]
        parts.append(RegionPart(place, model.tables[split.quality].encode(part.flatten().numpy(), _rows(part))))
    return parts, values


@torch.inference_mode()
def fuse(received: ReceivedMessage, key: bytes | None, model: Model, parameters: HdaParameters) -> Fused:
    """HDA fusion, eq. (16), from whatever arrived. Raises HscError when nothing of the digital part did."""
    where = regions(*received.shape[:2])
    opened = _open(received, key, parameters, len(where))
    indices, active, placed = _decode_regions(opened.parts, where, received.shape, model.tables[parameters.quality])
    network = model.network
    if placed:
        log_power = network.log_powers(active[None], parameters.quality)[0]
    elif opened.closed:  # an eavesdropper: knows the networks, guesses that every token is of mean activity
        row = torch.full((1, len(activity.GROUPS), *(4 * side for side in active.shape[-2:])), activity.OFFSET)
        log_power = activity.power_table(network.log_power[parameters.quality].long(), row)[0]
        placed = _guessed(log_power, parameters.selection, where)
    else:
        raise HscError("hda_deepsc: nothing of the digital part arrived: send at a more robust MCS, or with a larger repair share")
    base = network.hyper.decode(hda.dequantise(indices[None], parameters.quality))[0]
    z, variance = torch.zeros_like(base), torch.full_like(base, torch.inf)
    if received.analog is not None:
        estimate, variance = hda_analog.scatter(received.analog, log_power, parameters.selection, placed)
        z = network.channel_decode(estimate[None])[0]
    else:
        variance = hda.analog_layer(log_power, parameters.selection.threshold, parameters.selection.water).power
    known = torch.zeros(base.shape[1:], dtype=torch.bool)
    for region, _ in placed:
        known[region.tokens] = True
    prior = network.deviation.square()[:, None, None]
    return Fused(torch.where(known, base + z, 0.0), torch.where(known, variance, prior), len(where) - len(opened.parts))


def _open(received: ReceivedMessage, key: bytes | None, parameters: HdaParameters, count: int) -> hda_stream.OpenedParts:
    if not received.digital:
        return hda_stream.OpenedParts({}, 0)
    stream = received.digital[0]
    if stream.block_bytes and len(stream.data) > parameters.source_bytes:
        data, mask = erasure.recover(stream, parameters.source_bytes, stream.block_bytes)
    else:
        data, mask = stream.data[: parameters.source_bytes], np.asarray(stream.received)[: parameters.source_bytes]
    return hda_stream.unseal(data, mask, count, key)


def _decode_regions(parts, where: list[Region], shape: tuple[int, int, int], tables) -> tuple[torch.Tensor, torch.Tensor, list]:
    """Parts → indices of z_D, activity latents, and the regions that are known with their first place."""
    coded = torch.zeros((hda_models.ROWS, *grid(*shape[:2])), dtype=torch.int64)
    placed = []
    for region in where:
        if region.index not in parts:
            continue
        target = coded[(slice(None), *region.latents)]
        try:
            values = tables.decode(parts[region.index].code, _rows(target))
        except HscError:
            continue
        target.copy_(torch.from_numpy(values.astype(np.int64)).reshape(target.shape))
        placed.append((region, parts[region.index].first))
    return coded[: hda.LATENTS], coded[hda.LATENTS :], placed


def _guessed(log_power: torch.Tensor, selection: Selection, where: list[Region]) -> list[tuple[Region, int]]:
    sent = log_power >= selection.threshold
    counts = [int(sent[(slice(None), *region.tokens)].sum()) for region in where]
    return list(zip(where, np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int).tolist(), strict=True))


class HdaDeepScCodec:
    """The codec: `encode` and `decode` as `codecs.registry.Codec` has them; options as in `HdaOptions`."""

    name = "hda_deepsc"

    def __init__(self, **options: object) -> None:
        try:
            self.options = HdaOptions(**options)
        except TypeError as error:
            raise HscError(f"hda_deepsc: {error}") from None

    def encode(self, image: np.ndarray, link: Link) -> Message:
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot be served."""
        check_size(image.shape)
        profile = hda_models.nearest(link.cbr or DEFAULT_CBR, self.options.da_ratio or 0.2)
        return allocate(semantic_encode(image, hda_models.load(profile)), image.shape, link, self.options, profile)

    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message → uint8 (H, W, C). Raises HscError when nothing of the digital part arrived."""
        check_size(received.shape)
        parameters = HdaParameters.unpack(received.parameters)
        model = hda_models.load(hda_models.PROFILES[parameters.profile])
        return semantic_decode(fuse(received, self.options.key, model, parameters), received.shape, model)


def check_size(shape: tuple[int, int, int]) -> None:
    """HscError for an image that is too large for the networks."""
    if shape[0] * shape[1] > LARGEST_IMAGE:
        raise HscError(f"an image of {shape[1]} x {shape[0]} pixels is too large for this codec: make it {LARGEST_IMAGE} pixels or fewer")
