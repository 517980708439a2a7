"""A channel between two processes: what a transmitter sends over ZeroMQ goes on to receivers with echoes,
fading, offsets and noise.

    Radio Source (zmq) - losses - echoes and fading - channel_model (CFO, clock, noise) - drift - interferer - zmq

All of it in GNU Radio's own blocks, but for the source, which goes on with silence where the transmitter is
not there. The transmitter's sample clock paces it. Powers are told against a transmitter at amplitude 1,
which zmq radios have unless they are given a back-off: the noise of a sample has variance 10^(-SNR/10),
echoes have unit energy and fading unit mean power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from gnuradio import analog, blocks, channels, filter, gr

from ..blocks.radio.devices import SINK, make_device
from ..blocks.radio.ends import radio_source
from ..errors import HscError
from ..radio.addresses import RadioSettings
from ..radio.meters import PAYLOAD_POWER
from . import live

DRIFT_SPAN = 2000.0  # a drifting carrier goes up and down by this [Hz]
_SINUSOIDS = 8  # of a fading process
# of a fading process in one period of the Doppler frequency; between them straight lines: error -54 dB
_POINTS = 50
_SLOT = 1e-3  # of drop-outs and interfering bursts [s]
_EVENT = (2, 20)  # slots
_PERIOD = 61.0  # after which they repeat [s]
_BURST_DB = 10.0  # of an interfering burst over the signal
_HASTE = 1.05  # of the sink's own pace: that of the transmitter holds
_FADING_PATHS = 6  # of a delay spread with fading; a path costs 4 % of a core at 1 MS/s
_PROFILE = 5  # delay spreads after which a power delay profile is cut
MAX_TAPS = 256


@dataclass(frozen=True)
class ChannelSettings:
    """What a channel does.

    Attributes:
        source, target: `zmq:` addresses, of the transmitter and for receivers.
        sample_rate: [samples/s].
        snr_db: Es/N0 of a carrier, of a transmitter at amplitude 1 [dB]; None for no noise.
        cfo: carrier frequency offset [Hz]; drift: [Hz/s], up and down within `cfo` ± DRIFT_SPAN.
        sfo_ppm: by how much the receiver's sample clock is fast [ppm].
        taps: echoes, one tap a sample; empty for those of `delay_spread`.
        delay_spread: RMS, of an exponential power delay profile [s]; 0 for none.
        doppler: highest Doppler frequency of fading [Hz]; 0 for none.
        k_factor: power of the steady part of fading over the rest; None for Rayleigh.
        drop: share of time in which nothing of the signal, or an interfering burst instead of it, comes
            through.
        interferer: (power over that of the signal [dB], frequency [Hz]) of a steady tone.
        seed: of everything that is random.
    """

    source: str
    target: str
    sample_rate: float = 1e6
    snr_db: float | None = 20.0
    cfo: float = 0.0
    drift: float = 0.0
    sfo_ppm: float = 0.0
    taps: tuple[complex, ...] = ()
    delay_spread: float = 0.0
    doppler: float = 0.0
    k_factor: float | None = None
    drop: float = 0.0
    interferer: tuple[float, float] | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        for address in (self.source, self.target):
            if RadioSettings(address, sample_rate=self.sample_rate).parsed.scheme != "zmq":
                raise HscError(
                    f"'{address}' is no end of a channel: give zmq:tcp://host:port or zmq:ipc:///path"
                )
        if self.source == self.target:
            raise HscError(f"both ends of the channel are {self.source}: give two")
        limits = {
            "cfo": 0.5 * self.sample_rate,
            "drift": 1e5,
            "doppler": self.sample_rate / _POINTS,
            "sfo_ppm": 1000.0,
        }
        for name, limit in limits.items():
            if abs(getattr(self, name)) > limit:
                raise HscError(
                    f"{name} {getattr(self, name):g} is out of range: give at most {limit:g} at {self.sample_rate:g} samples/s"
                )
        if self.taps and self.delay_spread:
            raise HscError("give taps or a delay spread, not both")
        if self.interferer and abs(self.interferer[1]) > 0.5 * self.sample_rate:
            raise HscError(
                f"an interferer at {self.interferer[1]:g} Hz is outside the band: give at most {0.5 * self.sample_rate:g} Hz"
            )


def impulse_response(settings: ChannelSettings) -> np.ndarray:
    """complex64 (n,), unit energy: the taps, or an exponential power delay profile with random phases. Raises
    HscError if too long.
    """
    taps = np.array(settings.taps, np.complex64)
    if settings.delay_spread:
        spread = settings.delay_spread * settings.sample_rate
        count = 1 + math.ceil(_PROFILE * spread)
        _check_length(count)
        phases = np.random.default_rng(settings.seed).uniform(0, 2 * np.pi, count)
        power = np.exp(-np.arange(count) / spread)
        if settings.doppler:
            power = _gather(power, _FADING_PATHS)
        taps = (np.sqrt(power) * np.exp(1j * phases)).astype(np.complex64)
    if not taps.size:
        return np.ones(1, np.complex64)
    _check_length(taps.size)
    energy = float(np.linalg.norm(taps))
    if not 0 < energy < math.inf:
        raise HscError("the taps have no energy: give at least one that is not zero")
    return taps / np.float32(energy)


def _gather(power: np.ndarray, paths: int) -> np.ndarray:
    """A power delay profile with at most so many paths, evenly spread, each with the power of its
    neighbourhood at its mean delay.
    """
    out = np.zeros_like(power)
    for part in np.array_split(np.arange(len(power)), min(paths, len(power))):
        out[round(float(np.average(part, weights=power[part])))] += power[part].sum()
    return out


def _check_length(count: int) -> None:
    if count > MAX_TAPS:
        raise HscError(f"the channel is {count} samples long: give at most {MAX_TAPS}")


def events(share: float, slots: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drop-outs and interfering bursts, in turns, each of 2 to 20 slots: bool (slots,) each, together `share`
    of the slots.
    """
    rng = np.random.default_rng(seed)
    kinds = np.zeros((2, slots), bool)
    turn, wanted = 0, round(share * slots)
    while (missing := wanted - int(kinds.any(0).sum())) > 0:
        length = min(missing, int(rng.integers(*_EVENT)))
        begin = int(rng.integers(0, slots))
        free = ~kinds.any(0)
        places = np.flatnonzero(np.roll(free, -begin))[:length]
        kinds[turn, (places + begin) % slots] = True
        turn = 1 - turn
    return kinds[0], kinds[1]


class emulated_channel(gr.hier_block2):  # noqa: N801
    """The channel as a block. Stream in: samples as sent, stream out: as received. Raises HscError for taps
    that are impossible.
    """

    def __init__(self, settings: ChannelSettings) -> None:
        stream = gr.io_signature(1, 1, gr.sizeof_gr_complex)
        gr.hier_block2.__init__(self, "Channel", stream, stream)
        self._settings = settings
        taps, head = impulse_response(settings), self
        if settings.drop:
            head = self._losses(head)
        if settings.doppler:
            head, taps = self._fading(head, taps), np.ones(1, np.complex64)
        head = self._then(head, self._model(taps))
        if settings.drift:
            head = self._drift(head)
        if settings.interferer:
            level, frequency = settings.interferer
            amplitude = math.sqrt(PAYLOAD_POWER) * 10 ** (level / 20)
            head = self._with(
                blocks.add_cc(),
                head,
                analog.sig_source_c(settings.sample_rate, analog.GR_COS_WAVE, frequency, amplitude),
            )
        self.connect(head, self)

    def _then(self, head: gr.basic_block, block: gr.basic_block) -> gr.basic_block:
        self.connect(head, block)
        return block

    def _with(self, operation: gr.basic_block, *heads: gr.basic_block) -> gr.basic_block:
        for port, head in enumerate(heads):
            self.connect(head, (operation, port))
        return operation

    def _model(self, taps: np.ndarray) -> gr.basic_block:
        s = self._settings
        noise = 0.0 if s.snr_db is None else 10 ** (-s.snr_db / 20)
        # epsilon is input samples for each output sample: a fast receiver has more of them
        return channels.channel_model(
            noise, s.cfo / s.sample_rate, 1 / (1 + s.sfo_ppm * 1e-6), taps.tolist(), s.seed, True
        )

    def _fading(self, head: gr.basic_block, taps: np.ndarray) -> gr.basic_block:
        """Every tap has a gain of its own, computed at a low rate and joined by straight lines: at every
        sample it would be slow.
        """
        s = self._settings
        step = max(1, min(256, int(s.sample_rate / (_POINTS * s.doppler))))
        rise = np.arange(1, step + 1) / step
        line = np.concatenate([rise, rise[-2::-1]])
        paths = []
        for delay in np.flatnonzero(taps):
            one = analog.sig_source_c(1, analog.GR_CONST_WAVE, 0, 1)
            fading = channels.fading_model(
                _SINUSOIDS,
                s.doppler * step / s.sample_rate,
                s.k_factor is not None,
                s.k_factor or 0.0,
                s.seed + int(delay),
            )
            gain = filter.interp_fir_filter_ccc(step, (taps[delay] * line).tolist())
            self.connect(one, fading, gain)
            late = self._then(head, blocks.delay(gr.sizeof_gr_complex, int(delay)))
            paths.append(self._with(blocks.multiply_cc(), late, gain))
        return paths[0] if len(paths) == 1 else self._with(blocks.add_cc(), *paths)

    def _drift(self, head: gr.basic_block) -> gr.basic_block:
        s = self._settings
        wave = analog.sig_source_f(
            s.sample_rate,
            analog.GR_TRI_WAVE,
            abs(s.drift) / (4 * DRIFT_SPAN),
            2 * DRIFT_SPAN,
            -DRIFT_SPAN,
            -math.pi / 2,
        )
        turning = analog.frequency_modulator_fc(math.copysign(2 * math.pi / s.sample_rate, s.drift))
        self.connect(wave, turning)
        return self._with(blocks.multiply_cc(), head, turning)

    def _losses(self, head: gr.basic_block) -> gr.basic_block:
        s = self._settings
        gone, burst = events(s.drop, round(_PERIOD / _SLOT), s.seed)
        through = self._with(blocks.multiply_cc(), head, self._slots(~(gone | burst)))
        noise = analog.noise_source_c(
            analog.GR_GAUSSIAN, math.sqrt(PAYLOAD_POWER) * 10 ** (_BURST_DB / 20), s.seed + 1
        )
        return self._with(
            blocks.add_cc(), through, self._with(blocks.multiply_cc(), noise, self._slots(burst))
        )

    def _slots(self, pattern: np.ndarray) -> gr.basic_block:
        source = blocks.vector_source_c(pattern.astype(np.complex64).tolist(), True)
        return self._then(
            source, blocks.repeat(gr.sizeof_gr_complex, round(_SLOT * self._settings.sample_rate))
        )


class channel_flowgraph(gr.top_block):  # noqa: N801
    """The channel between two processes. Raises HscError for impossible settings or an address that is in
    use.
    """

    def __init__(self, settings: ChannelSettings) -> None:
        gr.top_block.__init__(self, "gr-hsc channel", catch_exceptions=True)
        self.source = radio_source(settings.source, sample_rate=settings.sample_rate)
        self.channel = emulated_channel(settings)
        self.sink = make_device(
            RadioSettings(settings.target, sample_rate=_HASTE * settings.sample_rate), SINK
        )
        self.connect(self.source, self.channel, *self.sink.chain)


def emulate(settings: ChannelSettings) -> int:
    """Run the channel until Ctrl-C; a live line on a terminal. Returns the exit status."""
    gr.logging().set_default_level(gr.log_levels.off)  # it writes to stdout
    noise = "no noise" if settings.snr_db is None else f"{settings.snr_db:g} dB"
    with live.Display() as display:
        flowgraph = channel_flowgraph(settings)
        display.line(
            f"channel: {settings.source} to {settings.target}, {settings.sample_rate / 1e6:g} MS/s, {noise}"
        )
        live.run(flowgraph, lambda: display.status(_status(flowgraph.source)))
        display.line(f"channel: {flowgraph.source.counters['samples'] / 1e6:.1f} million samples")
    return 0


def _status(source: radio_source) -> str:
    """The live line."""
    heard = "transmitter heard" if source.device.block.hears else "no transmitter"
    return f"channel: {heard}, {source.counters['lost'] / source.sample_rate:.1f} s of samples lost"
