"""Recipes at toy size."""

from dataclasses import replace

from gnuradio.hsc.training import recipe


def shrink(monkeypatch, name, **changes):
    """Change fields of a recipe for one test."""
    known = recipe._all()
    system, chosen = known[name]
    monkeypatch.setattr(recipe, "_all", lambda: {**known, name: (system, replace(chosen, **changes))})
