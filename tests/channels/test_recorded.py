"""Channels read from .npz, .mat (both kinds) and HDF5 files."""

import pickle

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from isacsim import InvalidInput, PlausibilityWarning, UniformLinearArray, UniformPlanarArray
from isacsim.channels.recorded import Recorded

ARRAY = UniformLinearArray(4)


@pytest.fixture
def records(kit):
    """Five records of four antennas and three users."""
    return kit.complex_gaussian((5, 4, 3), 0)


def write_npz(path, array, name="H"):
    np.savez(path, **{name: array, "other": np.zeros(2)})


def write_mat5(path, array, name="H"):
    savemat(path, {name: array, "other": np.zeros(2)})


def write_h5(path, array, name="H"):
    with h5py.File(path, "w") as file:
        file[name] = array
        file["other"] = np.zeros(2)


def write_mat73(path, array, name="H"):
    """As MATLAB writes version 7.3: 512 bytes of its own, reversed axes, (real, imag) pairs."""
    reversed_axes = np.ascontiguousarray(array.T)
    pairs = np.empty(reversed_axes.shape, dtype=[("real", "<f8"), ("imag", "<f8")])
    pairs["real"], pairs["imag"] = reversed_axes.real, reversed_axes.imag
    with h5py.File(path, "w", userblock_size=512) as file:
        file[name] = pairs
        file["other"] = np.zeros(2)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


FORMATS = {
    "npz": ("H.npz", write_npz),
    "mat 5": ("H.mat", write_mat5),
    "mat 7.3": ("H.mat", write_mat73),
    "h5": ("H.h5", write_h5),
    "hdf5": ("H.hdf5", write_h5),
}


@pytest.fixture(params=sorted(FORMATS))
def recording(request, tmp_path):
    """Writes an array in one of the formats and returns the path."""
    name, write = FORMATS[request.param]

    def make(array, variable="H"):
        write(tmp_path / name, array, variable)
        return tmp_path / name

    return make


def test_every_format_gives_back_the_records(recording, records):
    H = Recorded(recording(records)).draw(ARRAY, 3, [3, 0], [])
    np.testing.assert_array_equal(H, records[[3, 0]])
    assert H.flags.c_contiguous
    assert H.dtype == complex


@pytest.mark.parametrize(
    "axes", [("user", "trial", "antenna"), ("antenna", "user", "trial"), ("user", "antenna", "trial")]
)
def test_axes_may_come_in_any_order(recording, records, axes):
    order = [("trial", "antenna", "user").index(axis) for axis in axes]
    path = recording(np.ascontiguousarray(records.transpose(order)))
    np.testing.assert_array_equal(Recorded(path, axes=axes).draw(ARRAY, 3, range(5), []), records)


def test_a_file_without_a_trial_axis_serves_every_trial(recording, records):
    path = recording(np.ascontiguousarray(records[0].T))
    H = Recorded(path, axes=("user", "antenna")).draw(ARRAY, 3, [0, 7, 100], [])
    np.testing.assert_array_equal(H, np.stack([records[0]] * 3))


def test_real_records_become_complex(recording, records):
    H = Recorded(recording(records.real)).draw(ARRAY, 3, [0], [])
    np.testing.assert_array_equal(H[0], records[0].real)


def test_conjugation_and_the_name_of_the_variable_are_options(recording, records):
    path = recording(records, "measured")
    H = Recorded(path, variable="measured", conjugate=True).draw(ARRAY, 3, [2], [])
    np.testing.assert_array_equal(H[0], np.conj(records[2]))


def test_axes_that_matlab_drops_at_the_end_are_put_back(tmp_path, records):
    # MATLAB has no trailing axes of length one: one user leaves (trial, antenna).
    for write in (write_mat5, write_mat73):
        write(tmp_path / "H.mat", records[..., 0])
        H = Recorded(tmp_path / "H.mat").draw(ARRAY, 1, [1], [])
        np.testing.assert_array_equal(H[0], records[1][:, :1])


def compound(records, names, parts):
    """Records as compounds with the fields ``names``."""
    array = np.empty(records.shape, dtype=[(name, "<f8") for name in names])
    for name, part in zip(names, parts, strict=True):
        array[name] = part
    return array


COMPOUND = {"npz": write_npz, "h5": write_h5}


@pytest.mark.parametrize("kind", sorted(COMPOUND))
@pytest.mark.parametrize(
    ("names", "turned"),
    [(("real", "imag"), 1), (("imag", "real"), -1), (("i", "r"), -1), (("Im", "Re"), -1), (("IMAG", "REAL"), -1)],
)
def test_parts_of_complex_numbers_are_told_by_their_names(tmp_path, records, kind, names, turned):
    path = tmp_path / f"H.{kind}"
    COMPOUND[kind](path, compound(records, names, (records.real, records.imag)[::turned]))
    np.testing.assert_array_equal(Recorded(path).draw(ARRAY, 3, range(5), []), records)


@pytest.mark.parametrize("kind", sorted(COMPOUND))
@pytest.mark.parametrize(
    "names", [("abs", "phase"), ("x", "y"), ("real", "phase"), ("real", "re"), ("real", "imag", "weight"), ("real",)]
)
def test_compounds_that_are_no_real_and_imaginary_part_are_refused_with_their_names(tmp_path, records, kind, names):
    path = tmp_path / f"H.{kind}"
    COMPOUND[kind](path, compound(records, names, [records.real] * len(names)))
    told = f"path: must hold complex numbers in 'H' as a real and an imaginary part, got .*{', '.join(names)}"
    with pytest.raises(InvalidInput, match=f"{told}.*variable = 'H.{names[0]}' is one field"):
        Recorded(path).draw(ARRAY, 3, [0], [])


@pytest.mark.parametrize("kind", sorted(COMPOUND))
def test_fields_of_compounds_are_variables(tmp_path, records, kind):
    path = tmp_path / f"H.{kind}"
    COMPOUND[kind](path, compound(records, ("Q", "I"), (records.imag, records.real)))
    recorded = Recorded(path, variable="H.I", imaginary_variable="H.Q")
    np.testing.assert_array_equal(recorded.draw(ARRAY, 3, range(5), []), records)
    with pytest.raises(InvalidInput, match=r"variable: must be an array in .*, got 'H.i'. Did you mean 'H.I'"):
        Recorded(path, variable="H.i").draw(ARRAY, 3, [0], [])


def test_an_array_of_its_own_file_is_called_h(tmp_path, records):
    np.save(tmp_path / "channels.npy", records)
    path = tmp_path / "channels.npy"
    np.testing.assert_array_equal(Recorded(path).draw(ARRAY, 3, range(5), []), records)
    with pytest.raises(InvalidInput, match="variable: must be an array in channels.npy, got 'G'. Valid: H"):
        Recorded(path, variable="G").draw(ARRAY, 3, [0], [])


@pytest.mark.parametrize("shape", [(0, 4, 3), (5, 0, 3), (5, 4, 0)])
def test_an_array_without_entries_is_refused(tmp_path, shape):
    write_npz(tmp_path / "H.npz", np.zeros(shape, complex))
    with pytest.raises(InvalidInput, match="variable: must be an array with entries, got 'H'"):
        Recorded(tmp_path / "H.npz", wrap=True).draw(ARRAY, 3, [0], [])


def test_a_structure_of_matlab_is_refused_with_the_names_of_its_fields(tmp_path, records):
    savemat(tmp_path / "H.mat", {"H": {"abs": np.abs(records), "phase": np.angle(records)}})
    with pytest.raises(InvalidInput, match="path: must hold complex numbers .*with the fields abs, phase"):
        Recorded(tmp_path / "H.mat").draw(ARRAY, 3, [0], [])


def test_hdf5_variables_may_lie_in_groups(tmp_path, records):
    with h5py.File(tmp_path / "H.h5", "w") as file:
        file["campaign/day1"] = records
    recorded = Recorded(tmp_path / "H.h5", variable="campaign/day1")
    np.testing.assert_array_equal(recorded.draw(ARRAY, 3, [4], [])[0], records[4])
    with pytest.raises(InvalidInput, match="variable: must be an array in H.h5, got 'campaign'"):
        Recorded(tmp_path / "H.h5", variable="campaign").draw(ARRAY, 3, [4], [])


def test_more_trials_than_records_wrap_only_when_asked_to(recording, records):
    path = recording(records)
    with pytest.raises(
        InvalidInput, match="trials: must be at most 5, the number of records in H.*, got 6.*wrap = true"
    ):
        Recorded(path).draw(ARRAY, 3, [2, 5], [])
    np.testing.assert_array_equal(Recorded(path, wrap=True).draw(ARRAY, 3, [2, 5, 11], []), records[[2, 0, 1]])


def test_another_number_of_antennas_or_users_is_refused(recording, records):
    path = recording(records)
    with pytest.raises(InvalidInput, match="channel: must have 6 antennas and 3 users, got '?4 and 3.*set `axes`"):
        Recorded(path).draw(UniformLinearArray(6), 3, [0], [])
    with pytest.raises(InvalidInput, match="channel: must have 4 antennas and 2 users"):
        Recorded(path).draw(ARRAY, 2, [0], [])


def test_a_missing_variable_names_those_that_are_there(recording, records):
    with pytest.raises(InvalidInput, match="variable: must be an array in H.*, got 'h'.*Valid: H, other"):
        Recorded(recording(records), variable="h").draw(ARRAY, 3, [0], [])


def test_axes_must_name_the_axes_of_the_array(recording, kit):
    path = recording(kit.complex_gaussian((2, 5, 4, 3), 0))
    with pytest.raises(InvalidInput, match=r"axes: must name the 4 axes of 'H', got .*Its shape is \(2, 5, 4, 3\)"):
        Recorded(path).draw(ARRAY, 3, [0], [])
    for bad in (("trial", "antenna"), ("antenna", "antenna", "user"), ("time", "antenna", "user"), ()):
        with pytest.raises(
            InvalidInput, match="axes: must be an order of .*(Name each axis once|'time' is none. Valid: antenna, )"
        ):
            Recorded(path, axes=bad)
    with pytest.raises(InvalidInput, match=r"axes: must be a list of names.*Write axes = \['antenna', 'user'\]"):
        Recorded(path, axes="antenna, user")


def test_channels_that_are_not_finite_are_refused(recording, records):
    records[1, 2, 0] = np.nan
    recorded = Recorded(recording(records))
    with pytest.raises(InvalidInput, match="path: must hold finite channels in record 1, .*Remove NaN"):
        recorded.draw(ARRAY, 3, [0, 1], [])
    # The other records are as good as they were.
    np.testing.assert_array_equal(recorded.draw(ARRAY, 3, [0, 2], []), records[[0, 2]])


def test_text_instead_of_channels_is_refused(tmp_path):
    np.savez(tmp_path / "H.npz", H=np.array([[["a"]]]))
    with pytest.raises(InvalidInput, match="path: must hold numbers, got .*Check `variable`"):
        Recorded(tmp_path / "H.npz").draw(ARRAY, 3, [0], [])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"neither one nor the other " * 40])
@pytest.mark.parametrize("suffix", [".npz", ".mat", ".h5"])
def test_what_is_no_recording_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"H{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        InvalidInput,
        match="path: must be an .npy, .npz, .mat or HDF5 file, got .*could not be read: (?!.*pickle).*numpy.savez",
    ):
        Recorded(path).draw(ARRAY, 3, [0], [])


def test_a_missing_file_is_refused_at_once(tmp_path):
    with pytest.raises(InvalidInput, match=r"path: must be a file that exists, got .*none.npz.*Check the path"):
        Recorded(tmp_path / "none.npz")


def test_a_file_with_a_record_that_is_not_finite_is_doubted_and_the_others_are_drawn(tmp_path):
    H = np.ones((3, 4, 2), complex)
    H[1, 2, 0] = np.inf
    np.savez(tmp_path / "H.npz", H=H)
    channel = Recorded(tmp_path / "H.npz")
    with pytest.warns(PlausibilityWarning, match="1 of 3 with NaN or infinity, the first of them record 1"):
        drawn = channel.draw(UniformLinearArray(4), 2, (0, 2), [None, None])
    np.testing.assert_array_equal(drawn, H[::2])
    with pytest.raises(InvalidInput, match="must hold finite channels in record 1"):
        channel.draw(UniformLinearArray(4), 2, (1,), [None])


@pytest.mark.parametrize("factor", [1e-300, 1e-200, 1e200, 1e300])
def test_the_order_of_elements_is_seen_in_channels_of_any_size(tmp_path, factor):
    array = UniformPlanarArray(2, 8)  # of a square one the other order is a wave as well, from elsewhere
    H = array.steering(np.linspace(-0.8, 0.8, 30), np.linspace(0.9, 2.0, 30)).reshape(30, 2, 8).swapaxes(1, 2)
    np.savez(tmp_path / "H.npz", H=factor * H.reshape(30, 16, 1))
    with pytest.raises(InvalidInput, match="element_order: must be said where channels in line of sight show 'hor"):
        Recorded(tmp_path / "H.npz").draw(array, 1, (0,), [None])


def test_the_fingerprint_follows_the_content_and_workers_read_the_file_themselves(recording, records):
    path = recording(records)
    recorded = Recorded(path)
    before = recorded.fingerprint
    assert recorded.draw(ARRAY, 3, [0], []).shape == (1, 4, 3)
    sent = pickle.dumps(recorded)
    assert len(sent) < 1000
    again = pickle.loads(sent)
    assert again == recorded
    np.testing.assert_array_equal(again.draw(ARRAY, 3, [2], [])[0], records[2])
    recording(2 * records)
    assert Recorded(path).fingerprint != before
