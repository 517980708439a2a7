"""A radio channel as a block: what a transmitter sends comes out with echoes, fading, offsets and noise.

    losses - echoes and fading - channel_model (CFO, clock, noise) - drift - interferer

All of it in GNU Radio's own blocks; what each does is computed in radio/impairments.py.
"""

from __future__ import annotations

import math

import numpy as np
from gnuradio import analog, blocks, channels, filter, gr

from ..radio.impairments import FADING_POINTS, Impairments, impulse_response, losses
from ..radio.meters import PAYLOAD_POWER

# A drifting carrier goes up and down by this [Hz]. Chosen by trial.
DRIFT_SPAN = 2000.0
# Sinusoids of a fading process. 8 is what the documentation of GNU Radio's fading_model advises.
_SINUSOIDS = 8
# Most samples between two points of a fading process; the interpolating filter has twice as many taps.
_LONGEST_STEP = 256
# Length of a slot; drop-outs and interfering bursts last 2 to 19 of them [s].
_SLOT = 1e-3
# After this they repeat [s].
_PERIOD = 61.0
# Power of an interfering burst over that of the signal [dB].
_BURST_DB = 10.0


class channel_emulator(gr.hier_block2):  # noqa: N801
    """The channel as a block. Stream in: samples as sent, stream out: as received. Raises HscError for taps
    that are impossible.
    """

    def __init__(self, impairments: Impairments) -> None:
        stream = gr.io_signature(1, 1, gr.sizeof_gr_complex)
        gr.hier_block2.__init__(self, "Channel Emulator", stream, stream)
        self._does = impairments
        taps, head = impulse_response(impairments), self
        if impairments.drop:
            head = self._losses(head)
        if impairments.doppler:
            head, taps = self._fading(head, taps), np.ones(1, np.complex64)
        head = self._then(head, self._model(taps))
        if impairments.drift:
            head = self._drift(head)
        if impairments.interferer:
            head = self._interferer(head, *impairments.interferer)
        self.connect(head, self)

    def _then(self, head: gr.basic_block, block: gr.basic_block) -> gr.basic_block:
        self.connect(head, block)
        return block

    def _with(self, operation: gr.basic_block, *heads: gr.basic_block) -> gr.basic_block:
        for port, head in enumerate(heads):
            self.connect(head, (operation, port))
        return operation

    def _model(self, taps: np.ndarray) -> gr.basic_block:
        does = self._does
        noise = 0.0 if does.snr_db is None else 10 ** (-does.snr_db / 20)
        # epsilon is input samples for each output sample: a fast receiver has more of them
        return channels.channel_model(
            noise, does.cfo / does.sample_rate, 1 / (1 + does.sfo_ppm * 1e-6), taps.tolist(), does.seed, True
        )

    def _fading(self, head: gr.basic_block, taps: np.ndarray) -> gr.basic_block:
        """Every tap has a gain of its own, computed at a low rate and joined by straight lines: at every
        sample it would be slow.
        """
        does = self._does
        step = max(1, min(_LONGEST_STEP, int(does.sample_rate / (FADING_POINTS * does.doppler))))
        rise = np.arange(1, step + 1) / step
        line = np.concatenate([rise, rise[-2::-1]])
        paths = []
        for delay in np.flatnonzero(taps):
            one = analog.sig_source_c(1, analog.GR_CONST_WAVE, 0, 1)
            fading = channels.fading_model(
                _SINUSOIDS,
                does.doppler * step / does.sample_rate,
                does.k_factor is not None,
                does.k_factor or 0.0,
                does.seed + int(delay),
            )
            gain = filter.interp_fir_filter_ccc(step, (taps[delay] * line).tolist())
            self.connect(one, fading, gain)
            late = self._then(head, blocks.delay(gr.sizeof_gr_complex, int(delay)))
            paths.append(self._with(blocks.multiply_cc(), late, gain))
        return paths[0] if len(paths) == 1 else self._with(blocks.add_cc(), *paths)

    def _drift(self, head: gr.basic_block) -> gr.basic_block:
        does = self._does
        wave = analog.sig_source_f(
            does.sample_rate,
            analog.GR_TRI_WAVE,
            abs(does.drift) / (4 * DRIFT_SPAN),
            2 * DRIFT_SPAN,
            -DRIFT_SPAN,
            -math.pi / 2,
        )
        turning = analog.frequency_modulator_fc(math.copysign(2 * math.pi / does.sample_rate, does.drift))
        self.connect(wave, turning)
        return self._with(blocks.multiply_cc(), head, turning)

    def _interferer(self, head: gr.basic_block, level_db: float, frequency: float) -> gr.basic_block:
        amplitude = math.sqrt(PAYLOAD_POWER) * 10 ** (level_db / 20)
        tone = analog.sig_source_c(self._does.sample_rate, analog.GR_COS_WAVE, frequency, amplitude)
        return self._with(blocks.add_cc(), head, tone)

    def _losses(self, head: gr.basic_block) -> gr.basic_block:
        does = self._does
        gone, burst = losses(does.drop, round(_PERIOD / _SLOT), does.seed)
        through = self._with(blocks.multiply_cc(), head, self._slots(~(gone | burst)))
        noise = analog.noise_source_c(
            analog.GR_GAUSSIAN, math.sqrt(PAYLOAD_POWER) * 10 ** (_BURST_DB / 20), does.seed + 1
        )
        return self._with(
            blocks.add_cc(), through, self._with(blocks.multiply_cc(), noise, self._slots(burst))
        )

    def _slots(self, pattern: np.ndarray) -> gr.basic_block:
        source = blocks.vector_source_c(pattern.astype(np.complex64).tolist(), True)
        return self._then(source, blocks.repeat(gr.sizeof_gr_complex, round(_SLOT * self._does.sample_rate)))
