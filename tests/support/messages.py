"""Messages that have crossed a channel, without packets."""

import numpy as np
from gnuradio.hsc.message import DigitalStream, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.phy import analog, digital
from gnuradio.hsc.phy.code_blocks import code_blocks
from gnuradio.hsc.phy.mcs import by_name


def arrived(message: Message, variance: float = 0.01, seed: int = 1) -> ReceivedMessage:
    """All of it, the analog values with noise of a variance relative to their power."""
    return ReceivedMessage(
        message.codec,
        message.shape,
        message.parameters,
        None if message.analog is None or not message.analog.size else _noisy(message.analog, variance, seed),
        tuple(
            ReceivedDigital(s.data, np.ones(len(s.data), bool), (), digital.payload_bytes_per_block(s.mcs))
            for s in message.digital
        ),
        float(-10 * np.log10(variance)),
    )


def modulated(message: Message, snr_db: float, lost: float = 0.0, seed: int = 1) -> ReceivedMessage:
    """Through modulation, AWGN and LDPC; a share of the symbols and of the code blocks is lost."""
    rng = np.random.default_rng(seed)
    variance = 10 ** (-snr_db / 10)

    def noisy(symbols: np.ndarray) -> np.ndarray:
        normal = rng.standard_normal((2, len(symbols)))
        return symbols + (normal[0] + 1j * normal[1]) * (variance / 2) ** 0.5

    symbols, scale = analog.modulate(np.zeros(0, np.float32) if message.analog is None else message.analog)
    there = rng.random(len(symbols)) >= lost
    values = analog.demodulate(noisy(symbols), variance, there, scale) if len(symbols) else None
    streams = []
    for stream in message.digital:
        symbols = digital.modulate(stream.data, stream.mcs)
        gone = gone_symbols(stream, lost, rng)
        noise = np.where(gone, np.inf, variance)
        streams.append(
            digital.demodulate(np.where(gone, 0, noisy(symbols)), noise, len(stream.data), stream.mcs)
        )
    return ReceivedMessage(message.codec, message.shape, message.parameters, values, tuple(streams), snr_db)


def gone_symbols(stream: DigitalStream, lost: float, rng: np.random.Generator) -> np.ndarray:
    """Which symbols of a stream are gone, bool (n,), when a share of its code blocks is lost."""
    blocks, form = digital.block_count(len(stream.data), stream.mcs), code_blocks(by_name(stream.mcs))
    count = form.count(blocks)
    lengths = np.diff(form.bounds(blocks, np.arange(count + 1)))
    return np.repeat(rng.random(count) < lost, lengths * digital.symbols_per_block(stream.mcs))


def _noisy(values: np.ndarray, variance: float, seed: int) -> ReceivedAnalog:
    sent = np.zeros(len(values) + len(values) % 2, np.float32)  # two values to a symbol
    sent[: len(values)] = values
    variance *= float(np.mean(sent**2))
    noise = np.random.default_rng(seed).standard_normal(len(sent), np.float32) * np.float32(np.sqrt(variance))
    return ReceivedAnalog(sent + noise, np.full(len(sent), variance, np.float32), np.ones(len(sent), bool))
