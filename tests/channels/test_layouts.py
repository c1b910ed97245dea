"""Recordings as ray tracers write them: axes by name, paths and subcarriers, pools of users, structures of MATLAB."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from isacsim import Grid, InvalidInput, UniformLinearArray
from isacsim.channels.recorded import Recorded

ARRAY = UniformLinearArray(4)
GRID = Grid(16, 120e3, active=15)  # an odd number, of which the reverse has the same carrier
USERS, PATHS = 5, 3
AZIMUTH = np.linspace(-0.8, 0.9, USERS * PATHS).reshape(USERS, PATHS)
DELAY = np.linspace(0, 2e-6, USERS * PATHS).reshape(USERS, PATHS)


def rays(kit):
    """Path coefficients (user, antenna, path) with the phase of a plane wave, ``y = H x``, and amplitude CN(0, 1)."""
    waves = np.exp(1j * np.pi * np.arange(4)[:, None] * np.sin(AZIMUTH)[:, None, :])
    return kit.complex_gaussian((USERS, 1, PATHS), 0) * waves


def on_subcarriers(a, frequencies):
    """``H(f) = sum_p a_p exp(-2 pi j f tau_p)``, (user, antenna, subcarrier)."""
    return np.einsum("unp,upf->unf", a, np.exp(-2j * np.pi * DELAY[..., None] * frequencies))


def recorded(tmp_path, arrays, **options):
    np.savez(tmp_path / "H.npz", **arrays)
    return Recorded(tmp_path / "H.npz", **options)


# Shapes of the arrays of each layout, for USERS users of one antenna, one station, one moment.
PATHWISE = {"deepmimo-paths": ((USERS, 1, 4, PATHS), (USERS, PATHS)),
            "sionna": ((USERS, 1, 1, 4, PATHS, 1), (USERS, 1, PATHS)),
            "quadriga": ((USERS, 1, 4, PATHS, 1), (USERS, PATHS, 1))}  # fmt: skip
RESPONSES = {
    "deepmimo": (USERS, 1, 4, 15),
    "sionna-ofdm": (1, USERS, 1, 1, 4, 1, 15),
    "quadriga-fr": (USERS, 1, 4, 15, 1),
}


@pytest.mark.parametrize("layout", PATHWISE)
@pytest.mark.parametrize("phase", ["positive", "negative"])
def test_paths_and_subcarriers_of_the_same_rays_are_the_same_channels(tmp_path, kit, layout, phase):
    a, (shape, delays) = rays(kit), PATHWISE[layout]
    H = on_subcarriers(a, GRID.frequencies)
    pathwise = recorded(
        tmp_path,
        {"H": a.reshape(shape), "tau": DELAY.reshape(delays)},
        layout=layout,
        delay_variable="tau",
        phase=phase,
    )
    found = pathwise.draw_band(GRID, ARRAY, USERS, [0, 7], [])
    assert found.shape == (2, 15, 4, USERS)
    for other, size in RESPONSES.items():
        whole = recorded(tmp_path, {"H": H.reshape(size)}, layout=other, phase=phase)
        np.testing.assert_allclose(whole.draw_band(GRID, ARRAY, USERS, [0, 7], []), found, rtol=1e-12, atol=1e-12)
    # Without a grid, what arrives is the sum of the paths.
    narrow = np.moveaxis(a.sum(axis=-1), 0, -1)
    own = narrow if phase == "positive" else np.conj(narrow)
    np.testing.assert_allclose(pathwise.draw(ARRAY, USERS, [0], [])[0], own, rtol=1e-12)


@pytest.mark.parametrize("phase", ["positive", "negative"])
@pytest.mark.parametrize("active", [16, 15])
def test_a_delay_is_a_delay_whatever_is_conjugated(tmp_path, phase, active):
    # h_k^H w over the bins, turned back into time, has its one tap at the delay of 5 samples, not at -5.
    grid = Grid(16, 120e3, active=active)
    response = np.exp(-2j * np.pi * grid.frequencies * 5 / grid.rate) * np.ones((1, 1, 4, 1))
    channel = recorded(tmp_path, {"H": response}, layout="deepmimo", phase=phase)
    h = channel.draw_band(grid, ARRAY, 1, [0], [])[0, :, 0, 0]
    taps = np.fft.ifft(grid.spread(np.conj(h), 0))
    assert np.argmax(np.abs(taps)) == 5


def test_interpolation_is_exact_on_what_is_linear_and_ends_with_the_band(tmp_path, kit):
    slope, foot = kit.complex_gaussian((2, 1, 4, 1), 1), kit.complex_gaussian((2, 1, 4, 1), 2)
    at = (np.arange(9) - 4) * 240e3
    options = {"layout": "deepmimo", "phase": "negative"}  # which is conjugated, and not reversed
    channel = recorded(tmp_path, {"H": foot + slope * at}, subcarrier_spacing=240e3, **options)
    found = channel.draw_band(GRID, ARRAY, 2, [0], [])
    expected = np.conj(foot + slope * GRID.frequencies)[:, 0].transpose(2, 1, 0)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-9)
    with pytest.raises(InvalidInput, match=r"subcarrier_spacing: must reach as far as the grid, 840000 Hz"):
        recorded(tmp_path, {"H": foot + slope * at[1:-1]}, subcarrier_spacing=240e3, **options).draw_band(
            Grid(16, 120e3, active=15), ARRAY, 2, [0], []
        )
    with pytest.raises(
        InvalidInput, match=r"one recorded subcarrier for each of the 15 active ones, got 9.*spacing_hz"
    ):
        recorded(tmp_path, {"H": foot + slope * at}, **options).draw_band(GRID, ARRAY, 2, [0], [])


def test_one_channel_stands_for_a_band_only_where_that_is_said(tmp_path, kit):
    H = kit.complex_gaussian((3, 4, 2), 0)
    with pytest.raises(InvalidInput, match="channel: must have subcarriers, or paths and their delays.*flat = true"):
        recorded(tmp_path, {"H": H}).draw_band(GRID, ARRAY, 2, [0], [])
    found = recorded(tmp_path, {"H": H}, flat=True).draw_band(GRID, ARRAY, 2, [1], [])
    np.testing.assert_array_equal(found[0], np.broadcast_to(H[1], (15, 4, 2)))
    a = rays(kit)[:, None]
    with pytest.raises(InvalidInput, match="delay_variable: must be said of paths on a grid"):
        recorded(tmp_path, {"H": a}, layout="deepmimo-paths").draw_band(GRID, ARRAY, USERS, [0], [])
    with pytest.raises(InvalidInput, match="subcarrier: must say which of 3 subcarriers .*Set subcarrier = 0"):
        recorded(tmp_path, {"H": a}, layout="deepmimo").draw(ARRAY, USERS, [0], [])
    one = recorded(tmp_path, {"H": a}, layout="deepmimo", subcarrier=2).draw(ARRAY, USERS, [0], [])
    np.testing.assert_array_equal(one[0], a[:, 0, :, 2].T)


def test_what_becomes_of_further_axes_is_said_of_each(tmp_path, kit):
    # QuaDRiGa: 2 user antennas, 4 transmit antennas, 3 paths, 6 moments.
    coeff = kit.complex_gaussian((2, 4, 3, 6), 0)
    total = coeff.sum(axis=2)
    own = {"layout": "quadriga"}
    with pytest.raises(InvalidInput, match=r"receive: must say what becomes of 2 entries.*receive = 0, or 'sum', 'tri"):
        recorded(tmp_path, {"H": coeff}, snapshot=0, **own).draw(ARRAY, 1, [0], [])
    with pytest.raises(InvalidInput, match=r"receive: must be below 2, got 2.*counted from 0"):
        recorded(tmp_path, {"H": coeff}, receive=2, snapshot=0, **own).draw(ARRAY, 1, [0], [])
    H = recorded(tmp_path, {"H": coeff}, receive=1, snapshot="trial", **own).draw(ARRAY, 1, [4, 0], [])
    np.testing.assert_allclose(H[..., 0], total[1][:, [4, 0]].T, rtol=1e-14)
    H = recorded(tmp_path, {"H": coeff}, receive="user", snapshot=3, **own).draw(ARRAY, 2, [9], [])
    np.testing.assert_allclose(H[0], total[..., 3].T, rtol=1e-14)
    H = recorded(tmp_path, {"H": coeff}, receive="user", snapshot=3, paths=1, **own).draw(ARRAY, 2, [9], [])
    np.testing.assert_allclose(H[0], coeff[:, :, 1, 3].T, rtol=1e-14)
    H = recorded(tmp_path, {"H": coeff}, receive=0, snapshot="user", **own).draw(ARRAY, 6, [0], [])
    np.testing.assert_allclose(H[0], total[0], rtol=1e-14)


def test_axes_of_one_entry_may_be_left_out_of_the_names(tmp_path, kit):
    H = kit.complex_gaussian((5, 4, 3), 0)
    for shape in ((5, 1, 4, 3), (1, 5, 4, 1, 3, 1)):
        found = recorded(tmp_path, {"H": H.reshape(shape)}).draw(ARRAY, 3, [2], [])
        np.testing.assert_array_equal(found[0], H[2])


def test_each_trial_draws_its_users_from_the_pool_by_its_address(tmp_path, kit):
    H = kit.complex_gaussian((20, 1, 4, 1), 0)
    H[[3, 4]] = 0
    H[7] = np.nan  # a blocked user, too
    channel = recorded(tmp_path, {"H": H}, layout="deepmimo", pool=True, blocked="skip")

    def draw(*trials):
        return channel.draw(ARRAY, 6, trials, [np.random.default_rng((1, trial)) for trial in trials])

    together = draw(0, 1, 2, 100)
    for i, trial in enumerate((0, 1, 2, 100)):
        np.testing.assert_array_equal(draw(trial)[0], together[i])
    known = {row.tobytes(): user for user, row in enumerate(H[:, 0, :, 0])}
    who = [[known[np.ascontiguousarray(h).tobytes()] for h in trial.T] for trial in together]
    assert all(len(set(users)) == 6 for users in who)
    assert len({tuple(users) for users in who}) == 4
    assert not {3, 4, 7} & {user for users in who for user in users}
    with pytest.raises(InvalidInput, match="channel: must have a pool of at least 18 users in record 0, got 17"):
        channel.draw(ARRAY, 18, [0], [np.random.default_rng(0)])
    everyone = recorded(tmp_path, {"H": H}, layout="deepmimo", pool=True)
    all_of_them = everyone.draw(ARRAY, 20, [0], [np.random.default_rng(0)])[0]
    assert np.sum(~all_of_them.any(axis=0)) == 3  # blocked users are channels of zeros
    with pytest.raises(InvalidInput, match="channel: must have 4 antennas and 6 users.*Set `pool = true`"):
        recorded(tmp_path, {"H": H}, layout="deepmimo").draw(ARRAY, 6, [0], [])


def test_the_users_of_a_pool_keep_their_delays(tmp_path, kit):
    a = rays(kit)
    arrays = {"H": a[:, None], "tau": DELAY}
    options = {"layout": "deepmimo-paths", "delay_variable": "tau"}
    every = recorded(tmp_path, arrays, **options).draw_band(GRID, ARRAY, USERS, [0], [])
    rng = np.random.default_rng(3)
    some = recorded(tmp_path, arrays, pool=True, **options).draw_band(GRID, ARRAY, 2, [0], [rng])
    who = np.random.default_rng(3).choice(USERS, 2, replace=False)
    np.testing.assert_array_equal(some, every[..., who])


def as_mat73(path, write):
    """A file as MATLAB 7.3 writes it: 512 bytes of its own before HDF5; ``write`` fills it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        write(file)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_struct_arrays_of_links_are_users_in_all_versions_of_matlab(tmp_path, kit, version):
    links = [kit.complex_gaussian((1, 4, 2), seed) for seed in range(3)]
    path = tmp_path / "links.MAT"
    if version == "5":
        struct = np.zeros((1, 3), [("name", object), ("coeff", object)])
        struct["coeff"] = [links]
        struct["name"] = "x"
        savemat(path, {"c": struct}, appendmat=False)
    else:

        def write(file):
            places = []
            for i, link in enumerate(links):
                turned = np.ascontiguousarray(link.T)
                pairs = np.empty(turned.shape, [("real", "<f8"), ("imag", "<f8")])
                pairs["real"], pairs["imag"] = turned.real, turned.imag
                file[f"#refs#/{i}"] = pairs
                places.append(file[f"#refs#/{i}"].ref)
            file.create_dataset("c/coeff", data=np.array([places], h5py.ref_dtype))

        as_mat73(path, write)
    H = Recorded(path, variable="c.coeff", layout="quadriga").draw(ARRAY, 3, [0], [])
    np.testing.assert_allclose(H[0], np.stack([link[0].sum(axis=-1) for link in links], axis=-1), rtol=1e-14)
    with pytest.raises(InvalidInput, match=r"variable: must be an array in links.MAT, got 'c.coef'.*Did you mean 'c"):
        Recorded(path, variable="c.coef", layout="quadriga").draw(ARRAY, 3, [0], [])


def test_the_angles_of_links_check_the_sign_of_their_phases(tmp_path):
    azimuth = np.array([-0.5, 0.1, 0.7])
    links = [np.exp(1j * np.pi * np.arange(4) * np.sin(angle)).reshape(1, 4, 1) for angle in azimuth]
    struct = np.zeros((1, 3), [("coeff", object), ("azimuth", object)])
    struct["coeff"], struct["azimuth"] = [links], [list(np.rad2deg(azimuth))]
    savemat(tmp_path / "links.mat", {"c": struct})
    said = {"variable": "c.coeff", "layout": "quadriga", "azimuth_variable": "c.azimuth"}
    H = Recorded(tmp_path / "links.mat", phase="positive", **said).draw(ARRAY, 3, [0], [])
    np.testing.assert_allclose(H[0], ARRAY.plane_wave(azimuth).T, rtol=1e-12)
    with pytest.raises(InvalidInput, match="channel: must have more than .* Set phase = 'positive'"):
        Recorded(tmp_path / "links.mat", phase="negative", **said).draw(ARRAY, 3, [0], [])


@pytest.mark.parametrize("version", ["5", "7.3"])
def test_a_structure_of_a_real_and_an_imaginary_part_is_complex_in_all_versions_of_matlab(tmp_path, kit, version):
    H = kit.complex_gaussian((2, 4, 3), 0)
    path = tmp_path / "H.mat"
    if version == "5":
        savemat(path, {"H": {"re": H.real, "im": H.imag}})
    else:

        def write(file):
            file["H/re"], file["H/im"] = np.ascontiguousarray(H.T.real), np.ascontiguousarray(H.T.imag)

        as_mat73(path, write)
    np.testing.assert_array_equal(Recorded(path).draw(ARRAY, 3, [1], [])[0], H[1])


def test_a_missing_variable_names_those_in_groups_and_suffixes_come_in_any_case(tmp_path, kit):
    with h5py.File(tmp_path / "H.HDF5", "w") as file:
        file["campaign/day1"], file["H0"] = kit.complex_gaussian((2, 4, 3), 0), np.zeros(2)
    with pytest.raises(InvalidInput, match=r"got 'day1'. Did you mean 'campaign/day1'\? Valid: H0, campaign/day1\."):
        Recorded(tmp_path / "H.HDF5", variable="day1").draw(ARRAY, 3, [0], [])
    assert Recorded(tmp_path / "H.HDF5", variable="campaign/day1").draw(ARRAY, 3, [0], []).shape == (1, 4, 3)
    with (tmp_path / "H.NPZ").open("wb") as file:
        np.savez(file, H=kit.complex_gaussian((2, 4, 3), 0))
    assert Recorded(tmp_path / "H.NPZ").draw(ARRAY, 3, [0], []).shape == (1, 4, 3)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"layout": "deepmimmo"}, "layout: must be one of its choices, got 'deepmimmo'. Did you mean 'deepmimo'"),
        ({"layout": "sionna", "axes": ("user", "antenna")}, "axes: must be left out where `layout` is said"),
        ({"receive": 0}, "receive: must be said of an axis that there is, got 0. Leave it out, or name the axis rec"),
        ({"layout": "sionna", "snapshot": "first"}, "snapshot: must be an entry of the axis snapshot, or a role, got"),
        ({"layout": "sionna", "snapshot": -1}, "snapshot: must be an entry of the axis snapshot, or a role, got -1"),
        ({"layout": "deepmimo", "delay_variable": "t"}, "delay_variable: must belong to an axis `path`, got 't'"),
        ({"blocked": "skip"}, "blocked: must be said of a pool, got 'skip'. Set `pool = true`"),
        ({"subcarrier_spacing": -1.0}, "subcarrier_spacing: must be a finite number greater than 0, got -1.0"),
    ],
)
def test_what_is_said_of_a_recording_must_fit_together(tmp_path, said, told):
    with pytest.raises(InvalidInput) as error:
        recorded(tmp_path, {"H": np.ones((2, 4, 3))}, **said)
    assert str(error.value).startswith(told)
