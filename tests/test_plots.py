"""Pictures: the palette speaks without colour, odd data do not crash, nothing is hidden, pyplot stays out."""

import matplotlib
import numpy as np
import pytest

from gtfdeer import plots

TIME = np.linspace(0, 30, 600)
SPIRAL = np.stack([np.cos(TIME), np.sin(TIME), 0.1 * TIME, TIME**0], axis=1)
UPDATES = np.arange(300)
HISTORY = {"loss": np.exp(-UPDATES / 100), "alpha": np.linspace(1, 0, 300), "iterations": 5 + UPDATES % 4}
FREQUENCIES = np.linspace(0, 5, 100)
POWER = np.exp(-FREQUENCIES[:, None] * [1.0, 2.0, 3.0, 4.0])

FIGURES = {
    "attractor": lambda: plots.attractor(SPIRAL).figure,
    "attractor of two columns": lambda: plots.attractor(SPIRAL[:, :2]).figure,
    "attractor of one column": lambda: plots.attractor(SPIRAL[:, 0]).figure,
    "attractors": lambda: plots.attractors(SPIRAL, 1.1 * SPIRAL),
    "time_series": lambda: plots.time_series(SPIRAL, SPIRAL[:99], dt=0.05),
    "forecast": lambda: plots.forecast(SPIRAL, np.stack([SPIRAL[:99], SPIRAL[:99] + 1]), dt=0.05),
    "spectra": lambda: plots.spectra(FREQUENCIES, POWER, POWER),
    "training": lambda: plots.training(HISTORY),
    "exponents": lambda: plots.exponents(TIME[1:], -14 + SPIRAL[1:] / TIME[1:, None], truth=[0.9, 0, -14]).figure,
    "newton_heatmap": lambda: plots.newton_heatmap(10.0 ** -np.arange(5000).reshape(5, 1000) / 99).figure,
}


def test_no_two_roles_share_colour_or_marker_and_data_and_model_nothing():
    roles = [plots.DATA, plots.MODEL, plots.FORCED, plots.ERROR]
    for attribute in ("colour", "marker", "name"):
        assert len({getattr(role, attribute) for role in roles}) == len(roles)
    assert plots.DATA.linestyle != plots.MODEL.linestyle
    assert plots.DATA.width != plots.MODEL.width


@pytest.mark.parametrize("name", ["time_series", "spectra"])
def test_drawn_data_and_model_keep_their_looks(name):
    data, model = FIGURES[name]().axes[0].lines[:2]
    assert (data.get_color(), model.get_color()) == (plots.DATA.colour, plots.MODEL.colour)
    assert data.get_linewidth() > model.get_linewidth()
    assert not data.is_dashed()
    assert model.is_dashed()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_becomes_the_same_png_twice_with_units_and_ink_on_it_and_no_global_setting(name):
    before, figure = dict(matplotlib.rcParams), FIGURES[name]()
    axes = [getattr(ax, which) for ax in figure.axes for which in ("xaxis", "yaxis", "zaxis") if hasattr(ax, which)]
    labels = [axis.get_label_text() for axis in axes if axis.get_label_text()]
    assert labels
    assert all("(" in label and label.endswith(")") for label in labels), labels
    picture = plots.png(figure, dpi=50)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 2 * len(plots.png(plots.figure(6.4, 4.0), dpi=50))
    assert picture == plots.png(FIGURES[name](), dpi=50)
    assert dict(matplotlib.rcParams) == before


@pytest.mark.parametrize(("columns", "name"), [(4, "3d"), (3, "3d"), (2, "rectilinear"), (1, "rectilinear")])
def test_attractor_chooses_space_plane_or_delay_by_the_number_of_columns(columns, name):
    assert plots.attractor(SPIRAL[:, :columns]).name == name
    data, model = plots.attractors(SPIRAL[:, :columns], 1.3 * SPIRAL[:, :columns]).axes
    limits = [[getattr(ax, f"get_{axis}lim")() for axis in "xyz"[: 2 + (name == "3d")]] for ax in (data, model)]
    assert limits[0] == limits[1]
    assert (data.get_title(), model.get_title()) == ("data", "model")


def test_one_column_is_drawn_against_its_future_a_sixth_of_the_period_of_a_sine_later():
    period = 120
    wave = np.sin(2 * np.pi * np.arange(100 * period) / period)  # cos(2 pi lag / period) = 1/2 there
    line = plots.attractor(wave).lines[0]
    lag = len(wave) - len(line.get_xdata())
    assert lag == pytest.approx(period / 6, abs=1)  # one sample: the lag is a whole number
    np.testing.assert_array_equal(line.get_xdata(), wave[:-lag])
    np.testing.assert_array_equal(line.get_ydata(), wave[lag:])


def test_constant_series_and_constant_model_are_drawn():
    plots.png(plots.attractor(np.ones(50)), dpi=50)
    plots.png(plots.attractors(SPIRAL[:, :3], np.zeros((50, 3))), dpi=50)
    plots.png(plots.spectra(FREQUENCIES, POWER, 0 * POWER), dpi=50)


def test_model_that_left_the_box_is_named_and_does_not_shrink_the_data():
    runaway = SPIRAL[:, :3].copy()
    runaway[300:] = np.nan
    runaway[200:300] *= 1e6
    data, model = plots.attractors(SPIRAL[:, :3], runaway).axes
    assert "66.7% outside" in model.get_title()
    low, high = data.get_xlim()
    assert high - low < 3 * np.ptp(SPIRAL[:, 0])


def test_many_columns_are_not_hidden():
    many = np.tile(SPIRAL, (1, 4))
    figures = plots.time_series(many, None, dt=1.0), plots.spectra(FREQUENCIES, *[np.tile(POWER, (1, 4))] * 2)
    for figure, count in zip(figures, (4, 6), strict=True):
        assert len(figure.axes) == count
        assert figure.axes[-1].get_title(loc="right") == f"the first {count} of 16 columns"


def test_spectra_are_normalised_so_that_scale_does_not_matter():
    data, model = plots.spectra(FREQUENCIES, POWER[:, 0], 1000 * POWER[:, 0]).axes[0].lines
    np.testing.assert_allclose(data.get_ydata(), model.get_ydata(), rtol=1e-12)  # one rounded division each


def test_training_shows_three_panels_and_counts_updates_without_a_loss():
    loss = HISTORY["loss"].copy()
    loss[[5, 9]] = np.nan, np.inf
    top, middle, bottom = plots.training({**HISTORY, "loss": loss}).axes
    assert top.get_yscale() == "log"
    assert top.get_title(loc="right").endswith(": 2")
    assert bottom.get_shared_x_axes().joined(top, middle)
    plots.png(plots.training({name: values[:1] for name, values in HISTORY.items()}), dpi=50)


def test_heat_map_keeps_the_worst_error_of_a_long_trajectory():
    errors = np.full((2, 10_000), 1e-12)
    errors[1, 4321] = 1.0
    assert plots.newton_heatmap(errors).images[0].get_array().max() == 0.0


@pytest.mark.parametrize(("count", "points"), [(0, 0), (1, 1), (7, 7), (10, 10), (11, 10), (1005, 10)])
def test_a_thinned_curve_spans_the_whole_run_and_leaves_out_what_is_not_finite(count, points):
    numbers, values = plots.thinned(np.arange(1.0, count + 1), 10)
    assert len(numbers) == len(values) == points
    assert np.all(np.diff(values) > 0)
    assert count == 0 or numbers[-1] == count
    broken = np.array([1.0, np.nan, 3.0, np.nan, np.inf, np.nan])
    np.testing.assert_array_equal(plots.thinned(broken, 2)[1], [2.0, np.nan])
