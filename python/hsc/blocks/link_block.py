"""Blocks that make something for a link: they are told of it, and learn what the receiver measured."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

import pmt

from ..message import Link
from ..phy import mcs
from ..phy.reports import HIGHEST_SNR_DB, LOWEST_SNR_DB
from . import pdu
from .base import DEFAULT_QUEUE, Handler, MessageBlock

T = TypeVar("T")
# Of `Waiting`, for the images of one block.
MOST_WAITING = 2 * DEFAULT_QUEUE


class Waiting(OrderedDict[int, T]):
    """What came for single images and waits for them, by message id. As many images as a queue holds may wait
    before the block that this one is behind, and some between.

    Args:
        block: tells what is let go, the oldest, when more wait.
        what: waits, and for what: of that line.
    """

    def __init__(self, block: MessageBlock, what: str) -> None:
        super().__init__()
        self._block, self._what = block, what

    def put(self, message_id: int, value: T) -> None:
        """Keep it for that image."""
        self[message_id] = value
        while len(self) > MOST_WAITING:
            oldest, _ = self.popitem(last=False)
            self._block.fail(None, f"message {oldest}: {MOST_WAITING} {self._what}")


class LinkBlock(MessageBlock):
    """Base of the blocks that make something for a link: they are told of it, and learn from `snr` what the
    receiver measured.

    Args:
        name: of the block.
        inputs, outputs: ports as of `open_ports`; `snr` (optional, `Snr`, or `LinkSetting` of a Link
            Adaptation) comes in addition.
        link: what is known of the link at first.
        told: further ports that say what the next images are made for, with the handlers of each.
    """

    def __init__(
        self,
        name: str,
        inputs: dict[str, dict[type[pdu.Pdu], Handler]],
        outputs: tuple[str, ...],
        link: Link,
        told: dict[str, dict[type[pdu.Pdu], Handler]] | None = None,
    ) -> None:
        super().__init__(name)
        snr = {pdu.Snr: self._measured, pdu.LinkSetting: self.on_setting, pdu.Failed: self.ignore}
        self._told = {"snr": snr, **(told or {})}
        informed = {
            port: {kind: self._informed(handler) for kind, handler in handlers.items()}
            for port, handlers in inputs.items()
        }
        self.open_ports({**informed, **self._told}, outputs, ends=tuple(inputs))
        if link.mcs is not None:
            mcs.known(link.mcs)
        self._link = link

    def set_snr_db(self, snr_db: float | None) -> None:
        """Es/N0 that may be counted on [dB], from the next image on."""
        self._link = replace(self._link, snr_db=snr_db)

    def set_cbr(self, cbr: float | None) -> None:
        """Budget of channel uses, from the next image on."""
        self._link = replace(self._link, cbr=cbr)

    def set_mcs(self, mcs_name: str) -> None:
        """MCS from the next image on; empty leaves it to the codec. Raises HscError for an unknown one."""
        self._link = replace(self._link, mcs=mcs.known(mcs_name) if mcs_name else None)

    def on_setting(self, setting: pdu.LinkSetting) -> None:
        """What a Link Adaptation has chosen, from the next image on. Of a named MCS the code stays."""
        self._measured(setting)
        self._link = replace(
            self._link,
            mcs=None if self._link.mcs is None else mcs.code_of(self._link.mcs),
            most_threshold_db=setting.most_threshold_db,
            cbr=self._link.cbr if setting.cbr is None else setting.cbr,
            repair_share=setting.repair_share,
        )

    def _informed(self, handler: Handler) -> Handler:
        """First what waits on port `snr` and its like: GNU Radio empties one port's queue before it looks at
        the next, and images may always wait.
        """

        def handle(message: pdu.Pdu) -> None:
            for name, handlers in self._told.items():
                port = pmt.intern(name)
                while self.nmsgs(port):
                    self._guard(name, handlers, self.delete_head_nowait(port))
            handler(message)

        return handle

    def _measured(self, snr: pdu.Snr | pdu.LinkSetting) -> None:
        self.set_snr_db(min(max(snr.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB))
