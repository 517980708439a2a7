"""Block Erasure Channel: a link between digital streams that loses whole blocks of bytes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import channel
from ..phy import digital
from . import pdu
from .base import MessageBlock

# Bytes of a block: the longest code block of 5G NR, as of DS²C² (arXiv 2409.03243), section II-B.
BLOCK_BYTES = 1056


class block_erasure_channel(MessageBlock):
    """Whole blocks of a digital stream are erased and read as zeros, in place of modulation, air and
    demodulation.

    Message ports: in `in`: `Digital` of a transmitter, or of a Digital Demodulator, whose losses then stay;
    out `out`: `Digital` with what a Digital Demodulator tells of it.

    Args:
        share: probability that a block is erased.
        block_bytes: size of a block [bytes]; the last one of a stream may be shorter.
        burst: mean run of erased blocks (Gilbert-Elliott); 1 for independent erasures.
        told: True: the receiver knows which bytes were erased. False, the channel of the DS²C² paper: zeros
            look as if they had been sent.
        seed: of the erasures, the same in every run of the flowgraph; -1 for a different one in each.

    Raises:
        HscError: a share outside 0 to 1, a block or a burst below 1.
    """

    def __init__(
        self,
        share: float = 0.16,
        block_bytes: int = BLOCK_BYTES,
        burst: float = 1.0,
        told: bool = True,
        seed: int = 1,
    ) -> None:
        super().__init__("Block Erasure Channel")
        self.open_ports({"in": {pdu.Digital: self._erase}}, ("out",))
        self._share, self._block_bytes, self._burst = float(share), int(block_bytes), float(burst)
        self._check(self._share, self._burst)
        self.set_told(told)
        self.set_seed(seed)

    def start(self) -> bool:
        self.set_seed(self._seed)
        return super().start()

    def set_share(self, share: float) -> None:
        """Probability that a block is erased. Raises HscError outside 0 to 1."""
        self._check(share, self._burst)
        self._share = float(share)

    def set_burst(self, burst: float) -> None:
        """Mean run of erased blocks. Raises HscError below 1."""
        self._check(self._share, burst)
        self._burst = float(burst)

    def set_told(self, told: bool) -> None:
        """Whether the receiver knows what was erased."""
        self._told = bool(told)

    def set_seed(self, seed: int) -> None:
        """Begin the erasures anew."""
        self._seed = int(seed)
        self._rng = np.random.default_rng(None if self._seed < 0 else self._seed)

    def _check(self, share: float, burst: float) -> None:
        channel.erase_blocks(b"", share, self._block_bytes, np.random.default_rng(0), burst)

    def _erase(self, stream: pdu.Digital) -> None:
        before = stream.received.received
        data, came = channel.erase_blocks(
            stream.data.tobytes(), self._share, self._block_bytes, self._rng, self._burst
        )
        self.counters["erased_bytes"] += int((~came).sum())
        received = before & came if self._told else before
        self.publish("out", arrived(stream, np.frombuffer(data, np.uint8), received, self._block_bytes))


def arrived(stream: pdu.Digital, data: np.ndarray, received: np.ndarray, block_bytes: int) -> pdu.Digital:
    """A stream as it comes out of a channel: its data, uint8, and which bytes arrived, bool. So many bytes
    count as one block where no MCS says what an LDPC block holds.
    """
    unit = digital.payload_bytes_per_block(stream.mcs) if stream.mcs else block_bytes
    lost = np.unique(np.flatnonzero(~received) // unit).astype(np.int32)
    return replace(stream, data=data, received_bytes=received.astype(np.uint8), lost_blocks=lost)
