"""The OFDM air interface over a simulated sample stream: packets delivered, noise added, clocks followed,
noise ignored.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..evaluation.curves import Axis, Curves, Series
from ..evaluation.figure import Given
from ..evaluation.sample_channel import bursts, channel, evm_db, make_packet, noise, tone
from ..phy import digital, mcs
from ..phy.header import Header
from ..phy.numerology import PRESETS, Numerology
from ..phy.ofdm import payload_mapping
from ..phy.packets import Packet, ReceivedPacket
from ..phy.receiver import BurstReceiver

SNRS_DB = (-1.0, 0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0)
PACKETS = 1000  # a point: where all arrive, less than 0.3 % are lost (95 %)
# Power of the leak over that of a unit-power carrier [dB].
LEAKS_DB = (-20.0, -10.0, -3.0, 0.0, 3.0, 10.0, 20.0, 30.0)
# Carrier offsets of the signal beside a leak [subcarriers], whole ones and others.
LEAK_CFOS = (-8.0, -5.25, -2.0, -1.0, 0.0, 0.2, 0.5, 0.768, 1.0, 3.5, 7.0, 8.0)
NOISE_SAMPLES = 10_000_000  # in which no packet may be seen
LONGEST = 60_000  # symbols of a packet in which clocks drift apart the most
_GROUP = 20  # packets in a row in one stream
_SYMBOLS = 200  # analog symbols of a packet
_LEAK_TABLE = f"of {_GROUP} packets at 20 dB arrived, by carrier leak over the signal and CFO [subcarriers]"
_DESCRIPTION = (
    "packets of 200 analog symbols back to back on AWGN, CFO within ±8 subcarriers, any phase; "
    "snr_error: measured minus true SNR; estimation_loss: error of the symbols over the noise that was added"
)
_BLOCK_MCS = ("BPSK-1/2", "QPSK-1/2", "16QAM-1/2", "64QAM-1/2")


@dataclass(frozen=True)
class _Received:
    """A packet as sent and as it came."""

    sent: Packet
    got: ReceivedPacket


def run(given: Given, packets: int = PACKETS, noise_samples: int = NOISE_SAMPLES) -> Curves:
    """Measure all of it with `packets` packets a point."""
    series = []
    findings: dict[str, object] = {"packets_per_point": packets}
    for name, numerology in PRESETS.items():
        given.progress(f"{name} against SNR")
        series.append(_against_snr(numerology, packets))
        given.progress(f"{name} at 10 dB with CFO, clock offset and echoes")
        findings[f"{name}: delivered at 10 dB, CFO within 8 subcarriers, 40 ppm, two echoes"] = _impaired(
            numerology, packets
        )
        given.progress(f"{name}, longest packet")
        for snr_db in (10.0, 40.0):
            head, tail = _head_and_tail(numerology, snr_db)
            findings[f"{name}: EVM of {LONGEST} symbols at {snr_db:.0f} dB, 40 ppm, head and tail [dB]"] = [
                round(head, 2),
                round(tail, 2),
            ]
        given.progress(f"{name} with a carrier leak")
        findings[f"{name}: {_LEAK_TABLE}"] = {
            f"{level:+.0f} dB": _under_leak(numerology, level) for level in LEAKS_DB
        }
        given.progress(f"{name}, noise alone")
        findings[f"{name}: packets in {noise_samples} samples of noise"] = _false_packets(
            numerology, noise_samples
        )
    given.progress("speed of the search")
    findings["search in noise of power 1, ofdm64 and all presets at once [MS/s of CPU time]"] = _search_speed(
        noise_samples // 10
    )
    for mcs_name in _BLOCK_MCS:
        given.progress(f"{mcs_name} through ofdm64")
        series.append(_block_losses(mcs_name, max(2, packets // 100)))
    return Curves("air-interface", _DESCRIPTION, given.command, series, findings)


def _transfer(
    numerology: Numerology, packets: list[Packet], rng: np.random.Generator, **impairments: object
) -> list[_Received]:
    """Send packets back to back over a new channel and pair what arrived with what was sent."""
    stream = bursts(packets, numerology, before=500, after=8 * numerology.symbol)
    samples = channel(
        stream, numerology, rng, cfo=rng.uniform(-8, 8), phase=rng.uniform(0, 2 * np.pi), **impairments
    )
    sent = {p.header.message_id: p for p in packets}
    got = BurstReceiver(numerology).push(samples)
    return [
        _Received(sent[g.header.message_id], g)
        for g in got
        if sent.get(g.header.message_id, _NONE).header == g.header
    ]


_NONE = Packet(Header(0, 0, 0, 1, (1, 1, 1)), np.zeros(0, np.complex64))


def _rounds(
    numerology: Numerology, packets: int, seed: int, **impairments: Callable[[np.random.Generator], object]
) -> list[_Received]:
    rng = np.random.default_rng(seed)
    received = []
    for _ in range(packets // _GROUP):
        group = [make_packet(_SYMBOLS, rng, index) for index in range(_GROUP)]
        received += _transfer(
            numerology, group, rng, **{name: draw(rng) for name, draw in impairments.items()}
        )
    return received


def _against_snr(numerology: Numerology, packets: int) -> Series:
    delivered, snr_error, loss = [], [], []
    for snr_db in SNRS_DB:
        received = _rounds(numerology, packets, 1, snr_db=lambda _, snr_db=snr_db: snr_db)
        delivered.append(len(received) / (packets // _GROUP * _GROUP))
        snr_error.append(float(np.mean([r.got.snr_db for r in received]) - snr_db))
        errors = np.concatenate([r.got.symbols - r.sent.symbols for r in received])
        loss.append(float(10 * np.log10(np.mean(np.abs(errors) ** 2)) + snr_db))
    x, y = Axis("snr", "dB", list(SNRS_DB)), Axis("delivered", "share", delivered)
    also = {"snr_error_db": snr_error, "estimation_loss_db": loss}
    return Series(numerology.name, "measured", x, y, also=also)


def _impaired(numerology: Numerology, packets: int) -> str:
    def echoes(rng: np.random.Generator) -> dict[int, complex]:
        delays = rng.choice(np.arange(1, numerology.cp * 3 // 4), 2, replace=False)
        turns = np.exp(2j * np.pi * rng.random(2))
        return {0: 1.0, int(delays[0]): 0.7 * turns[0], int(delays[1]): 0.5 * turns[1]}

    impairments = {"snr_db": lambda _: 10.0, "ppm": lambda rng: rng.choice([-40.0, 40.0]), "taps": echoes}
    received = _rounds(numerology, packets, 2, **impairments)
    return f"{len(received)} of {packets // _GROUP * _GROUP}"


def _head_and_tail(numerology: Numerology, snr_db: float) -> tuple[float, float]:
    rng = np.random.default_rng(3)
    packet = make_packet(LONGEST, rng)
    (received,) = _transfer(numerology, [packet], rng, snr_db=snr_db, ppm=40.0)
    size = LONGEST // 10
    # Payload symbols are spread over the whole packet: here they come in the order of their time on the air.
    place = _time_order(numerology, LONGEST)
    sent, got = received.sent.symbols[place], received.got.symbols[place]
    return evm_db(sent[:size], got[:size]), evm_db(sent[-size:], got[-size:])


def _time_order(numerology: Numerology, symbols: int) -> np.ndarray:
    return np.argsort(
        payload_mapping(numerology, numerology.payload_rows(symbols)).place[:symbols], kind="stable"
    )


def _false_packets(numerology: Numerology, samples: int) -> int:
    receiver, rng = BurstReceiver(numerology), np.random.default_rng(4)
    return sum(
        len(receiver.push(noise(min(1 << 20, samples - first), 1.0, rng)))
        for first in range(0, samples, 1 << 20)
    )


def _under_leak(numerology: Numerology, level_db: float) -> dict[str, int]:
    """Packets of _GROUP that arrive at 20 dB SNR at each CFO, with a constant of `level_db` over a unit-power
    carrier in the samples.
    """
    arrived = {}
    for cfo in LEAK_CFOS:
        rng = np.random.default_rng(6)
        packets = [make_packet(_SYMBOLS, rng, index) for index in range(_GROUP)]
        stream = bursts(packets, numerology, before=500, after=8 * numerology.symbol)
        samples = channel(stream, numerology, rng, snr_db=20.0, cfo=cfo, phase=rng.uniform(0, 2 * np.pi))
        leak = np.complex64(10 ** (level_db / 20) * np.exp(2j * np.pi * rng.random()))
        sent = [p.header for p in packets]
        arrived[f"{cfo:+g}"] = sum(
            got.header in sent for got in BurstReceiver(numerology).push(samples + leak)
        )
    return arrived


def _search_speed(samples: int) -> dict[str, list[float]]:
    """Rates of the search in noise with what looks like a preamble to a correlation, best of three runs each,
    taken in turn.
    """
    background = noise(samples, 1.0, np.random.default_rng(7))
    sweep = np.exp(2j * np.pi * 1e-8 * np.arange(samples) ** 2).astype(np.complex64)
    streams = {"noise alone": background}
    streams |= {
        f"carrier leak {level:+d} dB": background + tone(samples, 0.0, level) for level in (0, 20, 60)
    }
    streams |= {f"tone {level:+d} dB": background + tone(samples, 0.0913, level) for level in (0, 20, 60)}
    streams["two tones +20 dB"] = background + tone(samples, 0.0913, 20) + tone(samples, -0.31, 20)
    streams["tone +20 dB, from 0 to the edge of the band"] = background + 10 * sweep
    receivers = ((PRESETS["ofdm64"],), tuple(PRESETS.values()))
    rates = [
        [[_rate(stream, numerologies) for numerologies in receivers] for stream in streams.values()]
        for _ in range(3)
    ]
    return dict(zip(streams, np.max(rates, axis=0).round(1).tolist(), strict=True))


def _rate(stream: np.ndarray, numerologies: tuple[Numerology, ...]) -> float:
    receiver, before = BurstReceiver(*numerologies), time.process_time()
    receiver.push(stream)
    return len(stream) / (time.process_time() - before) / 1e6


def _block_losses(mcs_name: str, packets: int) -> Series:
    """Share of LDPC blocks lost against SNR, beside the code's own threshold: what synchronisation and
    estimation cost.
    """
    numerology, rng = PRESETS["ofdm64"], np.random.default_rng(5)
    size = digital.payload_bytes_per_block(mcs_name)
    blocks = 4096 // digital.symbols_per_block(mcs_name)
    snrs = [mcs.by_name(mcs_name).threshold_db + step for step in (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)]
    lost = []
    for snr_db in snrs:
        missed = 0
        for index in range(packets):
            symbols = digital.modulate(rng.bytes(blocks * size), mcs_name)
            header = Header(1, index, 0, 1, (28, 28, 1), digital=((mcs_name, blocks * size),))
            received = _transfer(numerology, [Packet(header, symbols)], rng, snr_db=snr_db)
            missed += blocks
            for r in received:
                missed -= blocks - len(
                    digital.demodulate(
                        r.got.symbols, r.got.noise_variance, blocks * size, mcs_name
                    ).lost_blocks
                )
        lost.append(missed / blocks / packets)
    return Series(
        f"{mcs_name}, ofdm64", "measured", Axis("snr", "dB", snrs), Axis("blocks lost", "share", lost)
    )
