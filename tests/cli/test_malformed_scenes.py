"""Mistakes in recordings, arrays, elements, bounds and designs of rates: one clear error each, with its remedy.

Each case changes the study of the tests by settings, which `isacsim check` refuses before anything runs.
"""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from isacsim.cli.main import main

pytestmark = pytest.mark.usefixtures("one_registry")

GRID = ("base_station.snapshots=4", "base_station.grid={subcarriers=8, spacing_hz=120000, symbols=4}")
NO_FIGURE = "figure={}"
RATES = "design.sca.problem.crlb_weight=0"
AXES = (
    "users.channel.axes: must be an order of antenna, user and any of trial, receive, station, snapshot, path, "
    "subcarrier, part, got"
)
ELEMENT = "base_station.transmit_array.element"
ELEMENTS = "Valid: cosine, measured, tr38901."


def channel(table):
    return f'users.channel={{kind="recorded", {table}}}'


def element(pattern):
    return f'base_station.transmit_array={{kind="upa", horizontal=4, vertical=4, element={pattern}}}'


POOL = 'path="pool.npz", layout="deepmimo"'
MANY = 'path="many.npz", layout="sionna"'
PATHS = 'path="paths.npz", variable="a", layout="deepmimo-paths"'
TABLE = 'kind="measured", azimuth_deg=[0, 10], zenith_deg=[80, 90]'

# The settings, and what standard error says.
MISTAKES = [
    ((channel('path="pool.npz", layout="deepmino"'),),
     "users.channel.layout: must be one of its choices, got 'deepmino'. Did you mean 'deepmimo'? Valid: deepmimo, dee"),
    ((channel(f'{POOL}, axes=["user", "antenna"]'),),
     "users.channel.axes: must be left out where `layout` is said, got ['user', 'antenna']. Remove one of them."),
    ((channel('path="pool.npz", axes=["users", "antenna"]'),),
     f"{AXES} ['users', 'antenna']. 'users' is none. Did you mean 'user'? Valid: antenna, part"),
    ((channel('path="pool.npz", axes=["user", "user", "antenna"]'),), f"{AXES} ['user', 'user', 'antenna']. Name each"),
    ((channel('path="pool.npz", axes=["trial", "user"]'),), f"{AXES} ['trial', 'user']. Name each axis once."),
    ((channel(POOL),),
     "users.channel.subcarrier: must say which of 8 subcarriers counts without a grid. Set subcarrier = 0, or add bas"),
    ((channel(f"{POOL}, subcarrier=0"),),
     "users.channel: must have 16 antennas and 4 users, got '16 and 50'. Match transmit_array and users.count, or set "
     "`axes`. Set `pool = true` to draw users from all."),
    ((channel(f"{POOL}, subcarrier=8, pool=true"),),
     "users.channel.subcarrier: must be below 8, got 8. Its subcarrier axis has 8 entries, counted from 0."),
    ((channel(f"{POOL}, subcarrier=-1, pool=true"),),
     "users.channel.subcarrier: must be an entry of the axis subcarrier, or a role, got -1. Give a place, counted fro"),
    ((channel(f'{POOL}, subcarrier="first", pool=true'),),
     "users.channel.subcarrier: must be an entry of the axis subcarrier, or a role, got 'first'. Give a place, counte"),
    ((channel(f'{POOL}, subcarrier=0, pool="yes"'),), "users.channel.pool: must be true or false, got 'yes'. Write tr"),
    ((channel(f'{POOL}, subcarrier=0, pool=true, blocked="drop"'),),
     "users.channel.blocked: must be one of its choices, got 'drop'. Valid: keep, skip."),
    ((channel(f'{POOL}, subcarrier=0, blocked="skip"'),),
     "users.channel.blocked: must be said of a pool, got 'skip'. Set `pool = true`, or leave it out."),
    ((channel(f"{POOL}, subcarrier=0, receive=1, pool=true"),),
     "users.channel.receive: must be below 1, got 1. Its receive axis has 1 entries, counted from 0."),
    ((channel(f"{POOL}, subcarrier=0, station=0, pool=true"),),
     "users.channel.station: must be said of an axis that there is, got 0. Leave it out, or name the axis station in"),
    ((channel(f'{POOL}, subcarrier=0, station="trial", pool=true'),),
     "users.channel.station: must be said of an axis that there is, got 'trial'. Leave it out, or name the axis stat"),
    ((channel('path="pool.npz", layout="sionna"'),),
     "users.channel.axes: must name the 4 axes of 'H', got 'trial, user, receive, station, antenna, path, "
     "snapshot'. Its shape is (50, 1, 16, 8)."),
    ((channel(MANY),),
     "users.channel.receive: must say what becomes of 2 entries. Set receive = 0, or 'sum', 'trial', 'user'."),
    ((channel(f"{MANY}, receive=0"),),
     "users.channel.snapshot: must say what becomes of 5 entries. Set snapshot = 0, or 'trial', 'user'."),
    ((channel(f"{MANY}, receive=0, snapshot=5"),), "users.channel.snapshot: must be below 5, got 5. Its snapshot axis"),
    ((channel(f'{MANY}, receive=0, snapshot="sum"'),),
     "users.channel.snapshot: must be an entry of the axis snapshot, or a role, got 'sum'. Give a place, counted from"),
    ((channel('path="flat.npz", receive=0'),),
     "users.channel.receive: must be said of an axis that there is, got 0. Leave it out, or name the axis receive in"),
    ((channel('path="flat.npz", delay_variable="tau"'),),
     "users.channel.delay_variable: must belong to an axis `path`, got 'tau'. Name that axis, or leave it out."),
    ((channel('path="flat.npz", variable="h"'),), "users.channel.variable: must be an array in flat.npz, got 'h'."),
    ((channel('path="g.h5", variable="day1"'),),
     "users.channel.variable: must be an array in g.h5, got 'day1'. Did you mean 'campaign/day1'? Valid: "),
    ((channel('path="g.h5", variable="campaign"'),),
     "users.channel.variable: must be an array in g.h5, got 'campaign'. Did you mean 'campaign/day1'? Valid: campaign"),
    ((channel('path="s.mat", variable="c.coef", layout="quadriga"'),),
     "users.channel.variable: must be an array in s.mat, got 'c.coef'. Did you mean 'c.coeff'? Valid: c.coeff, c.dela"),
    ((channel('path="s.mat", variable="c", layout="quadriga"'),),
     "users.channel.path: must hold complex numbers in 'c' as a real and an imaginary part, got 's.mat with the fields "
     "coeff, delay'. Store complex numbers; variable = 'c.coeff' is one field, and imaginary_variable = 'c.delay' "
     "takes another for imaginary parts."),
    ((channel('path="s.mat", variable="d.coeff", layout="quadriga"'),),
     "users.channel.variable: must be an array in s.mat, got 'd.coeff'. Did you mean 'c.coeff'? Valid: c.coeff, c.del"),
    ((channel('path="words.npz"'),), "users.channel.path: must hold numbers, got 'words.npz'. Check `variable` ('H')."),
    ((channel('path="nan.npz"'), "trials=3"),
     "users.channel.path: must hold finite channels in record 2, counted from 0, got 'nan.npz'. Remove NaN and infini"),
    ((channel('path="flat.npz", spacing_hz=1'),),
     "users.channel.spacing_hz: is not a known key, got 1. Did you mean 'subcarrier_spacing_hz'? Valid: axes, azimuth"),
    ((channel('path="flat.npz", subcarrier_spacing_hz=0'),), "users.channel.subcarrier_spacing_hz: must be a finite n"),
    ((channel('path="flat.npz", flat=1'),), "users.channel.flat: must be true or false, got 1. Write true or false."),
    ((channel('path="flat.npz"'), "trials=3", *GRID),
     "users.channel: must have subcarriers, or paths and their delays, on a grid. Name such an axis, or set `flat = t"),
    ((channel(f"{POOL}, pool=true, subcarrier=0"), *GRID),
     "users.channel: must have subcarriers, or paths and their delays, on a grid. Name such an axis, or set `flat = t"),
    ((channel(f"{POOL}, pool=true, subcarrier_spacing_hz=1000"), *GRID),
     "users.channel.subcarrier_spacing_hz: must reach as far as the grid, 480000 Hz from the carrier, got 1000.0. 8 s"),
    ((channel(PATHS), *GRID), "users.channel.delay_variable: must be said of paths on a grid. Name the array of delay"),
    ((channel(f'{PATHS}, delay_variable="tau"'), *GRID),
     "users.channel.delay_variable: must have the 3 recorded paths, got 2. The axes of 'tau' are user, path."),
    ((channel(f'{PATHS}, delay_variable="delays"'), *GRID),
     "users.channel.delay_variable: must be an array in paths.npz, got 'delays'. Valid: a, tau."),
    ((element('"3gpp"'),), f"{ELEMENT}.kind: must name one of the elements, got '3gpp'. {ELEMENTS}"),
    ((element('"tr3891"'),), f"{ELEMENT}.kind: must name one of the elements, got 'tr3891'. Did you mean 'tr38901'? "),
    ((element("3"),), f"{ELEMENT}: must be a name or a table with a `kind` of elements, got 3. {ELEMENTS}"),
    ((element('{kind="tr38901", gain=8}'),), f"{ELEMENT}.gain: is not a known key, got 8. Did you mean 'gain_db', in"),
    ((element('{kind="tr38901", vertical_width_deg=0}'),), f"{ELEMENT}.vertical_width_deg: must be a finite number gr"),
    ((element('{kind="tr38901", side_lobes_db=-30}'),),
     f"{ELEMENT}.side_lobes_db: must be a finite number greater than 1, got -30. It is a loss, above 0 dB: 30 dB is u"),
    ((element('{kind="cosine", exponent=1}'),), f"{ELEMENT}.exponent: must be a finite number of at least 2, got 1. C"),
    ((element('{kind="cosine", gain_db="high"}'),), f"{ELEMENT}.gain_db: must be numbers, got 'high'. Write 0.1 or [0"),
    ((element('{kind="measured", azimuth_deg=[10, 0], zenith_deg=[80, 90], gain_dbi=[[1, 2], [3, 4]]}'),),
     f"{ELEMENT}.azimuth_deg: must be at least 2 rising angles, got [10, 0]. Sort the table."),
    ((element(f"{{{TABLE}, gain_dbi=[[1, 2]]}}"),),
     f"{ELEMENT}.gain_dbi: must be 2 rows, one an azimuth, of 2 finite gains in dBi, one a zenith angle, got [[1, 2]]"),
    ((element(f"{{{TABLE}, gain_dbi=[[1, 2], [3, nan]]}}"),), f"{ELEMENT}.gain_dbi: must be finite, got [[1, 2], [3, "),
    ((element(f"{{{TABLE}}}"),), f"{ELEMENT}.gain_dbi: is required. Add it."),
    (('base_station.transmit_array={kind="upa", horizontal=4, vertical=4, elements="cosine"}',),
     "base_station.transmit_array.elements: is not a known key, got 'cosine'. Did you mean 'element'? Valid: conjugat"),
    (('base_station.transmit_array={kind="placed", across=[0, 0.5], up=[0, 0, 1]}',),
     "base_station.transmit_array.across, up: must have one entry for each element, got '2 and 3 places'. Give both"),
    (('base_station.transmit_array={kind="placed", across=[0, 0]}',),
     "base_station.transmit_array.across, up: must be another place for each element. Move one of them."),
    (('base_station.transmit_array={kind="ula", elements=16, spacing=-0.5}',),
     "base_station.transmit_array.spacing: must be a finite number greater than 0, got -0.5. Give the distance of"),
    (('design.sca.solver={kind="r-wmmse"}',),
     "design.sca.solver: must take the problem sum-rate-crlb; r-wmmse takes rates alone, crlb_weight = 0, not 1, got"),
    (('design.sca.solver={kind="rwmmse"}',),
     "design.sca.solver.kind: must name one of the solvers, got 'rwmmse'. Did you mean 'r-wmmse'? Valid: "),
    (('design.sca.solver={kind="r-wmmse", updates=0}', RATES),
     "design.sca.solver.updates: must be a whole number of at least 1, got 0. Check the value."),
    (('design.sca.solver={kind="r-wmmse"}', RATES, "design.sca.problem.per_antenna=true"),
     "design.sca.solver: must take the problem sum-rate-crlb; r-wmmse takes a total power only, not `per_antenna`, go"),
    (('design.sca.solver={kind="r-wmmse"}', RATES, 'design.sca.hardware="converters"'),
     "design.sca.solver: must take the problem sum-rate-crlb; r-wmmse designs for ideal hardware only, and transmit.0"),
    (('evaluate.converters.metrics=["angle-rmse"]',),
     "evaluate.converters.metrics.0.kind: must name one of the metrics, got 'angle-rmse'. Did you mean 'angle-rmse-bo"),
    (('evaluate.converters.metrics=["range-rmse-bound"]', NO_FIGURE),
     "evaluate.converters.metrics.0: must be asked of point targets and an OFDM signal, got 'range-rmse-bound'. Add b"),
    (('evaluate.converters.metrics=[{kind="angle-rmse-bound", mode="y"}]', NO_FIGURE),
     "evaluate.converters.metrics.0.mode: must be one of its choices, got 'y'. Valid: radiated, signal."),
    (('evaluate.converters.metrics=[{kind="velocity-rmse-bound", unknowns=["range"]}]', NO_FIGURE, *GRID),
     "evaluate.converters.metrics.0.unknowns: must be unknowns of a target, got 'range'. Valid: azimuth, delay, doppl"),
    (('evaluate.converters.metrics=[{kind="range-rmse-bound", unknowns=["azimuth"]}]', NO_FIGURE, *GRID),
     "evaluate.converters.metrics.0.unknowns: must name delay, got ('azimuth',). It is known otherwise; add it."),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(kit, studies, tmp_path_factory):
    """A study, and recordings with one fault each."""
    folder = tmp_path_factory.mktemp("scenes")
    (folder / "study.toml").write_text(studies.text, encoding="utf-8")

    def draw(*shape):
        return kit.complex_gaussian(shape, 0)

    holed = draw(3, 16, 4)
    holed[2, 5, 1] = np.nan
    np.savez(folder / "flat.npz", H=draw(3, 16, 4))
    np.savez(folder / "nan.npz", H=holed)
    np.savez(folder / "pool.npz", H=draw(50, 1, 16, 8))
    np.savez(folder / "paths.npz", a=draw(4, 1, 16, 3), tau=np.zeros((4, 2)))
    np.savez(folder / "many.npz", H=draw(4, 2, 1, 16, 3, 5))
    np.savez(folder / "words.npz", H=np.array(["a"]))
    savemat(folder / "s.mat", {"c": {"coeff": draw(1, 16, 3), "delay": np.zeros(3)}})
    with h5py.File(folder / "g.h5", "w") as file:
        file["campaign/day1"], file["meta/time"] = draw(3, 16, 4), np.zeros(3)
    return folder


@pytest.mark.parametrize(("settings", "told"), MISTAKES)
def test_a_mistake_in_a_scene_is_one_clear_error(folder, monkeypatch, capsys, settings, told):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(["check", "study.toml", *(part for setting in settings for part in ("--set", setting))]) == 2
    assert sorted(folder.iterdir()) == before
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.removeprefix("error: ").startswith(told)
