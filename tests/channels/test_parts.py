"""Complex channels out of files of real numbers: two arrays, or an axis of real and imaginary parts."""

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from isacsim import InvalidInput, PlausibilityWarning, UniformLinearArray
from isacsim.channels.parts import partner
from isacsim.channels.recorded import Recorded

ARRAY = UniformLinearArray(4)


def write(path, **arrays):
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".mat":
        savemat(path, arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array
    return path


def drawn(path, **said):
    return Recorded(path, **said).draw(ARRAY, 3, [0, 1], [])


@pytest.fixture
def H(kit):
    return kit.complex_gaussian((2, 4, 3), 0)


@pytest.mark.parametrize("suffix", ["npz", "mat", "h5"])
def test_two_arrays_are_the_parts_of_complex_channels(tmp_path, H, suffix):
    path = write(tmp_path / f"H.{suffix}", chan_re=H.real, chan_im=H.imag)
    np.testing.assert_array_equal(drawn(path, variable="chan_re", imaginary_variable="chan_im"), H)


@pytest.mark.parametrize("place", range(4))
def test_an_axis_of_two_is_that_of_the_parts_wherever_it_lies(tmp_path, H, place):
    path = write(tmp_path / "H.npz", H=np.stack([H.real, H.imag], axis=place))
    axes = ["trial", "antenna", "user"]
    axes.insert(place, "part")
    np.testing.assert_array_equal(drawn(path, axes=axes), H)


def test_parts_along_an_axis_go_with_every_other_axis(tmp_path, kit):
    H = kit.complex_gaussian((3, 2, 4, 5), 0)  # users, their antennas, ours, paths
    path = write(tmp_path / "H.mat", H=np.stack([H.real, H.imag], axis=-1))
    found = drawn(path, axes=["user", "receive", "antenna", "path", "part"], receive=1, paths="sum")
    np.testing.assert_allclose(found[0], H[:, 1].sum(axis=-1).T, rtol=1e-14)


def test_real_numbers_alone_are_told_and_kept(tmp_path, H):
    path = write(tmp_path / "H.npz", H=H.real)
    with pytest.warns(PlausibilityWarning, match=r"variable: should be .* complex .*imaginary_variable.*'part'"):
        np.testing.assert_array_equal(drawn(path), H.real)


REFUSED = [
    # what the file holds, what is said of it, what the message says
    (("re", "im"), {"variable": "H_re"}, "imaginary_variable: must be said where the file has 'H_im' beside 'H_re'"),
    (("re", "im"), {}, "variable: must be an array in H.npz.*set variable = 'H_re' and imaginary_variable = 'H_im'"),
    (("re", "short"), {"variable": "H_re", "imaginary_variable": "H_short"},
     r"imaginary_variable: must have the shape of 'H_re', \(2, 4, 3\), got 'shape \(1, 4, 3\)'"),
    (("re", "all"), {"variable": "H_all", "imaginary_variable": "H_re"},
     "imaginary_variable: must be left out where an array is complex by itself"),
    (("re", "im"), {"variable": "H_re", "imaginary_variable": "H_imag"}, "imaginary_variable: must be an array in H"),
    (("both",), {"variable": "H_both"}, "axes: must name the 4 axes of 'H_both'.*parts, name it 'part' in `axes`"),
    (("both",), {"variable": "H_both", "axes": ("trial", "antenna", "user", "receive")},
     "receive: must say what becomes of 2 entries.*parts, name it 'part' in `axes`"),
    (("re",), {"variable": "H_re", "axes": ("antenna", "user", "part")},
     "axes: must name as 'part' an axis of 2 real entries.*got \"3 real entries in 'H_re'\""),
    (("both",), {"variable": "H_both", "axes": ("trial", "antenna", "user", "part"), "imaginary_variable": "H_both"},
     "imaginary_variable: must be left out where an axis is named 'part'"),
    (("re",), {"variable": "H_re", "axes": ("trial", "antenna", "user", "complex")},
     "axes: must be an order of antenna, user and any of .*part, got 'trial, antenna, user, complex'"),
]  # fmt: skip


@pytest.mark.parametrize(("held", "said", "told"), REFUSED)
def test_what_does_not_say_where_the_parts_are_is_refused_with_the_remedy(tmp_path, H, held, said, told):
    parts = {"re": H.real, "im": H.imag, "short": H.imag[:1], "all": H, "both": np.stack([H.real, H.imag], axis=-1)}
    path = write(tmp_path / "H.npz", **{f"H_{name}": parts[name] for name in held})
    with pytest.raises(InvalidInput, match=told):
        drawn(path, **said)


@pytest.mark.parametrize(
    ("name", "names", "found"),
    [
        ("chan_re", ["chan_im"], "chan_im"), ("Hreal", ["Hr", "Himag"], "Himag"), ("re/H", ["im/H"], "im/H"),
        ("H.r", ["H.i"], "H.i"), ("REAL", ["IMAGINARY"], "IMAGINARY"), ("H", ["H_im", "other"], None),
        ("H1", ["H2"], None), ("re", ["re"], None),
    ],
)  # fmt: skip
def test_the_names_of_both_parts_differ_in_a_word_for_each(name, names, found):
    assert partner(name, names) == found
