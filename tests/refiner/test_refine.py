"""The refiner as one function: tiles, the guard, seeds, sizes, memory. Networks here are not trained."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from gnuradio.hsc.codecs.contract import error_shape
from gnuradio.hsc.nn import planes
from gnuradio.hsc.nn.transform import dct_matrix, zigzag
from gnuradio.hsc.refiner import bands, diffusion, refine
from gnuradio.hsc.refiner.network import RefinerNetwork
from gnuradio.hsc.refiner.options import RefinerOptions
from support.pixel_codec import picture


@pytest.fixture(scope="module")
def trained():
    """A network whose weights are random and none is zero, so that everything that it sees matters."""
    torch.manual_seed(1)
    made = RefinerNetwork()
    with torch.no_grad():
        for name, value in made.named_parameters():
            # what zeros begin with would else hide all that lies before it; biases keep edges from mattering
            if "leave.weight" in name or "told" in name:
                value.normal_(0, 0.02)
    return made.eval().requires_grad_(False)


def options(**changes):
    return RefinerOptions(**changes)


def error_of(shape, seed=1):
    return np.random.default_rng(seed).uniform(0, 0.01, error_shape(shape)).astype(np.float32)


# ---- tiles


@pytest.mark.parametrize(("height", "width"), [(264, 40), (40, 264), (200, 184), (128, 128), (8, 8)])
def test_tiles_give_exactly_what_the_whole_gives(trained, height, width, monkeypatch):
    """To the rounding of floats, with tiles of any size, whatever remains at the edges."""
    monkeypatch.setattr(refine, "mixed", lambda _: torch.autocast("cpu", enabled=False))
    shape = (height, width, 3)
    decoded = planes.to_planes(picture(*shape))
    error = torch.from_numpy(error_of(shape))[None]
    noise = diffusion.posterior_noise(error, torch.randn(1, 120, *error.shape[-2:]))
    with torch.inference_mode():
        whole = trained(decoded + noise, decoded, error, torch.ones(1))
        assert (whole - decoded).std() > 1e-3
        for tile in (64, 128):
            monkeypatch.setattr(refine, "TILE", tile)
            tiled = refine.in_tiles(trained)(decoded + noise, decoded, error, torch.ones(1))
            torch.testing.assert_close(tiled, whole, rtol=0, atol=2e-6)


@pytest.mark.parametrize("axis", [2, 3])
def test_a_pixel_sees_just_as_far_as_reach_says(trained, axis):
    """A change outside has no influence on a block of 8 pixels; the reach less one block is not enough."""
    side, middle = 2 * refine.REACH + 24, refine.REACH + 8
    shape = [1, 3, 16, 16]
    shape[axis] = side
    image = torch.rand(shape, generator=torch.Generator().manual_seed(1)).double()
    error = torch.full((1, 16, shape[2] // 8, shape[3] // 8), 1e-3).double()
    exact = RefinerNetwork().double().eval().requires_grad_(False)
    exact.load_state_dict(trained.state_dict())

    def inner(changed, told):
        found = exact(changed, changed, told, torch.ones(1).double())
        return found.movedim(axis, 0)[middle : middle + 8]

    def different(reach):
        """Everything that lies further from the block than so many pixels."""
        changed, told = image.clone().movedim(axis, 0), error.clone().movedim(axis, 0)
        for part, unit in ((changed, 1), (told, 8)):
            part[: (middle - reach) // unit] += 0.5
            part[(middle + 8 + reach) // unit :] += 0.5
        return inner(changed.movedim(0, axis), told.movedim(0, axis))

    usual = inner(image, error)
    assert torch.equal(different(refine.REACH), usual)
    assert refine.REACH % 8 == 0 and not torch.equal(different(refine.REACH - 16), usual)


# ---- the guard


def test_realism_none_gives_the_decoded_image_and_all_the_refined_one(trained):
    image = picture(41, 50)
    error = error_of(image.shape)
    seen = {
        realism: refine.refined(trained, image, error, options(realism=realism)).astype(float)
        for realism in (0.0, 0.1, 0.3, 0.5, 0.8, 0.99, 1.0)
    }
    assert np.array_equal(seen[0.0], image)
    away = [np.square(each - image).mean() for each in seen.values()]
    towards = [np.square(each - seen[1.0]).mean() for each in seen.values()]
    assert away == sorted(away) and towards == sorted(towards, reverse=True) and away[-1] > 1


@pytest.mark.parametrize("realism", [0.2, 0.5, 0.9])
def test_the_guard_is_the_equation(realism):
    """X̂ + w (X̃ − X̂), w = λ / (λ + v), of the orthonormal DCT of blocks and colours."""
    generator = torch.Generator().manual_seed(1)
    found, decoded = (torch.rand(1, 3, 16, 24, generator=generator) for _ in range(2))
    error = torch.rand(1, 16, 2, 3, generator=generator) * 1e-3
    error[:, :, 1, 1] = -1  # not known
    guarded = refine.guarded(found, decoded, error, realism)
    colour = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt([[3.0], [2.0], [6.0]])
    dct = dct_matrix()

    def spectrum(image):
        blocks = image[0].double().numpy().reshape(3, 2, 8, 3, 8).transpose(1, 3, 0, 2, 4)
        return np.einsum("pc,ky,lx,rqcyx->rqpkl", colour, dct, dct, blocks)

    lam = 1e-4 * (1 - realism) / realism
    sides = np.add.outer(np.arange(8), np.arange(8))
    luma = np.empty((8, 8), int)
    luma[tuple(zigzag().T)] = bands.BAND[:64]
    band = np.stack([luma, *[10 + np.minimum(sides, 5)] * 2])
    variance = error[0].double().numpy()[band].transpose(3, 4, 0, 1, 2)
    variance[variance < 0] = 1e-4
    mine = spectrum(found) + lam / (lam + variance) * (spectrum(decoded) - spectrum(found))
    np.testing.assert_allclose(spectrum(guarded), mine, atol=1e-5)


def test_what_is_known_exactly_comes_back_exactly():
    found, decoded = torch.rand(1, 3, 8, 16), torch.rand(1, 3, 8, 16)
    error = torch.zeros(1, 16, 1, 2)
    torch.testing.assert_close(refine.guarded(found, decoded, error, 0.9), decoded, rtol=0, atol=1e-5)
    far = refine.guarded(found, decoded, error + 1e6, 0.9)
    torch.testing.assert_close(far, found, rtol=0, atol=1e-5)
    assert refine.guarded(found, decoded, error, 1.0) is found


# ---- as a function


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 1, 1), (8, 8, 3), (17, 33, 1), (40, 57, 3), (1, 70, 3)])
@pytest.mark.parametrize("known", [False, True])
def test_any_size_and_any_knowledge(trained, shape, known):
    image = picture(*shape)
    error = error_of(shape) if known else None
    found = refine.refined(trained, image, error, options())
    assert found.shape == shape and found.dtype == np.uint8


def test_a_seed_gives_an_image_and_another_seed_another(trained):
    image = picture(64, 48)
    one, same, other = (
        refine.refined(trained, image, error_of(image.shape), options(refiner_seed=seed))
        for seed in (5, 5, 6)
    )
    assert np.array_equal(one, same) and not np.array_equal(one, other)


def test_the_generators_of_others_are_left_alone(trained):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    refine.refined(trained, picture(16, 16), None, options())
    assert torch.equal(torch.rand(4), wanted)


def test_an_untrained_network_changes_nothing():
    image = picture(40, 56)
    for steps in (1, 4):
        found = refine.refined(
            RefinerNetwork().eval(), image, error_of(image.shape), options(refiner_steps=steps)
        )
        assert np.array_equal(found, image)


def test_what_is_not_known_is_told_apart_from_what_is_known(trained):
    image = picture(40, 56)
    unknown = refine.refined(trained, image, None, options())
    told = refine.refined(trained, image, np.full(error_shape(image.shape), -1, np.float32), options())
    assert np.array_equal(unknown, told)
    known = refine.refined(trained, image, np.full(error_shape(image.shape), 1e-4, np.float32), options())
    assert not np.array_equal(known, unknown)
    scale = bands.told(torch.tensor([-1.0, 0.0, 2.0**-20, 1.0, 1e9]))
    torch.testing.assert_close(scale, torch.tensor([-1.5, -1.0, -1.0, 1.0, 1.0]))


def test_errors_beyond_measure_give_an_image(trained):
    image = picture(24, 24)
    for value in (0.0, 1e-38, 1e30, np.inf):
        error = np.full(error_shape(image.shape), value, np.float32)
        for realism in (0.5, 1.0):
            found = refine.refined(trained, image, error, options(realism=realism))
            assert found.shape == image.shape and found.std() > 1


HUGE = """
import resource
import gnuradio
gnuradio.__path__ = PACKAGES
import numpy as np, torch
torch.set_num_threads(1)
from gnuradio.hsc.codecs.contract import error_shape
from gnuradio.hsc.refiner import refine
from gnuradio.hsc.refiner.options import RefinerOptions

sides = []

def network(noisy, decoded, error, level):
    sides.extend(noisy.shape[-2:])
    return decoded + 0.1

peaks, settings = [], RefinerOptions(refiner_steps=2, realism=0.5)
for height, width in ((64, 64), (3000, 4000)):
    image = np.full((height, width, 3), 90, np.uint8)
    with torch.inference_mode():
        found = refine.refined(network, image, np.full(error_shape(image.shape), 1e-4, np.float32), settings)
    assert found.shape == image.shape and abs(found - 90.0).max() <= 1  # the mean colour stays
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(max(sides), (peaks[1] - peaks[0]) // 1024)
"""


@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_colour_stays(channels):
    """Whatever the network makes of it, and where pixels are black and white."""
    image = np.random.default_rng(1).integers(0, 256, (40, 56, channels), np.uint8)
    image[:20] = image[:20] // 128 * 255

    def tinting(noisy, decoded, error, level):
        return decoded * 0.8 + torch.tensor([0.2, -0.1, 0.05])[:, None, None]

    found = refine.refined(tinting, image, None, RefinerOptions())
    assert abs(found.mean((0, 1)) - image.mean((0, 1))).max() < 0.3
    assert abs(found.astype(float) - image).mean() > 5


def test_a_huge_image_takes_bounded_memory():
    """4000 × 3000 pixels are 137 MiB in floats. All arrays of the whole image are less than 15 of these, and
    the network, which takes 2 KiB a pixel, never has more than a tile before it.
    """
    import gnuradio

    script = HUGE.replace("PACKAGES", repr(list(gnuradio.__path__)))
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    side, mebibytes = map(int, done.stdout.split())
    assert side <= refine.TILE + 2 * refine.REACH and mebibytes < 15 * 137
