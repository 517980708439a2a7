"""What a bench finds: figures, each against a named alternative that was measured in the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Row:
    """One figure of ours and of the reference.

    Attributes:
        name: what was measured.
        unit: of both.
        ours, reference: the figures.
        reference_name: what the reference is.
    """

    name: str
    unit: str
    ours: float
    reference: float
    reference_name: str

    @property
    def ratio(self) -> float | None:
        """Ours / reference; None when the reference is 0."""
        return self.ours / self.reference if self.reference else None

    def as_dict(self) -> dict[str, object]:
        """As it is written down: the attributes, and `ratio`."""
        return {**asdict(self), "ratio": self.ratio}
