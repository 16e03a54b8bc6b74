import numpy as np

from wassergan.plots import fields_figure, moments_figure


def fields(count: int, *, mean: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 3, (count, 4, 6))


def images(figure) -> list:  # type: ignore[no-untyped-def, type-arg]
    return [axes.images[0] for axes in figure.axes if axes.images]


# Grids normalised by their own min and max.
def test_all_maps_share_one_scale() -> None:
    real, generated = fields(3, mean=280, seed=0), fields(3, mean=300, seed=1)
    figure = fields_figure({"held out": real, "generated": generated}, low=270, high=310, title="t2m")
    shown = images(figure)
    assert len(shown) == 6 and {image.get_clim() for image in shown} == {(270, 310)}
    for image, field in zip(shown, [*real, *generated], strict=True):
        assert (image.get_array() == field).all()
    assert [axes.get_ylabel() for axes in figure.axes[:6:3]] == ["held out", "generated"]
    assert figure.axes[-1].get_ylabel() == "t2m"


def test_moments_are_those_at_each_point_with_one_scale_per_moment() -> None:
    laws = {"held out": fields(50, mean=280, seed=0), "generated": 2 * fields(80, mean=140, seed=1)}
    shown = images(moments_figure(laws))
    for image, (law, moment) in zip(shown, [(law, m) for law in laws.values() for m in (np.mean, np.std)], strict=True):
        np.testing.assert_allclose(image.get_array(), np.apply_along_axis(moment, 0, law))
    assert shown[0].get_clim() == shown[2].get_clim() and shown[1].get_clim() == shown[3].get_clim()
    assert shown[1].get_clim()[1] == max(law.std(axis=0).max() for law in laws.values())
