"""Saved estimators and runs of earlier versions, opened today.

Each layout is told by what it lacks of today's; the lists were taken from files that those versions wrote.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wassergan import WassersteinGAN
from wassergan.errors import UserError
from wassergan.session.restore import open_sampler
from wassergan.storage.checkpoint import load_checkpoint

CHECKSUMS = ("labels_checksum", "names_checksum", "rows_checksum")
NOVEMBER_27 = tuple(f"fingerprint/{name}" for name in CHECKSUMS)
NOVEMBER_26 = (
    *NOVEMBER_27,
    *(
        "codec/base",
        "codec/channels",
        "codec/grid",
        "codec/parts",
        "estimator/container/columns",
        "estimator/container/title",
        "notes",
    ),
    *(f"settings/{name}" for name in ("channels", "cuda_graphs", "missing", "on_divergence", "rollbacks", "sheet")),
    "settings/sample_dim",
    "trainer/lr_scale",
)
FIRST = (
    *NOVEMBER_26,
    *("conditions", "estimator/labelled", "estimator/parameters/condition", "fingerprint/conditions_checksum"),
    *("settings/condition", "settings/labels", "settings/pack"),
)


def tiny(**parameters: Any) -> WassersteinGAN:
    sizes: dict[str, Any] = {"generator_widths": (8,), "critic_widths": (8,), "latent_dim": 2, "batch_size": 8}
    return WassersteinGAN(**sizes, random_state=0, **parameters)


def points() -> Any:
    return np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)


def as_written_by(path: Path, lacking: tuple[str, ...]) -> None:
    """Take out of a file what an earlier version did not write; each entry must be there today."""
    content = load_checkpoint(path)
    for entry in lacking:
        *above, name = entry.split("/")
        entries = content
        for each in above:
            entries = entries[each]
        if above or name in content:
            del entries[name]
    torch.save(content, path)


@pytest.mark.parametrize("lacking", [(), NOVEMBER_27, NOVEMBER_26], ids=["today", "27 November", "26 November"])
def test_an_estimator_of_an_earlier_version_draws_and_goes_on(tmp_path: Path, lacking: tuple[str, ...]) -> None:
    gan = tiny(steps=5).fit(points())
    gan.save(tmp_path / "gan.pt")
    as_written_by(tmp_path / "gan.pt", lacking)
    other = WassersteinGAN.load(tmp_path / "gan.pt")
    np.testing.assert_array_equal(other.sample(40, seed=1), gan.sample(40, seed=1))
    assert other.score(points()) == gan.score(points())
    for each in (gan, other):
        each.set_params(steps=8).fit(points(), resume=True)
    np.testing.assert_array_equal(other.sample(40, seed=1), gan.sample(40, seed=1))


def test_an_estimator_of_a_layout_that_is_no_longer_read_says_what_to_do(tmp_path: Path) -> None:
    tiny(steps=5).fit(points()).save(tmp_path / "gan.pt")
    as_written_by(tmp_path / "gan.pt", FIRST)
    with pytest.raises(UserError) as caught:
        WassersteinGAN.load(tmp_path / "gan.pt")
    assert str(caught.value) == (
        f"The estimator in {tmp_path / 'gan.pt'} was saved by another version of wassergan: it has no labelled, "
        "conditions. Fit and save it again, or open it with the version that saved it."
    )


def test_an_estimator_of_a_later_version_says_what_to_do(tmp_path: Path) -> None:
    tiny(steps=5).fit(points()).save(tmp_path / "gan.pt")
    torch.save({**load_checkpoint(tmp_path / "gan.pt"), "version": 99}, tmp_path / "gan.pt")
    with pytest.raises(UserError, match=r"comes from a newer wassergan: format 99\. Update"):
        WassersteinGAN.load(tmp_path / "gan.pt")


def test_a_run_of_an_earlier_version_samples_and_resumes(
    cli: Any, points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    flags = ("--steps", "5", "--no-previews", *tiny)
    for name in ("today", "former"):
        assert cli("train", points_file, "--out", tmp_path / name, *flags).code == 0
    former = tmp_path / "former" / "checkpoints"
    for path in {path.stat().st_ino: path for path in former.glob("*.pt")}.values():  # several names of one file
        as_written_by(path, NOVEMBER_27)
    assert len(open_sampler(tmp_path / "former", device="cpu").draw(3)) == 3
    for name in ("today", "former"):
        done = cli("resume", tmp_path / name, "--steps", "8")
        assert done.code == 0, done.err
    one, other = (load_checkpoint(tmp_path / name / "checkpoints" / "latest.pt") for name in ("today", "former"))
    for part in ("generator", "critic", "average", "generator_optimizer", "batches"):
        torch.testing.assert_close(one["trainer"][part], other["trainer"][part], rtol=0, atol=0)


FORMER_NAMES = {"generator_lr": "generator_rate", "critic_lr": "critic_rate"}
FORMER = (
    "These settings are those of an earlier version of wassergan: critic_rate is critic_lr now, generator_rate is "
    "generator_lr now. Train anew, or go on with the version that wrote them."
)


def test_an_estimator_and_a_run_with_settings_of_former_names_say_what_to_do(
    cli: Any, points_file: Path, tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    WassersteinGAN(generator_widths=(8,), critic_widths=(8,), steps=2).fit(points()).save(tmp_path / "gan.pt")
    content = load_checkpoint(tmp_path / "gan.pt")
    for held in (content["settings"], content["estimator"]["parameters"]):
        for now, before in FORMER_NAMES.items():
            held[before] = held.pop(now)
    torch.save(content, tmp_path / "gan.pt")
    with pytest.raises(UserError) as caught:
        WassersteinGAN.load(tmp_path / "gan.pt")
    assert str(caught.value) == FORMER
    assert cli("train", points_file, "--out", tmp_path / "run", "--steps", "2", "--no-previews", *tiny).code == 0
    path = tmp_path / "run" / "settings.json"
    text = path.read_text()
    for now, before in FORMER_NAMES.items():
        text = text.replace(f'"{now}"', f'"{before}"')
    path.write_text(text)
    latest = tmp_path / "run" / "checkpoints" / "latest.pt"
    content = load_checkpoint(latest)
    for now, before in FORMER_NAMES.items():
        content["settings"][before] = content["settings"].pop(now)
    torch.save(content, latest)
    for verb in (("sample", "--out", tmp_path / "s.npy"), ("resume", "--steps", "5"), ("info",)):
        done = cli(verb[0], tmp_path / "run", *verb[1:])
        assert done.code == 2 and done.err == f"wassergan: {FORMER}\n", verb
