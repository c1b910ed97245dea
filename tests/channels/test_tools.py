"""Files of Sionna and DeepMIMO as these programs wrote them, and of QuaDRiGa as its `mat_save` does."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from isacsim import Grid, InvalidInput, UniformPlanarArray
from isacsim.channels.recorded import Recorded

DATA = Path(__file__).parents[1] / "data" / "recorded"
PANEL = UniformPlanarArray(3, 2)
TOPDOWN = {"element_order": "vertical-fastest-from-top", "phase": "positive"}
ANGLES = {"azimuth_variable": "azimuth", "zenith_variable": "zenith"}
SINGLE = 1e-6  # relative: the programs compute and write complex64


def band(found, frequencies):
    """Path coefficients (..., path) and delays as a response on frequencies about the carrier."""
    a, tau = found
    return (a[..., None] * np.exp(-2j * np.pi * frequencies * tau[..., None])).sum(axis=-2)


@pytest.mark.parametrize("file", ["sionna-synthetic", "sionna-elements"])
def test_paths_of_sionna_are_its_own_frequency_response(file):
    grid = Grid(8, 240e3, active=7)  # an odd number, of which the reverse has the same carrier
    pathwise = Recorded(DATA / f"{file}.npz", variable="a", delay_variable="tau", layout="sionna", **TOPDOWN)
    whole = Recorded(DATA / f"{file}.npz", variable="h", layout="sionna-ofdm", **TOPDOWN)
    found, expected = (channel.draw_band(grid, PANEL, 3, [0], []) for channel in (pathwise, whole))
    np.testing.assert_allclose(found, expected, atol=4 * SINGLE * np.abs(expected).max())
    assert pathwise.delays.shape == (1, 2, 1 if file == "sionna-synthetic" else 6, 3)


def test_the_panel_of_sionna_counts_from_the_top():
    file, panel = DATA / "sionna-synthetic.npz", UniformPlanarArray(3, 2)
    said = {"variable": "a", "layout": "sionna", "paths": 0, **ANGLES}
    told = Recorded(file, element_order="vertical-fastest-from-top", phase="positive", **said)
    H = told.draw(panel, 3, [0], [])[0]
    with np.load(file) as content:
        a = panel.steering(np.deg2rad(content["azimuth"]), np.deg2rad(content["zenith"])).T
    share = np.abs((np.conj(a) * H).sum(axis=0)) ** 2 / (np.abs(a) ** 2).sum(axis=0) / (np.abs(H) ** 2).sum(axis=0)
    # A synthetic array sees plane waves. The phases are of single precision.
    np.testing.assert_allclose(share, 1, atol=1e-5)
    with pytest.raises(InvalidInput, match="Set element_order = 'vertical-fastest-from-top' and phase = 'positive'"):
        Recorded(file, element_order="vertical-fastest", phase="positive", **said).draw(panel, 3, [0], [])


def test_paths_of_deepmimo_are_its_own_frequency_response():
    said = {"element_order": "horizontal-fastest", "phase": "positive", **ANGLES}
    whole = Recorded(DATA / "deepmimo-ofdm.npz", layout="deepmimo", **said)
    pathwise = Recorded(DATA / "deepmimo-paths.npz", layout="deepmimo-paths", delay_variable="delay", **said)
    assert (whole.records.shape, pathwise.records.shape) == ((1, 16, 6, 3), (1, 2, 6, 3))
    # Its subcarriers begin at the carrier, and share the power of all.
    a, tau = np.moveaxis(pathwise.records[0], 0, -1), np.moveaxis(pathwise.delays[0], 0, -1)
    expected = band((a, tau), np.arange(16) * 240e3) / np.sqrt(16)
    np.testing.assert_allclose(np.moveaxis(whole.records[0], 0, -1), expected, atol=4 * SINGLE * np.abs(expected).max())
    assert np.isfinite(pathwise.draw_band(Grid(16, 240e3), PANEL, 3, [0], [])).all()
    wrong = Recorded(DATA / "deepmimo-paths.npz", layout="deepmimo-paths", **{**ANGLES, **TOPDOWN})
    with pytest.raises(InvalidInput, match="Set element_order = 'horizontal-fastest' and phase = 'positive'"):
        wrong.draw(PANEL, 3, [0], [])


def test_moments_of_deepmimo_are_one_axis_more(tmp_path, kit):
    H = kit.complex_gaussian((3, 1, 6, 16, 5), 0)  # as `compute_channels` returns for five times
    np.savez(tmp_path / "H.npz", H=H)
    found = Recorded(tmp_path / "H.npz", layout="deepmimo", subcarrier=2, snapshot="trial").draw(PANEL, 3, [4], [])
    np.testing.assert_array_equal(found[0], H[:, 0, :, 2, 4].T)


def save_links(path, links, delays, individual):
    """What `qd_channel.mat_save` of QuaDRiGa 2.8 writes of links, coefficients (receive, transmit, path, snapshot)."""
    content = {"ChannelDims": np.array([[1, len(links), 1, 1]]), "Order": np.zeros((1, 65535), np.uint16)}
    for i, (coeff, delay) in enumerate(zip(links, delays, strict=True), 1):
        content[f"channel_{i:05d}_Name"] = f"Tx01_Rx{i:02d}"
        content[f"channel_{i:05d}_Coeffs"] = coeff.astype(np.complex64)
        content[f"channel_{i:05d}_Delays"] = delay.astype(np.float32)
        content[f"channel_{i:05d}_IndividualDelays"] = np.array([[individual]])
        content[f"channel_{i:05d}_tx_position"] = np.zeros((3, 1), np.float32)
    savemat(path, content, long_field_names=True)


@pytest.mark.parametrize("individual", [False, True])
def test_links_of_quadriga_are_users_of_as_many_paths_as_they_have(tmp_path, kit, individual):
    grid, moments = Grid(8, 240e3, active=7), 3
    links = [kit.complex_gaussian((1, 6, paths, moments), paths) for paths in (4, 2)]
    per_path = [1e-7 * np.arange(1, a.shape[2] + 1)[:, None] + np.zeros((1, moments)) for a in links]
    # Each antenna a little later than the one before.
    late = 1e-9 * np.arange(6)[None, :, None, None] * individual
    each = [delay + late for delay in per_path]
    save_links(tmp_path / "links.mat", links, each if individual else per_path, individual)
    channel = Recorded(
        tmp_path / "links.mat", variable="channel_*_Coeffs", delay_variable="channel_*_Delays", layout="quadriga",
        snapshot=2, phase="positive",
    )  # fmt: skip
    H = channel.draw_band(grid, PANEL, 2, [0], [])[0]
    for user, (a, tau) in enumerate(zip(links, each, strict=True)):
        # Entries that are not conjugated turn the other way over frequency.
        expected = band((a[0, ..., 2], np.broadcast_to(tau, a.shape)[0, ..., 2]), -grid.frequencies)
        np.testing.assert_allclose(H[..., user], expected.T, atol=4 * SINGLE * np.abs(expected).max())
    with pytest.raises(InvalidInput, match=r"must be an array in links.mat, got 'chanel_\*_Coeffs'.*channel_00001_C"):
        Recorded(tmp_path / "links.mat", variable="chanel_*_Coeffs", layout="quadriga").draw(PANEL, 2, [0], [])


def test_antennas_are_summed_only_where_they_share_their_delays(tmp_path, kit):
    links = [kit.complex_gaussian((2, 6, 3, 1), seed) for seed in range(2)]
    save_links(tmp_path / "links.mat", links, [np.full(a.shape, 1e-7) for a in links], True)
    said = {"variable": "channel_*_Coeffs", "delay_variable": "channel_*_Delays", "layout": "quadriga"}
    with pytest.raises(InvalidInput, match="receive: must be one antenna, 'user' or 'trial'.* Set receive = 0"):
        Recorded(tmp_path / "links.mat", receive="sum", **said).draw_band(Grid(8, 240e3), PANEL, 2, [0], [])
    H = Recorded(tmp_path / "links.mat", receive="user", **said).draw_band(Grid(8, 240e3), PANEL, 4, [0], [])
    assert H.shape == (1, 8, 6, 4)
