"""The tables of the HDA-DeepSC paper that are no sweeps: the semantic codec alone (II), running time (IV)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from ... import channel, metrics, modem
from ...codecs import registry
from ...codecs.contract import Codec
from ...errors import HscError
from ...evaluation.curves import Axis, Curves, Series, mean_and_confidence
from ...evaluation.figure import Given
from ...evaluation.transmission import carry
from ...message import Link
from ...phy import mcs

# Table II: weights of the semantic codec alone, by method, with the weight λ_F of eq. (18) that they were
# trained with.
SEMANTIC_CODECS = {
    "MSE loss": ("hda-semantic-mse", 0.0),
    "MSE loss, Fourier-based module": ("hda-semantic-module", 0.0),
    "MSE loss, Fourier-based loss": ("hda-semantic-fourier", 0.1),
}
TIMED = {
    "hda_deepsc": "hda_deepsc",
    "hda_hevc": "hda_hevc",
    "deepjscc": "deepjscc",
    "hda_dct": "hda_dct",
    "softcast": "softcast",
}
# Table IV: what the codecs are given; the LDPC code is the one of the other figures.
SNR_DB, CBR, CODE = 10.0, 1 / 6, "802.11ad"
REPEATS = 3  # of which the fastest counts, since other work on the machine can only slow a run

Reconstruct = Callable[[np.ndarray], np.ndarray]


def quality(reconstruct: Reconstruct, images: Sequence[np.ndarray]) -> tuple[list[float], list[float | None]]:
    """PSNR and MS-SSIM [dB] of each image uint8 (H, W, 3) after `reconstruct`, a semantic encoder and decoder
    without channel.
    """
    received = [reconstruct(image) for image in images]
    pairs = list(zip(received, images, strict=True))
    return [metrics.psnr_db(a, b) for a, b in pairs], [metrics.ms_ssim_db(a, b) for a, b in pairs]


def table2(given: Given) -> Curves:
    """PSNR and MS-SSIM of the semantic codec alone, trained with and without the Fourier loss, eq. (18).

    Raises HscError when there are no weights of it.
    """
    from ... import weights

    images, series = list(given.images.values()), []
    for method, (name, weight) in SEMANTIC_CODECS.items():
        if name not in weights.names():
            continue
        given.progress(method)
        psnr, ms_ssim = quality(semantic_codec(name), images)
        (mean,), (width,) = mean_and_confidence(np.array(psnr))
        also = {}
        if all(value is not None for value in ms_ssim):
            (also["ms_ssim_db"],), (also["ms_ssim_db_confidence"],) = (
                [v] for v in mean_and_confidence(np.array(ms_ssim))
            )
        x = Axis("lambda", "weight of the Fourier loss in eq. (18)", [weight])
        series.append(Series(method, "measured", x, Axis("psnr", "dB", [mean]), [width], also))
    if not series:
        wanted = " and ".join(name for name, _ in SEMANTIC_CODECS.values())
        raise HscError(f"no weights of the semantic codec alone: train {wanted} first")
    text = (
        "Kodak, semantic encoder and decoder of hda_deepsc without allocation and channel, images rounded "
        "to 8 bit."
    )
    return Curves("hda-table2", text, given.command, series, {"images": len(images)}, None)


def semantic_codec(name: str) -> Reconstruct:
    """Semantic encoder and decoder, eqs. (1) and (12), with the weights `name`, told that there is no noise.

    Raises HscError when the weights are missing or are not those of a semantic codec.
    """
    import torch

    from ... import weights
    from .network import MULTIPLE, HdaNetwork

    state = weights.load(name)
    network = HdaNetwork(any(".spectral." in key for key in state)).eval()
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(key.startswith(("transform", "encoder", "decoder")) for key in missing):
        raise HscError(f"weights '{name}' are not those of HDA-DeepSC's semantic codec: train them again")

    def reconstruct(image: np.ndarray) -> np.ndarray:
        h, w, _ = image.shape
        padded = np.pad(image, ((0, -h % MULTIPLE), (0, -w % MULTIPLE), (0, 0)), mode="edge")
        with torch.inference_mode():
            z = network.encode(torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32) / 255))
            out = network.decode(z, torch.zeros_like(z))[0].clamp(0, 1) * 255
        return out.round().byte().numpy().transpose(1, 2, 0)[:h, :w]

    return reconstruct


def table4(given: Given, repeats: int = REPEATS) -> Curves:
    """Time of transmitter and receiver of every codec over that of HEVC intra, encode and decode, alternating
    in one run.

    HEVC codes at the quality that fills CBR 1/6 at 10 dB, once, without searching for that quality. Each time
    is the best of `repeats`.
    """
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    images = list(given.images.values())
    codecs = {label: registry.create(name) for label, name in TIMED.items() if name in registry.names()}
    seconds: dict[str, list[tuple[float, float]]] = {label: [] for label in ("HEVC intra", *codecs)}
    given.progress("weights")
    for codec in codecs.values():  # loaded at first use, off the clock
        _timed(*_codec(codec, images[0]))
    for index, image in enumerate(images, 1):
        given.progress(f"image {index} of {len(images)}")
        encode, decode = _hevc(image)
        rounds: dict[str, list[tuple[float, float]]] = {label: [] for label in seconds}
        for _ in range(repeats):
            rounds["HEVC intra"].append(_timed(encode, decode))
            for label, codec in codecs.items():
                rounds[label].append(_timed(*_codec(codec, image)))
        for label, found in rounds.items():
            seconds[label].append(min(found, key=sum))
    reference = np.array(seconds["HEVC intra"]).sum(1)
    series = [_timing(label, np.array(found), reference, images) for label, found in seconds.items()]
    findings: dict[str, object] = {"images": len(images), "cores": os.cpu_count(), "repeats": repeats}
    findings |= {f"{s.name}: time over HEVC intra": s.also["ratio"][0] for s in series[1:]}
    text = (
        "Kodak, one image at a time, codec alone: encode and decode over those of HEVC intra in the same "
        "run, on all cores of the machine. "
        "Seconds are of that machine at that time; the ratio is what compares."
    )
    return Curves("hda-table4", text, given.command, series, findings, None)


def _hevc(image: np.ndarray) -> tuple[Callable, Callable]:
    from ...coding import hevc

    n_bytes = int(CBR * image.size * mcs.best_for(SNR_DB).bits_per_use / 8)
    low, high = hevc.LOWEST, hevc.HIGHEST
    while low < high:  # the largest quality that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if len(hevc.encode(image, middle)) <= n_bytes else (low, middle - 1)
    return lambda: hevc.encode(image, low), lambda data: hevc.decode(data, image.shape)


def _codec(codec: Codec, image: np.ndarray) -> tuple[Callable, Callable]:
    return lambda: codec.encode(image, Link(SNR_DB, CBR, CODE)), codec.decode


def _timed(encode: Callable, decode: Callable) -> tuple[float, float]:
    """Seconds of encode and of decode; what codecs send crosses an AWGN channel in between, off the clock."""
    begun = time.perf_counter()
    sent = encode()
    encoded = time.perf_counter() - begun
    if not isinstance(sent, bytes):
        normal = channel.numpy_normal(np.random.default_rng(0))
        sent = modem.demodulate(carry(modem.modulate(sent, 0), "awgn", SNR_DB, normal))
    begun = time.perf_counter()
    decode(sent)
    return encoded, time.perf_counter() - begun


def _timing(label: str, seconds: np.ndarray, reference: np.ndarray, images: Sequence[np.ndarray]) -> Series:
    """One bar: mean over the images of the seconds and of the ratio, which is taken image by image."""
    (ratio,), (width,) = mean_and_confidence(seconds.sum(1) / reference)
    also = {
        "ratio": [ratio],
        "ratio_confidence": [width],
        "encode": [float(seconds[:, 0].mean())],
        "decode": [float(seconds[:, 1].mean())],
    }
    x = Axis("pixels", "of an image", [float(np.mean([image.shape[0] * image.shape[1] for image in images]))])
    return Series(label, "measured", x, Axis("seconds", "s", [float(seconds.sum(1).mean())]), None, also)
