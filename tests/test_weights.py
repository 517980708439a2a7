"""Shipped weights: whole, small, as good as their cards say; damage is noticed."""

from __future__ import annotations

import json

import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.hsc import models


def test_save_and_load_keep_the_values(tmp_path):
    torch.manual_seed(1)
    state = {"a.weight": torch.randn(90, 80), "a.bias": torch.randn(90), "k": torch.randn(4, 3, 5, 5)}
    for storage, tolerance in (("float16", 2e-3), ("int8", 0.02)):
        weights.save("x", state, {"seed": 1}, storage, tmp_path)
        loaded = weights.load("x", tmp_path)
        assert loaded.keys() == state.keys()
        for key, tensor in state.items():
            torch.testing.assert_close(
                loaded[key], tensor, rtol=0, atol=tolerance * tensor.abs().max().item()
            )
        assert weights.card("x", tmp_path)["storage"] == storage


def test_damage_and_absence_are_told_in_one_line(tmp_path):
    path = weights.save("x", {"a": torch.ones(10)}, {}, folder=tmp_path)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(HscError, match="damaged"):
        weights.load("x", tmp_path)
    path.unlink()
    with pytest.raises(HscError, match="missing"):
        weights.load("x", tmp_path)
    with pytest.raises(HscError, match="no weights 'y'"):
        weights.load("y", tmp_path)


def test_every_shipped_file_is_whole_and_has_figures():
    names = weights.names()
    assert {
        "hsc-mnist-vae-m8",
        "hsc-mnist-vqvae-m8",
        "hsc-photo-vae",
        "hsc-mnist-vae-m8-few-shot",
        "hsc-mnist-vae-m8-ncr-k8",
    } <= set(names)
    for name in names:
        about = weights.card(name)
        assert about["figures"] and "seed" in about
        assert about.get("steps", 0) > 0 or about.get("crops", 0) > 0  # trained, or fitted to so many crops
        assert all(torch.isfinite(tensor).all() for tensor in weights.load(name).values())
    for codec, limit in (
        ("hsc", 26e6),
        ("hda-deepsc", 20e6),
        ("hda-hevc", 20e6),
        ("hda-semantic", 20e6),
        ("deepjscc", 20e6),
    ):
        assert 0 < sum(weights.card(name)["bytes"] for name in names if name.startswith(codec)) < limit


def test_every_card_is_a_json_object_without_foreign_paths():
    for name in weights.names():
        text = (weights.FOLDER / f"{name}.json").read_text()
        assert isinstance(json.loads(text), dict)
        assert "/work" not in text and "/tmp" not in text


def test_every_model_with_weights_loads_into_its_network():
    for number, name in models.MODELS.items():
        if name in weights.names():
            assert models.load_model(number) is not None
        if f"{name}-few-shot" in weights.names():
            assert models.load_model(number, "few-shot") is not None


def test_unknown_model_numbers_are_refused():
    for number in (0, 200):
        with pytest.raises(HscError, match="unknown"):
            models.load_model(number)
