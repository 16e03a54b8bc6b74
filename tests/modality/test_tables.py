"""What is looked at of tables of mixed columns."""

from pathlib import Path

import numpy as np

from wassergan.data import open_source
from wassergan.modality import modality_of


def test_samples_to_look_at_are_the_held_out_rows_with_their_conditions(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [f"{row**1.5:.3f},{'ab'[row % 2]},{'xyz'[row % 3]}" for row in range(60)]
    path.write_text("\n".join(["number,letter,given", *rows]))
    source = open_source(str(path), condition=("given",))
    samples = modality_of(source.kind).heldout_samples(source, 100)
    assert samples.shape == (len(source.split.heldout), 3)
    heldout = np.sort(source.split.heldout.numpy())
    np.testing.assert_allclose(np.sort(samples[:, 0]), heldout**1.5, atol=2e-3)
    for row in samples:
        number = round(row[0] ** (2 / 3))
        assert (row[1], row[2]) == (number % 2, number % 3)  # levels are in the order of their texts
