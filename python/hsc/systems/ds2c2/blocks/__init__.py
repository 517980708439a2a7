"""DS²C² as GNU Radio blocks."""
