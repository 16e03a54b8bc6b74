import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from wassergan.cli.main import main
from wassergan.config.settings import TrainSettings
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError, WorkError
from wassergan.lipschitz.spectral import SpectralNorm
from wassergan.runs.export import FORMATS, export_run, open_export
from wassergan.runs.export.description import describe
from wassergan.runs.export.formats import folded
from wassergan.sampling.sampler import Sampler
from wassergan.session.restore import open_sampler
from wassergan.session.state import CheckpointState

for package in ("onnx", "onnxscript", "onnxruntime", "safetensors"):
    pytest.importorskip(package)

pytestmark = pytest.mark.usefixtures("quick_figures")

# Network and data for each, and the flags that make it small.
NETWORKS = {
    "mlp": ["--generator-widths", "8", "--critic-widths", "8"],
    "conv": ["--preset", "wgan-gp", "--network", "conv", "--maps", "4"],
    "resnet": ["--preset", "wgan-gp", "--network", "resnet", "--maps", "4"],
}
SMALL = ["--latent-dim", "5", "--batch-size", "8", "--critic-steps", "1", "--steps", "3", "--no-tensorboard"]


def train(folder: Path, data: np.ndarray, *flags: str) -> Path:
    np.save(folder / "data.npy", data)
    assert main(["train", str(folder / "data.npy"), "--out", str(folder / "run"), *SMALL, *flags]) == 0
    return folder / "run"


@pytest.fixture(scope="module", params=NETWORKS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = np.random.default_rng(0).integers(0, 256, (40, 9, 12, 3), dtype=np.uint8)
    return train(tmp_path_factory.mktemp(request.param), pictures, *NETWORKS[request.param])


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The run's file in a format, exported once."""
    folder = tmp_path_factory.mktemp("exported")

    def file(name: str) -> Path:
        path = folder / f"g.{name}"
        assert path.exists() or export_run(run, path) == 3
        return path

    return file


def latents(count: int) -> Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(count))


def run_onnx(path: Path, latent: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(["samples"], {"latent": latent.numpy()})[0])


def run_pt2(path: Path, latent: Tensor) -> Tensor:
    samples: Tensor = torch.export.load(path).module()(latent)
    return samples


RUNNERS = {"onnx": run_onnx, "pt2": run_pt2}


@pytest.mark.parametrize("name", RUNNERS)
def test_the_file_computes_what_the_averaged_generator_does_for_any_count(
    run: Path, exported: Callable[[str], Path], name: str
) -> None:
    generator = open_sampler(run, device="cpu").generator
    for count in (1, 2, 7):
        with torch.no_grad():
            expected = generator(latents(count))
        found = RUNNERS[name](exported(name), latents(count))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6)


def test_batch_normalisations_are_scales_and_shifts_in_a_graph(exported: Callable[[str], Path]) -> None:
    import onnx

    assert all("Norm" not in node.op_type for node in onnx.load(exported("onnx")).graph.node)


def test_weights_come_back_as_the_run_s_own_sampler(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "g.safetensors")
    sampler = open_export(tmp_path / "g.safetensors")
    assert not sampler.generator.training
    assert (sampler.draw(9, seed=4) == open_sampler(run, device="cpu").draw(9, seed=4)).all()


def description_in(path: Path) -> dict[str, Any]:
    if path.suffix == ".onnx":
        import onnx

        (entry,) = onnx.load(path).metadata_props
        assert entry.key == "wassergan"
        text = entry.value
    elif path.suffix == ".pt2":
        extra = {"wassergan.json": ""}
        torch.export.load(path, extra_files=extra)
        text = extra["wassergan.json"]
    else:
        # The format: eight bytes of length, little-endian, then the header in JSON.
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = header["__metadata__"]["wassergan"]
    described: dict[str, Any] = json.loads(text)
    return described


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_description(finished_run: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"g.{name}"
    export_run(finished_run, path, checkpoint="0")
    found = description_in(path)
    assert found["latent"] == {"shape": ["count", 3], "dtype": "float32", "law": "independent standard normal"}
    assert found["sample"] == {"shape": ["count", 2], "dtype": "float32", "kind": "vector"}
    assert found["run"]["step"] == 0 and found["settings"]["latent_dim"] == 3 and found["version"] == 1
    decoder = found["decoder"]
    # The training rows are about N((5, -3), diag(2, 0.5)²).
    assert np.allclose(decoder["offset"], [5, -3], atol=0.6) and np.allclose(decoder["scale"], [2, 0.5], rtol=0.3)
    assert (decoder["layout"], decoder["dtype"], decoder["round"], decoder["clip"]) == ("ND", "float32", False, None)
    assert "MLPGenerator" in found["network"] and "cast to float32" in found["usage"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name]  # no data beside it, no temporary file
    assert path.stat().st_mode & 0o444 == 0o444


def snippets() -> list[str]:
    text = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]


DATA = {
    "grey": lambda rng: rng.integers(0, 256, (40, 6, 5), dtype=np.uint8),
    "colours": lambda rng: rng.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8),
    "fields": lambda rng: 280 + 10 * rng.normal(size=(40, 6, 5)).astype("f4"),
    "rows": lambda rng: rng.normal([1e6, 3], [10, 0.1], (40, 2)),
    "counts": lambda rng: rng.integers(-5, 90, (40, 3), dtype=np.int16),
    "numbers": lambda rng: rng.normal(size=40).astype("f2"),
}


# A stranger has the file and the guide alone.
@pytest.mark.parametrize("kind", ["colours", "rows", "counts"])
def test_the_guide_s_snippets_give_data_in_the_user_s_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    real = DATA[kind](np.random.default_rng(0))
    run = train(tmp_path, real)
    monkeypatch.chdir(tmp_path)
    for name in FORMATS:
        export_run(run, Path(f"generator.{name}"))
    decoder, onnx, pt2, ours, plain = snippets()
    names: dict[str, Any] = {}
    exec(decoder, names)
    sampler = open_sampler(run, device="cpu")
    for snippet in (onnx, pt2):
        exec(snippet, names)
        with torch.no_grad():
            expected = sampler.codec.decode_numpy(sampler.generator(torch.as_tensor(names["latent"])))
        data = names.pop("data")
        assert data.shape == (100, *real.shape[1:]) and data.dtype == real.dtype
        one = 1 if real.dtype.kind in "iu" else 0  # a rounded half may fall to either side
        np.testing.assert_allclose(data.astype("f8"), expected.astype("f8"), rtol=2e-3 if one == 0 else 0, atol=one)
        assert np.quantile(np.abs(data.astype("f8") - expected.astype("f8")), 0.95) <= 1e-3 * np.abs(real).max()
    exec(ours, names)
    assert (names["data"] == sampler.draw(100, seed=0)).all()
    exec(plain, names)
    state = sampler.generator.state_dict()
    assert names["weights"].keys() == state.keys()
    assert all((value == state[name].numpy()).all() for name, value in names["weights"].items())


@pytest.mark.parametrize("kind", DATA)
def test_the_guide_s_decoder_is_the_codec_for_every_value(kind: str) -> None:
    names: dict[str, Any] = {}
    exec(snippets()[0], names)
    source = array_source(DATA[kind](np.random.default_rng(0)))
    state = CheckpointState.of(TrainSettings(), source, {"step": 0}, fingerprint={})  # type: ignore[arg-type]
    description = describe(state, Sampler(nn.Identity(), 5, source.codec, source.kind))
    # Beyond the range on both sides: whole numbers are clipped, floats are not.
    wide = 5 * torch.randn(50, *source.shape, generator=torch.Generator().manual_seed(0))
    decoded = names["decode"](wide.numpy(), json.loads(json.dumps(description))["decoder"])
    assert (decoded == source.codec.decode_numpy(wide)).all() and decoded.dtype == source.codec.dtype


def test_parametrisations_are_folded_away() -> None:
    generator = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)).train()
    plain = copy.deepcopy(generator)
    parametrize.register_parametrization(generator[0], "weight", SpectralNorm(generator[0].weight))  # type: ignore[arg-type]
    nn.utils.parametrizations.weight_norm(generator[2])
    with torch.no_grad():
        plain[0].weight /= torch.linalg.matrix_norm(plain[0].weight, 2)  # what the parametrisation approximates
    result = folded(generator)
    assert result.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(result(latents(3)), plain(latents(3)).detach(), rtol=1e-3, atol=1e-4)
    assert not result.training and not any(parameter.requires_grad for parameter in result.parameters())
    assert generator.training and parametrize.is_parametrized(generator[0])  # the original stays


@pytest.mark.parametrize("name", FORMATS)
def test_an_error_half_way_leaves_the_former_file(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = tmp_path / f"g.{name}"
    path.write_text("keep")

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(WorkError, match="Could not write .*: No space left on device"):
        export_run(finished_run, path)
    assert path.read_text() == "keep" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "missing"), [("onnx", "onnx, onnxscript"), ("safetensors", "safetensors")])
def test_a_missing_package_is_named_with_what_to_install(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, missing: str
) -> None:
    monkeypatch.setattr("wassergan.runs.export.formats.find_spec", lambda name: None)
    message = rf"not installed: {missing}\. Pip install 'wassergan\[export\]'"
    with pytest.raises(UserError, match=message):
        export_run(finished_run, tmp_path / f"g.{name}")
    if name == "safetensors":
        with pytest.raises(UserError, match=message):
            open_export(tmp_path / "g.safetensors")
    export_run(finished_run, tmp_path / "g.pt2")  # PyTorch's own needs none


def test_files_that_are_not_ours_are_refused(finished_run: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(UserError, match="There is no file .*gone"):
        open_export(tmp_path / "gone.safetensors")
    (tmp_path / "a.safetensors").write_text("no such format")
    with pytest.raises(UserError, match="a.safetensors is damaged or no safetensors file: "):
        open_export(tmp_path / "a.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "b.safetensors")
    with pytest.raises(UserError, match="was not written by wassergan export. Export the run again"):
        open_export(tmp_path / "b.safetensors")
    metadata = {"wassergan": json.dumps({"version": 2, "wassergan": "9.9"})}
    save_file({"x": torch.zeros(2)}, tmp_path / "c.safetensors", metadata=metadata)
    with pytest.raises(UserError, match=r"was written by a newer release: 9\.9\. Upgrade"):
        open_export(tmp_path / "c.safetensors")


def test_the_command_names_what_it_wrote(cli: Callable[..., Any], finished_run: Path, tmp_path: Path) -> None:
    said = cli("export", finished_run, "--format", "safetensors")
    path = finished_run / "generator.safetensors"
    assert said.out == f"Wrote the generator of step 5 to {path}\n"
    size = path.stat().st_size
    path.unlink()
    out = tmp_path / "deep" / "g.safetensors"
    said = cli("export", finished_run, "--out", out, "--checkpoint", "0", "--json")
    assert json.loads(said.out)["step"] == 0 and json.loads(said.out)["format"] == "safetensors"
    assert json.loads(said.out)["bytes"] == out.stat().st_size and abs(out.stat().st_size - size) < 100


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Which format is not said. Give --format safetensors|onnx|pt2."),
        (["--format", "onxn"], "Unknown format: 'onxn'. Did you mean 'onnx'? Known: safetensors, onnx, pt2."),
        (["--out", "g.txt"], "Unknown format: 'txt'. Known: safetensors, onnx, pt2."),
        (["--format", "pt2", "--out", "g.onnx"], "A file of format pt2 ends in .pt2: 'g.onnx'. Rename it"),
        (["--format", "pt2", "--checkpoint", "77"], "There is no checkpoint '77'"),
    ],
)
def test_wrong_requests(
    refused: Callable[..., str],
    finished_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("export", finished_run, *flags).startswith(message)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_run(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("export", tmp_path, "--format", "pt2").startswith(f"There is no run in {tmp_path}")
