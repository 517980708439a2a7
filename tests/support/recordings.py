"""What recordings hold."""

import numpy as np
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.packets import ReceivedPacket


def received(index: int = 0, count: int = 3, at: int = 1000, snr_db: float = 14.5) -> ReceivedPacket:
    header = Header(1, 4711, index, count, (28, 28, 1), 300, 5, (("QPSK-1/2", 84),))
    symbols = np.zeros(header.payload_symbols, np.complex64)
    return ReceivedPacket(header, symbols, np.ones(len(symbols), np.float32), snr_db, 0.64, 20.0, at)
