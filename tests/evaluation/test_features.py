import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from wassergan.data.codec import pixel_codec
from wassergan.errors import UserError, WorkError
from wassergan.evaluation import inception
from wassergan.evaluation.features import Features, Samples, get_features

CPU = torch.device("cpu")


def pictures(shape: tuple[int, ...] = (3, 8, 6), kind: str = "image") -> Samples:
    return Samples(kind, shape, are_pictures=kind == "image")


def batch(count: int, shape: tuple[int, ...] = (3, 8, 6)) -> torch.Tensor:
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


class Means(nn.Module):
    def forward(self, samples: torch.Tensor) -> torch.Tensor:
        return samples.mean(dim=(2, 3))


def saved(path: Path, module: nn.Module) -> Path:
    if path.suffix == ".pt2":
        count = torch.export.Dim("count", min=1, max=4096)
        torch.export.save(torch.export.export(module, (batch(2),), dynamic_shapes=({0: count},)), path)
    else:
        with warnings.catch_warnings(action="ignore"):  # newer releases of PyTorch advise against its own format
            torch.jit.save(torch.jit.trace(module, batch(2)), str(path))
    return path


def test_pixels_are_the_values_themselves() -> None:
    found = get_features("pixels", pictures(), device=CPU).of(iter([batch(5)]))
    assert torch.equal(found, batch(5).reshape(5, -1))
    rows = torch.arange(6.0).reshape(2, 3)
    assert torch.equal(get_features("pixels", pictures((3,), "vector"), device=CPU).of(iter([rows])), rows)


def test_large_pictures_are_averaged_down() -> None:
    features = get_features("pixels", pictures((1, 128, 96)), device=CPU)
    assert features.name == "pixels-64x48" and "64x48" in features.note
    picture = batch(1, (1, 128, 96))
    expected = picture.reshape(64, 2, 48, 2).mean(dim=(1, 3)).flatten()
    torch.testing.assert_close(features.of(iter([picture]))[0], expected)


@pytest.mark.parametrize("name", ["pixels", "random-conv"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 7), (4, 1, 9), (1, 28, 28)])
def test_the_sizes_of_batches_do_not_matter(name: str, shape: tuple[int, ...]) -> None:
    features = get_features(name, pictures(shape, "field"), device=CPU)
    samples = batch(23, shape)
    whole, pieces = features.of(iter([samples])), features.of(iter(samples.split(4)))
    torch.testing.assert_close(whole, pieces, rtol=1e-5, atol=1e-5)
    assert whole.dtype == torch.float32 and whole.dim() == 2


def test_random_convolutions_are_always_the_same_and_tell_pictures_apart() -> None:
    outside = torch.get_rng_state()
    first, second = (get_features("random-conv", pictures(), device=CPU).of(iter([batch(4)])) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(outside, torch.get_rng_state())
    assert first.shape == (4, 4 * (32 + 64 + 128))
    assert torch.cdist(first, first).fill_diagonal_(torch.inf).min() > 0
    # Pinned: numbers published with these features stay comparable.
    ones = get_features("random-conv", pictures(), device=CPU).of(iter([torch.ones(1, 3, 8, 6)]))
    assert ones[0].double().mean().item() == pytest.approx(ONES_MEAN, rel=1e-4)


ONES_MEAN = 0.32065387


@pytest.mark.parametrize("name", ["means.pt", "means.pt2"])
def test_a_module_of_the_user_s_is_called_on_model_space(tmp_path: Path, name: str) -> None:
    features = get_features(str(saved(tmp_path / name, Means())), pictures(), device=CPU)
    torch.testing.assert_close(features.of(iter(batch(11).split(3))), batch(11).mean(dim=(2, 3)))
    assert features.name == name and features.identity and features.identity in features.note


def test_what_is_wrong_with_a_module_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no .*gone.pt. Give a TorchScript"):
        get_features(str(tmp_path / "gone.pt"), pictures(), device=CPU)
    (tmp_path / "damaged.pt").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match=r"damaged.pt cannot be loaded as a module: .* Save it with torch.jit.save"):
        get_features(str(tmp_path / "damaged.pt"), pictures(), device=CPU)
    linear = get_features(str(saved(tmp_path / "m.pt", nn.Linear(6, 2))), pictures((5,), "vector"), device=CPU)
    with pytest.raises(UserError, match=r"m.pt does not take these samples: \(4, 5\) float32: .* Export it"):
        linear.of(iter([batch(4, (5,))]))


def test_what_is_no_vector_per_sample_is_refused() -> None:
    with pytest.raises(UserError, match=r"features x are not one vector per sample: \(3,\) for 3 samples"):
        Features("x", "", lambda samples: samples.sum(dim=(1, 2, 3))).of(iter([batch(3)]))
    with pytest.raises(UserError, match=r"not one vector per sample: tuple for 3 samples"):
        Features("x", "", lambda samples: (samples,)).of(iter([batch(3)]))  # type: ignore[arg-type,return-value]
    with pytest.raises(UserError, match="features x hold values that are not finite"):
        Features("x", "", lambda samples: samples.flatten(1).log()).of(iter([batch(3)]))


@pytest.mark.parametrize(
    ("name", "samples", "message"),
    [
        ("pixel", pictures(), r"Unknown features: 'pixel'. Did you mean 'pixels'\? Known: pixels, random-conv"),
        ("pixels:7", pictures(), "Unknown features: 'pixels:7'"),
        ("random-conv", pictures((4,), "vector"), "Random convolutions describe pictures and fields. Use features="),
        ("inception", pictures((4,), "vector"), r"sees pictures in grey or RGB: vector samples of shape \(4,\)"),
        ("inception", pictures((2, 8, 8)), r"sees pictures in grey or RGB: image samples of shape \(2, 8, 8\)"),
    ],
)
def test_unsuitable_features_are_refused(name: str, samples: Samples, message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_features(name, samples, device=CPU)


def repeated(name: str, shape: torch.Size) -> float:
    """Each convolution a mean, slightly off, so that values neither grow nor vanish over the layers."""
    if len(shape) > 1:
        return (1 + 0.1 * (len(name) % 3)) / shape[1:].numel()
    return 2.0 if name.endswith("bn.bias") else 1.0


@pytest.fixture(scope="module")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the right names and shapes in a file of kilobytes: every tensor repeats one number."""
    if importlib.util.find_spec("torch_fidelity") is None:
        pytest.skip("torch-fidelity is not installed")
    network = inception._extractor_class()
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_state_dict", lambda self, state: None)
        patch.setattr(torch, "load", lambda *args, **options: {})
        state = network("names", ["2048"], feature_extractor_weights_path="none").state_dict()
    small = {
        name: torch.tensor(repeated(name, value.shape)).to(value.dtype).expand(value.shape)
        for name, value in state.items()
    }
    torch.save(small, path)
    assert path.stat().st_size < 2**20
    return path


@pytest.mark.slow
def test_inception_features_are_those_of_the_package_on_bytes(inception_weights: Path) -> None:
    features = get_features(f"inception:{inception_weights}", pictures((1, 9, 9)), device=CPU)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 1, 9, 9), dtype=np.uint8))
    found = features.of(iter([levels.float() / 127.5 - 1]))
    theirs = inception._extractor_class()("theirs", ["2048"], feature_extractor_weights_path=str(inception_weights))
    torch.testing.assert_close(found, theirs(levels.repeat(1, 3, 1, 1))[0])
    assert found.shape == (3, 2048) and features.name == "inception" and len(features.identity) == 16
    assert found.std(dim=0).max() > 0


def test_bytes_come_back_as_they_were() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(inception.as_bytes(pixel_codec("NCHW").encode(levels)), levels.expand(-1, 3, -1, -1))


def test_what_is_wrong_with_inception_weights_is_said(inception_weights: Path, tmp_path: Path) -> None:
    def name(path: Path) -> str:
        return f"inception:{path}"

    with pytest.raises(UserError, match="There is no .*gone.pth"):
        get_features(name(tmp_path / "gone.pth"), pictures(), device=CPU)
    torch.save(Means(), tmp_path / "code.pth")
    with pytest.raises(UserError, match="code.pth is no file of weights alone"):
        get_features(name(tmp_path / "code.pth"), pictures(), device=CPU)
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(UserError, match="tensor.pth is no state dict: Tensor"):
        get_features(name(tmp_path / "tensor.pth"), pictures(), device=CPU)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="other.pth does not hold the weights of this network: Error"):
        get_features(name(tmp_path / "other.pth"), pictures(), device=CPU)


def test_weights_that_cannot_be_fetched_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **options: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(inception, "_extractor_class", lambda: refused)
    with pytest.raises(
        WorkError, match=r"could not be fetched: no route to host. Get them .* features=.inception:WEIGHTS.pth"
    ):
        get_features("inception", pictures(), device=CPU)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "torch_fidelity", raising=False)
    with pytest.raises(
        UserError, match=r"torch-fidelity, which is not installed. Pip install 'wassergan\[inception\]'"
    ):
        get_features("inception", pictures(), device=CPU)
