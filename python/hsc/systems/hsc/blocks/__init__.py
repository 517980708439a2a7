"""HSC as GNU Radio blocks."""
