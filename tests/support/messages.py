"""Messages that have crossed a channel, without packets."""

import numpy as np
from gnuradio.hsc.message import Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage


def arrived(message: Message, variance: float = 0.01, seed: int = 1) -> ReceivedMessage:
    """All of it, the analog values with noise of a variance relative to their power."""
    return ReceivedMessage(
        message.codec,
        message.shape,
        message.parameters,
        None if message.analog is None or not message.analog.size else _noisy(message.analog, variance, seed),
        tuple(ReceivedDigital(s.data, np.ones(len(s.data), bool)) for s in message.digital),
        float(-10 * np.log10(variance)),
    )


def _noisy(values: np.ndarray, variance: float, seed: int) -> ReceivedAnalog:
    sent = np.zeros(len(values) + len(values) % 2, np.float32)  # two values to a symbol
    sent[: len(values)] = values
    variance *= float(np.mean(sent**2))
    noise = np.random.default_rng(seed).standard_normal(len(sent), np.float32) * np.float32(np.sqrt(variance))
    return ReceivedAnalog(sent + noise, np.full(len(sent), variance, np.float32), np.ones(len(sent), bool))
