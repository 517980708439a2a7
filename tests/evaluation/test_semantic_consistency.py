"""The classifier: the layout of its files, on weights of our own; what the real ones say of photographs."""

import os
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation import semantic_consistency as consistency
from gnuradio.hsc.images import datasets
from torch.nn.functional import conv2d

REAL = Path(os.environ.get("HSC_DATA", "")) / "weights" / consistency.NAME


def write(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """An OpenVINO IR of them, as the data folder's is laid out: kernels and biases one after another, after
    the three numbers of the mean.
    """
    graph = ElementTree.Element("net", name=consistency.NAME, version="10")
    layers, edges = (ElementTree.SubElement(graph, part) for part in ("layers", "edges"))
    data = bytearray(6)

    def layer(name: str, kind: str) -> ElementTree.Element:
        return ElementTree.SubElement(layers, "layer", id=str(len(layers)), name=name, type=kind)

    for key, values in weights.items():
        constant, raw = layer(f"{len(layers)}/const", "Const"), values.numpy().astype("<f2").tobytes()
        ElementTree.SubElement(
            constant, "data", offset=str(len(data)), size=str(len(raw)), element_type="f16"
        )
        data += raw
        module, _, part = key.rpartition(".")
        name = module.replace(".", "/") + ("/WithoutBiases" if part == "weight" else "")
        user = layer(name, "Convolution" if part == "weight" else "Add")
        ends = {"from-layer": constant.attrib["id"], "from-port": "1", "to-layer": user.attrib["id"]}
        ElementTree.SubElement(edges, "edge", {**ends, "to-port": "1"})
    folder.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(graph).write(folder / f"{consistency.NAME}.xml")
    (folder / f"{consistency.NAME}.bin").write_bytes(bytes(data))


@pytest.fixture
def random_weights(tmp_path, monkeypatch):
    """A data folder whose classifier is random; gives its weights."""
    torch.manual_seed(1)
    weights = {key: value.half().float() for key, value in consistency.SqueezeNet().state_dict().items()}
    write(tmp_path / "weights" / consistency.NAME, weights)
    monkeypatch.setenv("HSC_DATA", str(tmp_path))
    consistency.classifier.cache_clear()
    yield weights
    consistency.classifier.cache_clear()


def photo(seed: int, height: int = 300, width: int = 400, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def test_weights_come_back_in_their_places(random_weights, tmp_path):
    found = consistency.read(tmp_path / "weights" / consistency.NAME)
    assert found.keys() == random_weights.keys()
    assert all(torch.equal(found[key], random_weights[key]) for key in found)


def test_the_first_layer_by_hand(random_weights):
    """Blue first, the mean taken off, stride 2."""
    image = photo(0, 256, 256)
    middle = torch.from_numpy(image[14:241, 14:241, ::-1].astype(np.float32).transpose(2, 0, 1).copy())
    assert torch.equal(consistency.crop(image), middle)
    seen = []
    model = consistency.classifier()
    hook = model.conv1.register_forward_hook(lambda module, given, out: seen.append(out))
    model(middle[None])
    hook.remove()
    mean = torch.tensor([104.0, 117.0, 123.0])[:, None, None]
    expected = conv2d(
        (middle - mean)[None], random_weights["conv1.weight"], random_weights["conv1.bias"], stride=2
    )
    torch.testing.assert_close(seen[0], expected)
    assert seen[0].shape == (1, 64, 113, 113)


@pytest.mark.parametrize("shape", [(16, 16, 3), (17, 200, 1), (256, 227, 3), (300, 400, 1)])
def test_any_image_agrees_with_itself(shape, random_weights):
    image = photo(2, *shape)
    assert consistency.same_class(image, image) == 1.0
    assert consistency.feature_cosine(image, image) == pytest.approx(1, abs=1e-5)
    assert consistency.crop(image).shape == (3, consistency.CROP, consistency.CROP)


def test_an_image_of_another_class_does_not(monkeypatch):
    scores = torch.zeros(2, 1000)
    scores[0, 5] = scores[1, 7] = 1
    features = torch.tensor([[3.0, 4.0], [4.0, 3.0]])
    crops = [consistency.crop(photo(seed)) for seed in range(2)]

    def network(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        which = next(i for i, crop in enumerate(crops) if torch.equal(images[0], crop))
        return scores[which : which + 1], features[which : which + 1]

    monkeypatch.setattr(consistency, "classifier", lambda: network)
    assert consistency.same_class(photo(0), photo(1)) == 0.0
    assert consistency.feature_cosine(photo(0), photo(1)) == pytest.approx(24 / 25)


def test_an_original_is_classified_once(random_weights):
    original, received, other = photo(0), photo(1), photo(2)
    model, seen = consistency.classifier(), []
    hook = model.register_forward_hook(lambda module, given, out: seen.append(given))
    first = consistency.same_class(received, original), consistency.feature_cosine(received, original)
    consistency.feature_cosine(other, original)
    hook.remove()
    assert len(seen) == 3
    consistency._classified.cache_clear()
    again = consistency.same_class(received, original), consistency.feature_cosine(received, original)
    assert again == first


def test_a_folder_without_it_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("HSC_DATA", str(tmp_path))
    consistency.classifier.cache_clear()
    with pytest.raises(HscError, match=r"weights/squeezenet1.1.*put squeezenet1.1.xml and .bin there"):
        consistency.same_class(photo(0), photo(0))
    monkeypatch.delenv("HSC_DATA")
    with pytest.raises(HscError, match="set HSC_DATA to it"):
        consistency.same_class(photo(0), photo(0))


@pytest.mark.parametrize("fault", ["no xml", "other network", "short", "type", "offset"])
def test_damaged_files_are_one_line(fault, random_weights, tmp_path):
    folder = tmp_path / "weights" / consistency.NAME
    graph, data = (folder / f"{consistency.NAME}.{end}" for end in ("xml", "bin"))
    text = graph.read_text()
    if fault == "short":
        data.write_bytes(data.read_bytes()[:-2])
    changed = {
        "no xml": text[:500],
        "other network": text.replace("fire2/squeeze1x1", "fire2/other"),
        "short": text,
        "type": text.replace("f16", "f32", 1),
        "offset": text.replace('offset="6"', 'offset="-6"'),
    }
    graph.write_text(changed[fault])
    with pytest.raises(HscError, match="fetch"):
        consistency.read(folder)


@pytest.mark.skipif(not REAL.is_dir(), reason="the data folder has no classifier")
def test_photographs_are_what_they_show(monkeypatch):
    """kodim21 is a lighthouse, kodim22 a barn, kodim23 two macaws; noise takes the features away."""
    consistency.classifier.cache_clear()
    photos = datasets.kodak()
    with torch.inference_mode():
        scores, _ = consistency.classifier()(torch.stack([consistency.crop(photos[n]) for n in (20, 21, 22)]))
    assert scores.argmax(1).tolist() == [437, 425, 88]  # beacon, barn, macaw
    noise = photo(3, *photos[22].shape)
    assert consistency.same_class(noise, photos[22]) == 0.0
    slightly = np.uint8(np.clip(photos[22] + np.random.default_rng(0).normal(0, 4, photos[22].shape), 0, 255))
    assert consistency.same_class(slightly, photos[22]) == 1.0
    assert consistency.feature_cosine(slightly, photos[22]) > 0.95
    assert consistency.feature_cosine(noise, photos[22]) < 0.8
    consistency.classifier.cache_clear()
