import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from wassergan.data.codec import Codec, pixel_codec
from wassergan.data.readers.arrays import array_source
from wassergan.errors import UserError, WorkError
from wassergan.modality import modality_of
from wassergan.modality.pictures import Pictures
from wassergan.modality.writing import write_samples
from wassergan.networks import MLPGenerator
from wassergan.networks.conv import ConvGenerator
from wassergan.networks.resnet import ResNetGenerator
from wassergan.sampling.sampler import Sampler
from wassergan.training import DistributedContext
from wassergan.utils.rng import derived_rng


class Reshape(nn.Module):
    """tanh of a fixed linear map of the latents, shaped like the samples."""

    def __init__(self, latent_dim: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(latent_dim, int(np.prod(shape)), generator=rng))
        self.shape = shape

    def forward(self, latent: Tensor) -> Tensor:
        return torch.tanh(latent @ self.weight).unflatten(1, self.shape)


def sampler_of(shape: tuple[int, ...], codec: Codec, kind: str) -> Sampler:
    return Sampler(Reshape(3, shape).eval(), 3, codec, kind)


def picture_sampler(layout: str = "NHW", shape: tuple[int, ...] = (1, 6, 5)) -> Sampler:
    return sampler_of(shape, pixel_codec(layout), "image")


def field_codec() -> Codec:
    kelvin = 280 + 10 * np.random.default_rng(0).normal(size=(50, 6, 5)).astype("f4")
    return array_source(kelvin).codec  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("layout", "shape", "user"),
    [("NHW", (1, 6, 5), (6, 5)), ("NHWC", (3, 6, 5), (6, 5, 3)), ("NCHW", (3, 6, 5), (3, 6, 5))],
)
def test_arrays_are_in_the_user_s_units_type_and_layout(
    tmp_path: Path, layout: str, shape: tuple[int, ...], user: tuple[int, ...]
) -> None:
    sampler = picture_sampler(layout, shape)
    write_samples(sampler, tmp_path / "s.npy", count=7, seed=0)
    samples = np.load(tmp_path / "s.npy")
    assert samples.shape == (7, *user) and samples.dtype == np.uint8
    with torch.no_grad():
        latent = torch.randn(1024, 3, generator=derived_rng(0, "sampling"))[:7]
        levels = ((sampler.generator(latent).double() + 1) * 127.5).round()
    expected = {"NHW": levels[:, 0], "NHWC": levels.permute(0, 2, 3, 1), "NCHW": levels}[layout]
    assert np.abs(samples - expected.numpy()).max() <= 1


def test_samples_of_an_array_file_are_those_that_are_drawn(tmp_path: Path) -> None:
    sampler = picture_sampler("NHWC", (3, 6, 5))
    write_samples(sampler, tmp_path / "s.npy", count=2100, seed=4)
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), sampler.draw(2100, seed=4))


def test_fields_come_back_in_kelvin_within_the_observed_range_and_a_tenth(tmp_path: Path) -> None:
    codec = field_codec()
    write_samples(sampler_of((1, 6, 5), codec, "field"), tmp_path / "s.npy", count=2000, seed=0)
    samples = np.load(tmp_path / "s.npy")
    assert samples.dtype == np.float32 and 200 < samples.mean() < 350 and samples.std() > 1


# A smaller count gives the first samples of a larger one, whatever the split into batches.
@pytest.mark.parametrize("count", [1, 5, 1023, 1024, 1025, 2500])
def test_a_smaller_count_gives_the_first_samples_of_a_larger(count: int) -> None:
    sampler = sampler_of((4,), array_source(np.random.default_rng(0).normal(size=(30, 4))).codec, "vector")  # type: ignore[arg-type]
    np.testing.assert_allclose(sampler.draw(count, seed=3), sampler.draw(2600, seed=3)[:count], rtol=1e-5, atol=1e-5)
    assert not np.allclose(sampler.draw(count, seed=3), sampler.draw(count, seed=4))


@pytest.mark.parametrize("count", [1, 2, 9, 12, 33, 1025, 1036])
@pytest.mark.parametrize("kind", ["conv", "mlp", "resnet"])
def test_fewer_samples_are_the_first_of_more_to_the_last_bit(kind: str, count: int) -> None:
    """Products of one row, convolutions of two pictures, and some of a dozen, sum in another order than of many."""
    shape, nothing = (3, 12, 17), nn.Identity()
    codec = array_source(np.random.default_rng(0).normal(size=(30, *shape)), layout="NCHW").codec
    torch.manual_seed(0)
    made: dict[str, Callable[[], nn.Module]] = {
        "conv": lambda: ConvGenerator(64, shape, head=nothing, maps=4),
        "mlp": lambda: MLPGenerator(64, shape, head=nothing, widths=(32, 32)),
        "resnet": lambda: ResNetGenerator(3, shape, head=nothing, maps=2),
    }
    sampler = Sampler(made[kind]().eval(), 3 if kind == "resnet" else 64, codec, "field")
    np.testing.assert_array_equal(sampler.draw(count, seed=3), sampler.draw(1100, seed=3)[:count])


def test_drawing_leaves_the_global_random_state_alone() -> None:
    outside = torch.get_rng_state()
    picture_sampler().draw(5)
    assert torch.equal(outside, torch.get_rng_state())


def test_samples_are_distinct_over_the_borders_of_chunks() -> None:
    samples = sampler_of((4,), array_source(np.random.default_rng(0).normal(size=(30, 4))).codec, "vector").draw(3000)  # type: ignore[arg-type]
    assert len(np.unique(samples, axis=0)) == 3000


# `--count` of millions streams in constant memory.
def test_each_chunk_is_written_before_the_next_is_drawn(tmp_path: Path) -> None:
    sampler = picture_sampler(shape=(1, 16, 16))
    drawn: list[int] = []
    sampler.generator.register_forward_hook(lambda module, given, out: drawn.append(len(out)))
    done: list[tuple[int, int]] = []
    write_samples(
        sampler, tmp_path / "s.npy", count=20_000, seed=0, progress=lambda count: done.append((count, len(drawn)))
    )
    assert done == [(min(1024 * n, 20_000), n) for n in range(1, 21)]
    samples = np.load(tmp_path / "s.npy", mmap_mode="r")
    assert samples.shape == (20_000, 16, 16) and samples[-1].std() > 0


def test_numpy_s_memory_does_not_grow_with_the_count(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        write_samples(picture_sampler(shape=(1, 16, 16)), tmp_path / "s.npy", count=80_000, seed=0)  # 20 MB
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


def test_samples_stream_chunk_by_chunk() -> None:
    calls: list[int] = []
    sampler = picture_sampler()
    sampler.generator.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    chunks = sampler.chunks(10**9, seed=0)
    next(chunks)
    assert calls == [1024]


def test_too_little_room_is_told_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "wassergan.sampling.writers.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})()
    )
    with pytest.raises(
        WorkError, match="No room for the samples in .*: 3,000 bytes needed, 1,000 free. Free some space"
    ):
        write_samples(picture_sampler(), tmp_path / "s.npy", count=100, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_an_error_half_way_leaves_the_former_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "s.npy"
    write_samples(picture_sampler(), path, count=5, seed=0)
    before = path.read_bytes()

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(picture_sampler(), path, count=3000, seed=1, progress=stop)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


# Grids have a fixed range.
def test_a_grid_shows_user_values_with_a_fixed_range(tmp_path: Path) -> None:
    levels = np.zeros((2, 60, 60), np.uint8)
    levels[0], levels[1] = 100, 140
    modality_of("image").save_picture(levels, tmp_path / "a.png", pixel_codec("NHW"))
    modality_of("image").save_picture(levels[:1], tmp_path / "b.png", pixel_codec("NHW"))
    both, one = (np.asarray(Image.open(tmp_path / name)) for name in ("a.png", "b.png"))
    assert both[10, 10].tolist() == one[10, 10].tolist() == [100] * 3
    assert both[10, 80].tolist() == [140] * 3


def test_a_grid_of_channels_first_pictures_is_turned(tmp_path: Path) -> None:
    levels = np.zeros((1, 3, 60, 60), np.uint8)
    levels[:, 0] = 255
    modality_of("image").save_picture(levels, tmp_path / "a.png", pixel_codec("NCHW"))
    assert np.asarray(Image.open(tmp_path / "a.png"))[10, 10].tolist() == [255, 0, 0]


@pytest.mark.usefixtures("real_figures")
def test_fields_and_vectors_become_pictures_too(tmp_path: Path) -> None:
    codec = field_codec()
    write_samples(sampler_of((1, 6, 5), codec, "field"), tmp_path / "f.png", count=4, seed=0)
    vectors = sampler_of((2,), array_source(np.random.default_rng(0).normal(size=(30, 2))).codec, "vector")  # type: ignore[arg-type]
    write_samples(vectors, tmp_path / "v.png", count=50, seed=0)
    for name in ("f.png", "v.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 50


@pytest.mark.parametrize(("layout", "shape"), [("NHW", (1, 6, 5)), ("NHWC", (3, 6, 5)), ("NHWC", (4, 6, 5))])
def test_a_folder_holds_one_picture_per_sample_in_its_own_size(
    tmp_path: Path, layout: str, shape: tuple[int, ...]
) -> None:
    sampler = picture_sampler(layout, shape)
    done: list[int] = []
    write_samples(sampler, tmp_path / "many", count=11, seed=2, progress=done.append)
    files = sorted((tmp_path / "many").iterdir())
    assert [path.name for path in files] == [f"{index:02}.png" for index in range(11)] and done == [11]
    for path, sample in zip(files, sampler.draw(11, seed=2), strict=True):
        assert (np.asarray(Image.open(path)) == sample).all()


def test_a_folder_that_was_not_filled_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single, asked = Pictures.save_single, iter([False, False])

    def stopped(*arguments: Any) -> None:
        if next(asked, True):
            raise KeyboardInterrupt
        single(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Pictures, "save_single", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_samples(picture_sampler(), tmp_path / "some", count=4, seed=0)
    names = sorted(path.name for path in (tmp_path / "some").iterdir())
    assert names == ["0.png", "1.png", "unfinished.txt"]
    with pytest.raises(UserError, match=r"holds some samples of a call that was stopped.*unfinished\.txt"):
        write_samples(picture_sampler(), tmp_path / "some", count=4, seed=0)
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / ".wassergan-999999999-0123456789abcdef.tmp.txt").touch()  # stopped before the note was there
    write_samples(picture_sampler(), tmp_path / "all", count=4, seed=0)
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [f"{index}.png" for index in range(4)]


def test_fields_in_a_folder_are_pictures_in_false_colours(tmp_path: Path) -> None:
    write_samples(sampler_of((1, 6, 5), field_codec(), "field"), tmp_path / "many", count=2, seed=0)
    assert len(list((tmp_path / "many").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("s.txt", 3, r"written as .npy, .nc, .h5 or .mat, .png or a folder: 's.txt'"),
        ("s.png", 20_000, r"Too many samples for one picture: 20000\. Ask for at most 10000, or for .npy"),
        ("full", 3, r"The folder .*full is not empty\. Name a new one"),
        ("file", 3, r"file is a file\. Name a new folder"),
    ],
)
def test_wrong_targets_are_refused(tmp_path: Path, name: str, count: int, message: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    (tmp_path / "file").write_text("keep")
    with pytest.raises(UserError, match=message):
        write_samples(picture_sampler(), tmp_path / name, count=count, seed=0)
    assert (tmp_path / "file").read_text() == "keep"


def test_vectors_are_no_folder_of_pictures(tmp_path: Path, make_source: Callable[..., object]) -> None:
    vectors = sampler_of((2,), array_source(np.random.default_rng(0).normal(size=(30, 2))).codec, "vector")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"Vectors are no pictures\. Name a file that ends in .npy or .png"):
        write_samples(vectors, tmp_path / "many", count=3, seed=0)


@pytest.mark.parametrize(("name", "count"), [("s.npy", 3500), ("s.npy", 7), ("s.png", 20), ("many", 1030)])
def test_several_processes_write_what_one_writes(
    tmp_path: Path, spawn: Callable[..., list[Any]], name: str, count: int
) -> None:
    for processes in ("one", "three"):
        (tmp_path / processes).mkdir()

    def write(processes: DistributedContext) -> list[int]:
        done: list[int] = []
        write_samples(
            picture_sampler(), tmp_path / "three" / name, count=count, seed=5, progress=done.append, processes=processes
        )
        return done

    write_samples(picture_sampler(), tmp_path / "one" / name, count=count, seed=5)
    done = spawn(write, count=3)
    if count == 3500:
        assert done == [[1024, 3500], [2048], [3072]]
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*"))
    assert files == sorted(path.relative_to(tmp_path / "three") for path in (tmp_path / "three").rglob("*"))
    for file in files:
        if (tmp_path / "one" / file).is_file():
            assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "three" / file).read_bytes()


def test_of_several_processes_one_alone_refuses_and_nothing_is_left(
    tmp_path: Path, spawn: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "wassergan.sampling.writers.shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})()
    )
    for name, message in (("s.txt", "written as .npy"), ("s.npy", "No room for the samples")):
        told = spawn(
            lambda processes, name=name: write_samples(
                picture_sampler(), tmp_path / name, count=3000, seed=0, processes=processes
            )
        )
        assert message in told[0][1] and told[1][0] == "ElsewhereError"
    assert list(tmp_path.iterdir()) == []
