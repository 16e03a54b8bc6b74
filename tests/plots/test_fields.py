import numpy as np

from wassergan.plots import Maps, fields_figure, moments_figure


def fields(count: int, *, mean: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 3, (count, 4, 6))


def images(figure) -> list:
    return [axes.images[0] for axes in figure.axes if axes.images]


# Grids normalised by their own min and max.
def test_all_maps_share_one_scale() -> None:
    real, generated = fields(3, mean=280, seed=0), fields(3, mean=300, seed=1)
    figure = fields_figure([Maps("t2m", {"held out": real, "generated": generated}, 270, 310)])
    shown = images(figure)
    assert len(shown) == 6 and {image.get_clim() for image in shown} == {(270, 310)}
    for image, field in zip(shown, [*real, *generated], strict=True):
        assert (image.get_array() == field).all()
    assert [axes.get_ylabel() for axes in figure.axes[:6:3]] == ["held out", "generated"]
    assert figure.axes[-1].get_ylabel() == "t2m"


def test_moments_are_those_at_each_point_with_one_scale_per_moment() -> None:
    distributions = {"held out": fields(50, mean=280, seed=0), "generated": 2 * fields(80, mean=140, seed=1)}
    shown = images(moments_figure([Maps("", distributions, 270, 310)]))
    for image, (weights_along, moment) in zip(
        shown, [(weights_along, m) for weights_along in distributions.values() for m in (np.mean, np.std)], strict=True
    ):
        np.testing.assert_allclose(image.get_array(), np.apply_along_axis(moment, 0, weights_along))
    assert shown[0].get_clim() == shown[2].get_clim() and shown[1].get_clim() == shown[3].get_clim()
    assert shown[1].get_clim()[1] == max(weights_along.std(axis=0).max() for weights_along in distributions.values())


def test_each_channel_has_its_rows_its_name_and_its_scale() -> None:
    distributions = [
        {"real": fields(2, mean=mean, seed=0), "generated": fields(2, mean=mean, seed=1)} for mean in (280, 0)
    ]
    channels = [Maps("t2m", distributions[0], 270, 290), Maps("$q$", distributions[1], -9, 9)]
    figure = fields_figure(channels)
    shown = images(figure)
    assert [image.get_clim() for image in shown] == [(270, 290)] * 4 + [(-9, 9)] * 4
    assert [axes.get_ylabel() for axes in figure.axes[-2:]] == ["t2m", r"\$q\$"]
    moments = images(moments_figure(channels))
    assert moments[0].get_clim() == moments[2].get_clim() != moments[4].get_clim() == moments[6].get_clim()
    assert moments[0].get_clim()[0] > 250 and moments[4].get_clim()[1] < 20


def test_missing_points_are_left_out_of_the_moments_and_drawn_grey() -> None:
    values = fields(5, mean=280, seed=0)
    values[:, 0, 0], values[1:, 1, 1] = np.nan, np.nan
    mean = images(moments_figure([Maps("", {"real": values}, 270, 290)]))[0]
    assert mean.get_array().mask.tolist()[0] == [True, *[False] * 5]
    assert mean.get_array()[1, 1] == values[0, 1, 1]
    assert mean.cmap(np.ma.masked)[:3] == (0.75, 0.75, 0.75)
