from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wassergan.plots import headed, picture_grid, save_animation


def test_each_column_has_its_label_above_it() -> None:
    grid = picture_grid(np.zeros((6, 60, 60)), low=0, high=1, columns=3, colours=False)
    sheet = headed(grid, ["1", "2", "3"])
    pixels = np.asarray(sheet)
    assert (pixels[-grid.height :] == np.asarray(grid)).all()
    header = pixels[: -grid.height, :, 0] < 128
    dark = np.flatnonzero(header.any(axis=0))
    # The middles of the three columns of 60 pixels with gaps of 2.
    for middle in (32, 94, 156):
        assert (abs(dark - middle) < 6).any()
    assert all(min(abs(x - middle) for middle in (32, 94, 156)) < 6 for x in dark)


@pytest.mark.parametrize("suffix", ["webp", "gif"])
def test_an_animation_holds_its_frames_for_ever(tmp_path: Path, suffix: str) -> None:
    levels = [0, 80, 160]
    frames = [Image.new("RGB", (12, 10), (level, level, level)) for level in levels]
    save_animation(frames, tmp_path / f"a.{suffix}", milliseconds=70)
    with Image.open(tmp_path / f"a.{suffix}") as animation:
        assert animation.n_frames == 3 and animation.info["loop"] == 0  # type: ignore[attr-defined]
        for index, level in enumerate(levels):
            animation.seek(index)
            animation.load()
            assert animation.info["duration"] == 70
            assert np.asarray(animation.convert("RGB"))[5, 5].tolist() == [level] * 3
    assert len(list(tmp_path.iterdir())) == 1
