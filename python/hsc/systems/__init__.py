"""Published systems, one room each: `SYSTEM` of a sub-package declares what is in it."""
