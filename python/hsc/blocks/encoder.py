"""Message Encoder: images to packets through a whole codec."""

from __future__ import annotations

import time

from .. import modem
from ..codecs import registry
from ..message import Link
from ..phy.adaptation import repair_share
from ..phy.packets import DEFAULT_PACKET_SYMBOLS, split
from . import pdu
from .base import limit_torch_threads
from .link_block import LinkBlock


class message_encoder(LinkBlock):
    """Images to packets through a whole codec.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`: what the receiver measured is what the
    next image is made for, or `LinkSetting`: what a Link Adaptation made of it); out `packets` (`Packet`).

    Args:
        codec: name in the registry of codecs.
        options: fields of the codec's options.
        snr_db: Es/N0 that the codec may count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W); None for none.
        mcs_name: MCS of the digital streams; empty leaves it to the codec.
        packet_symbols: largest number of payload symbols in a packet.
        loss: share of the packets that the codec may count on to be lost, 0 to 1: repair symbols follow from
            it; None when unknown.
        fade_margin_db: how far below `snr_db` fades take the channel [dB]; an MCS that is not named bears
            them.

    Raises:
        HscError: unknown codec, option or MCS.
    """

    def __init__(
        self,
        codec: str = "hsc",
        options: dict[str, object] | None = None,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
        packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
        loss: float | None = None,
        fade_margin_db: float = 0.0,
    ) -> None:
        super().__init__(
            "Message Encoder",
            {"images": {pdu.Image: self._encode}},
            ("packets",),
            Link(
                snr_db,
                cbr,
                mcs_name or None,
                None if loss is None else repair_share(loss),
                fade_margin_db=fade_margin_db,
            ),
        )
        self._name, self._packet_symbols = codec, packet_symbols
        self._setting: pdu.LinkSetting | None = None  # the last one
        limit_torch_threads()
        self.set_options(options or {})

    def set_options(self, options: dict[str, object]) -> None:
        """Options of the codec from the next image on. Raises HscError for an unknown one."""
        self._as_set = registry.create(self._name, **options)
        self._adapt()

    def on_setting(self, setting: pdu.LinkSetting) -> None:
        super().on_setting(setting)
        self._setting = setting
        self._adapt()

    def _adapt(self) -> None:
        setting = self._setting
        self._codec = self._as_set if setting is None else self._as_set.adapted(setting.record)

    def _encode(self, image: pdu.Image) -> None:
        start = time.perf_counter()
        message = self._codec.encode(image.pixels, self._link)
        seconds = time.perf_counter() - start
        notices = "; ".join(message.notices) or None
        if notices:
            self.logger.warn(f"message {image.message_id}: {notices}")
        told = {"seconds": seconds, "notices": notices}
        for p in split(modem.modulate(message, image.message_id, self._packet_symbols)):
            self.publish("packets", pdu.Packet(p.header, p.symbols, **(told if p.header.index == 0 else {})))
