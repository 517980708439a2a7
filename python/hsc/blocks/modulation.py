"""Streams to symbols and back: Analog Modulator and Demodulator, Digital Modulator and Demodulator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..codecs import registry
from ..errors import HscError
from ..phy import analog, digital, mcs
from . import pdu
from .base import MessageBlock


class analog_modulator(MessageBlock):
    """Real values to complex symbols of unit mean power. Message ports: in `analog` (`Analog`), out `symbols`
    (`Symbols`).
    """

    def __init__(self) -> None:
        super().__init__("Analog Modulator")
        self.open_ports({"analog": {pdu.Analog: self._modulate}}, ("symbols",))

    def _modulate(self, stream: pdu.Analog) -> None:
        symbols, scale = analog.modulate(stream.values)
        head = {"codec": stream.codec, "shape": stream.shape, "parameters": stream.parameters}
        self.publish("symbols", pdu.Symbols(stream.message_id, symbols=symbols, scale=scale, **head))


class analog_demodulator(MessageBlock):
    """Received symbols to real values with their noise variance.

    Message ports: in `symbols` (`ReceivedSymbols`), out `analog` (`Analog`).
    """

    def __init__(self) -> None:
        super().__init__("Analog Demodulator")
        self.open_ports({"symbols": {pdu.ReceivedSymbols: self._demodulate}}, ("analog",))

    def _demodulate(self, stream: pdu.ReceivedSymbols) -> None:
        header, variance = stream.header, stream.noise_variance
        if stream.stream != 0:
            raise HscError("symbols of a digital stream: connect the demux's port 'analog'")
        received = analog.demodulate(stream.symbols, variance, np.isfinite(variance), header.scale)
        values = pdu.Analog(
            message_id=header.message_id,
            codec=registry.name_of(header.codec),
            shape=header.shape,
            values=received.values,
            parameters=header.parameters,
            noise_variance=received.noise_variance,
            snr_db=stream.snr_db,
        )
        self.publish("analog", values)


class digital_modulator(MessageBlock):
    """Bytes to QAM symbols through LDPC. Message ports: in `digital` (`Digital`), out `symbols` (`Symbols`).

    Args:
        mcs_name: MCS of every stream, a name such as "16QAM-1/2"; empty: as the PDU says.

    Raises:
        HscError: unknown MCS.
    """

    def __init__(self, mcs_name: str = "") -> None:
        super().__init__("Digital Modulator")
        self.open_ports({"digital": {pdu.Digital: self._modulate}}, ("symbols",))
        self.set_mcs(mcs_name)

    def set_mcs(self, mcs_name: str) -> None:
        """MCS from the next message on. Raises HscError for an unknown one."""
        self._mcs = mcs.by_name(mcs_name).name if mcs_name else ""

    def _modulate(self, stream: pdu.Digital) -> None:
        name = self._mcs or stream.mcs
        if not name and stream.streams:
            raise HscError(
                f"message {stream.message_id}: no MCS in the PDU, set one in the Digital Modulator"
            )
        data = stream.data.tobytes()
        symbols = pdu.Symbols(
            message_id=stream.message_id,
            codec=stream.codec,
            shape=stream.shape,
            symbols=digital.modulate(data, name) if stream.streams else np.zeros(0, np.complex64),
            stream=stream.stream,
            streams=stream.streams,
            parameters=stream.parameters,
            mcs=name or None,
            n_bytes=len(data),
        )
        self.publish("symbols", symbols)


class digital_demodulator(MessageBlock):
    """Received symbols to bytes, lost LDPC blocks named.

    Message ports: in `symbols` (`ReceivedSymbols`), out `digital` (`Digital`).
    """

    def __init__(self) -> None:
        super().__init__("Digital Demodulator")
        self.open_ports({"symbols": {pdu.ReceivedSymbols: self._demodulate}}, ("digital",))

    def _demodulate(self, stream: pdu.ReceivedSymbols) -> None:
        header = stream.header
        nothing = pdu.Digital(
            message_id=header.message_id,
            codec=registry.name_of(header.codec),
            shape=header.shape,
            data=np.zeros(0, np.uint8),
            stream=stream.stream,
            streams=len(header.digital),
            parameters=header.parameters,
            snr_db=stream.snr_db,
            packets=header.count,
            packets_received=stream.packets_received,
        )
        if not header.digital:
            self.publish("digital", nothing)
            return
        if stream.stream == 0:
            raise HscError("symbols of the analog stream: connect the demux's port 'digital'")
        name, n_bytes = header.digital[stream.stream - 1]
        received = digital.demodulate(stream.symbols, stream.noise_variance, n_bytes, name)
        self.counters["lost_blocks"] += len(received.lost_blocks)
        decoded = replace(
            nothing,
            data=np.frombuffer(received.data, np.uint8),
            mcs=name,
            received_bytes=received.received.astype(np.uint8),
            lost_blocks=np.array(received.lost_blocks, np.int32),
        )
        self.publish("digital", decoded)
