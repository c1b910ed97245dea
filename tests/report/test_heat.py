"""Heat maps: the numbers they show, their panels and axes, and what they refuse."""

import attrs
import numpy as np
import pytest
import xarray

from isacsim import InvalidInput
from isacsim.engine.views import Contents, Figure
from isacsim.report.heat import DEPTH, draw_heat, heat_of

FIGURE = Figure("velocity", "map", up="range", title="maps")
VALUES = np.geomspace(1, 1e9, 2 * 2 * 3 * 4).reshape(1, 2, 2, 3, 4)  # evaluate, design, trial, range, velocity


def dataset():
    coords = {
        "evaluate": ["e"],
        "design": ["a", "b"],
        "range": ("range", [0.0, 10.0, 20.0], {"units": "m", "long_name": "range"}),
        "velocity": ("velocity", [-1.0, 0.0, 1.0, 2.0], {"units": "m/s", "long_name": "radial velocity"}),
    }
    values = xarray.DataArray(VALUES, coords, ("evaluate", "design", "trial", "range", "velocity"))
    return xarray.Dataset({"map": values.assign_attrs(units="1", long_name="power over the floor")})


def test_each_design_has_a_panel_with_its_mean_in_db():
    heat = heat_of(None, dataset(), FIGURE)
    assert [told for told, _ in heat.panels] == ["a", "b"]
    for number, (_, values) in enumerate(heat.panels):
        np.testing.assert_allclose(values, 10 * np.log10(VALUES[0, number].mean(axis=0)), rtol=1e-12)
    assert (heat.x[1], heat.up[1], heat.label) == ("radial velocity (m/s)", "range (m)", "power over the floor (dB)")


def test_the_median_is_another_statistic_and_linear_another_scale():
    figure = attrs.evolve(FIGURE, statistic="median", scale="linear")
    heat = heat_of(None, dataset(), figure)
    np.testing.assert_allclose(heat.panels[0][1], np.median(VALUES[0, 0], axis=0), rtol=1e-12)
    assert heat.label == "power over the floor"


def test_panels_share_their_colours_and_a_colour_bar():
    canvas = draw_heat(heat_of(None, dataset(), FIGURE), FIGURE)
    first, second, bar = canvas.axes
    meshes = [axes.collections[0] for axes in (first, second)]
    assert len({mesh.get_clim() for mesh in meshes}) == 1
    low, top = meshes[0].get_clim()
    assert top == pytest.approx(10 * np.log10(VALUES[0, 1, :, -1, -1].mean()))
    assert low == pytest.approx(top - DEPTH)
    assert first.get_ylabel() == "range (m)"
    assert bar.get_ylabel() == "power over the floor (dB)"
    # Cells are centred on their places.
    assert first.get_xlim() == pytest.approx((-1.5, 2.5))


def test_too_many_panels_are_refused():
    many = xarray.concat([dataset().assign_coords(evaluate=[str(i)]) for i in range(4)], "evaluate")
    with pytest.raises(InvalidInput, match="at most 6 panels"):
        heat_of(None, many, FIGURE)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"up": "user"}, "up"),
        ({"up": "velocity"}, "up"),
        ({"dots": True}, "dots"),
        ({"format": "tikz"}, "format"),
    ],
)
def test_a_heat_map_that_cannot_be_drawn_is_refused(changes, field):
    contents = Contents({}, {"map": ("range", "velocity")}, ("a", "b"), ("e",), traced=False)
    FIGURE.check("f", contents)
    with pytest.raises(InvalidInput, match=field):
        attrs.evolve(FIGURE, **changes).check("f", contents)


def test_a_map_of_what_no_trial_has_is_refused():
    with pytest.raises(InvalidInput, match="figure: must show what was recorded, got 'map'"):
        heat_of(None, dataset().drop_vars("map"), FIGURE)
