"""Fisher information on a grid: reference data, closed forms, and the narrowband FIM as one subcarrier."""

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve

from isacsim import Aqnm, InvalidInput, PointTargets, Transceiver, UniformLinearArray, UniformPlanarArray
from isacsim.batch import hermitian
from isacsim.drop import WidebandDrop
from isacsim.grid import LIGHT, Grid
from isacsim.link import WidebandLink
from isacsim.metrics import fim
from isacsim.metrics.band_bounds import RangeCrlb, RangeRmseBound, VelocityCrlb, VelocityRmseBound
from isacsim.metrics.bounds import AngleRmseBound, CrlbTrace
from isacsim.metrics.delay_doppler import (
    information_of_band,
    information_on_grid,
    kinds_of,
    require_unambiguous,
    static_kept,
)

DATA = Path(__file__).parents[1] / "data" / "wideband"
ALL = ("azimuth", "zenith", "delay", "doppler", "reflection")


def grid_of(z):
    """The grid of a reference file, whose wavelength is not told: a carrier that makes 2 v / wavelength = v / 1 m."""
    f, t = z["frequencies"], z["times"]
    spacing = float(f[1] - f[0])
    prefix = round(1000 * (float(t[1] - t[0]) * spacing - 1))
    return Grid(1000, spacing, symbols=len(t), active=len(f), prefix=prefix, carrier=LIGHT / 2)


@pytest.mark.parametrize("case", range(10))
def test_information_and_bounds_are_those_of_differences_of_the_mean(case):
    z = np.load(DATA / f"fim_{case:02d}.npz")
    sizes = [int(n) for n in z["arrays"]]
    planar = "zenith" in z["kinds"]
    arrays = (
        (UniformPlanarArray(*sizes[:2]), UniformPlanarArray(*sizes[2:]))
        if planar
        else (UniformLinearArray(sizes[0]), UniformLinearArray(sizes[2]))
    )
    targets = PointTargets(*arrays, z["azimuth"], z["zenith"], z["reflection"], z["delay"], z["doppler"])
    grid = grid_of(z)
    np.testing.assert_allclose(grid.frequencies, z["frequencies"])
    np.testing.assert_allclose(grid.times, z["times"], rtol=1e-12)
    C = z["receive_gain"][:, None] * targets.receive_basis()
    noise, F = z["noise"], grid.used
    whole = noise if noise.ndim == 3 else np.broadcast_to(noise, (F, len(C)))[..., None] * np.eye(len(C))
    S = hermitian(C) @ np.linalg.solve(whole, np.broadcast_to(C, (F, *C.shape)))
    V = targets.transmit_basis()
    K = hermitian(V) @ (z["W"] @ hermitian(z["W"])) @ V
    found = information_on_grid(targets, S, K, grid, ALL)
    scale = 1 / np.sqrt(np.diagonal(z["fim"]))
    np.testing.assert_allclose(found.F * np.outer(scale, scale), z["fim"] * np.outer(scale, scale), atol=1e-9)
    np.testing.assert_allclose(found.bounds, z["crlb"], rtol=1e-6)


def link_of(grid, targets, hardware=None, streams=2, seed=0):
    tx, rx = targets.tx_array, targets.rx_array
    rng = np.random.default_rng(seed)
    shape = (1, grid.used, tx.size, streams)
    W = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    drop = WidebandDrop(
        H=np.ones((1, grid.used, tx.size, 1)),
        targets=targets,
        tx_array=tx,
        rx_array=rx,
        power=1.0,
        noise_power=[1.0],
        radar_noise_power=np.array([0.1]),
        grid=grid,
        snapshots=grid.symbols,
    )
    return WidebandLink(W, drop, hardware or Transceiver())


@pytest.mark.parametrize("hardware", [Transceiver(), Transceiver(Aqnm(2), Aqnm(3))], ids=["ideal", "converters"])
def test_one_subcarrier_without_delay_is_the_narrowband_information(hardware):
    array = UniformPlanarArray(2, 3)
    targets = PointTargets(array, array, [[-0.4, 0.5]], [[1.2, 1.4]], [[0.3, 0.2j]])
    link = link_of(Grid(1, 120e3, symbols=7), targets, hardware)
    found = information_of_band(targets, link.echo, link.grid, ("azimuth", "zenith", "reflection"))
    expected = fim(targets, link.W[:, 0], 0.1, 7, hardware)
    np.testing.assert_allclose(found.F, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())
    one = CrlbTrace().measure(link, [])["crlb"]
    np.testing.assert_allclose(one, CrlbTrace().measure(_narrow(link), [])["crlb"], rtol=1e-10)


def _narrow(link):
    from isacsim.link import Link

    each = evolve(link.drop.subcarriers(), targets=link.drop.targets)
    return Link(link.W[:, 0], each, link.transceiver)


def test_one_target_meets_the_closed_forms_of_delay_and_doppler():
    array = UniformLinearArray(1)
    grid = Grid(64, 120e3, symbols=12, active=48, prefix=16)
    targets = PointTargets(array, array, [0.0], np.pi / 2, [0.3 + 0.1j], [1e-7], [30.0])
    link = link_of(grid, targets)
    link = evolve(link, W=np.ones_like(link.W[..., :1]))
    found = information_of_band(targets, link.echo, grid, ("delay", "doppler", "reflection"))
    energy = grid.used * grid.symbols * 0.1 / 0.1  # |alpha|^2 / noise a cell
    delay = 1 / (2 * energy * (2 * np.pi * grid.spacing) ** 2 * (grid.used**2 - 1) / 12)
    doppler = 1 / (2 * energy * (2 * np.pi * grid.duration) ** 2 * (grid.symbols**2 - 1) / 12)
    np.testing.assert_allclose(found.bounds[0, :2], [delay, doppler], rtol=1e-9)
    np.testing.assert_allclose(RangeCrlb(unknowns=("delay", "doppler", "reflection")).value(link)[0, 0],
                               delay * (LIGHT / 2) ** 2, rtol=1e-9)  # fmt: skip
    np.testing.assert_allclose(VelocityCrlb(unknowns=("delay", "doppler", "reflection")).value(link)[0, 0],
                               doppler * (grid.wavelength / 2) ** 2, rtol=1e-9)  # fmt: skip


def test_bounds_on_the_rmse_are_roots_of_the_mean_bound_over_targets():
    array, grid = UniformPlanarArray(2, 3), Grid(16, 120e3, symbols=12)
    targets = PointTargets(array, array, [[-0.4, 0.5]], [[1.2, 1.4]], [[0.3, 0.2j]], [[1e-7, 5e-7]], [[30.0, -5.0]])
    link = link_of(grid, targets)
    for root, bound, unit in ((RangeRmseBound, RangeCrlb, "m"), (VelocityRmseBound, VelocityCrlb, "m/s")):
        np.testing.assert_allclose(root().value(link), np.sqrt(bound().value(link).mean(axis=-1)), rtol=1e-14)
        assert root.quantity.unit == unit
    known = information_of_band(targets, link.echo, grid, ("azimuth", "zenith", "reflection"))
    np.testing.assert_allclose(AngleRmseBound().value(link), np.sqrt(known.bounds[:, :4].mean(axis=-1)), rtol=1e-14)


@pytest.mark.parametrize(("grid", "lost"), [(Grid(1, 120e3, symbols=8), "delay"), (Grid(16, 120e3), "doppler")])
def test_what_one_subcarrier_or_one_symbol_cannot_tell_is_infinite(grid, lost):
    array = UniformLinearArray(4)
    targets = PointTargets(array, array, [0.2], np.pi / 2, [0.3], [1e-7], [3.0])
    echo = link_of(grid, targets).echo
    assert np.all(np.isinf(information_of_band(targets, echo, grid, ("azimuth", lost, "reflection")).bounds))
    assert np.all(np.isfinite(information_of_band(targets, echo, grid, ("azimuth", "reflection")).bounds))


def test_two_targets_alike_in_all_three_cannot_be_told_apart_but_in_two_they_can():
    array, grid = UniformLinearArray(4), Grid(16, 120e3, symbols=8)
    same = PointTargets(array, array, [0.2, 0.2], np.pi / 2, [0.3, 0.2j], [1e-7, 1e-7], [3.0, 3.0])
    unknowns = ("azimuth", "delay", "doppler", "reflection")
    assert np.all(np.isinf(information_of_band(same, link_of(grid, same).echo, grid, unknowns).bounds))
    for apart in ({"azimuth": [0.2, 0.4]}, {"delay": [1e-7, 6e-7]}, {"velocity": [3.0, 40.0]}):
        other = evolve(same, **apart)
        assert np.all(np.isfinite(information_of_band(other, link_of(grid, other).echo, grid, unknowns).bounds))


def test_words_and_scenes_that_make_no_sense_are_refused():
    array, grid = UniformLinearArray(4), Grid(16, 120e3, symbols=8)
    targets = PointTargets(array, array, [0.2], np.pi / 2, [0.3])
    with pytest.raises(InvalidInput, match="unknowns"):
        kinds_of(targets, ("colour",))
    with pytest.raises(InvalidInput, match="unknowns"):
        kinds_of(targets, ())
    with pytest.raises(InvalidInput, match="delay"):
        evolve(targets, delay=[-1e-9])
    with pytest.raises(InvalidInput, match=r"targets\.range"):
        require_unambiguous(evolve(targets, delay=[1 / 120e3]), grid)
    with pytest.raises(InvalidInput, match=r"targets\.velocity"):
        require_unambiguous(evolve(targets, velocity=[1e4]), grid)


# Doppler shift in cells, and what removing the mean over symbols costs of delay, Doppler shift and real part, in dB.
REMOVED = [(0.25, 7.2, 13.9, 20.2), (0.5, 2.3, 7.7, 7.0), (1.0, 0.0, 1.6, 0.0), (2.0, 0.0, 0.4, 0.0)]


@pytest.mark.parametrize(("cells", "delay", "doppler", "real"), REMOVED)
def test_removing_what_stands_still_costs_slow_targets_their_bounds(cells, delay, doppler, real):
    # One stream of constant modulus over 16 symbols; the losses are those of the mathematics' own differences.
    tx = rx = UniformLinearArray(6)
    grid = Grid(64, 120e3, symbols=16, prefix=5)
    velocity = cells / (grid.symbols * grid.duration) * grid.wavelength / 2
    targets = PointTargets(tx, rx, [0.2], [np.pi / 2], [0.2], [1e-6], [velocity])
    V, C = targets.transmit_basis(), targets.receive_basis()
    S, K = (np.broadcast_to(hermitian(B) @ B, (64, 3, 3)) for B in (C, V))
    whole, left = (
        information_on_grid(targets, S, K, grid, ("azimuth", "delay", "doppler", "reflection"), kept).bounds
        for kept in (None, static_kept(grid))
    )
    losses = 10 * np.log10(left / whole)[[1, 2, 3]]
    np.testing.assert_allclose(losses, [delay, doppler, real], atol=0.06)


def test_what_stands_still_keeps_no_bound_and_each_stream_takes_a_symbol():
    grid = Grid(8, 120e3, symbols=6)
    np.testing.assert_allclose(static_kept(grid) @ static_kept(grid), static_kept(grid), atol=1e-15)
    np.testing.assert_allclose(np.trace(static_kept(grid, 3)), 3)
    tx = rx = UniformLinearArray(3)
    still = PointTargets(tx, rx, [0.2], [np.pi / 2], [0.2], [1e-6], [0.0])
    link = link_of(grid, still, streams=1)
    assert np.isfinite(RangeCrlb().value(link)).all()
    assert np.isinf(RangeCrlb(static_removed=True).value(link)).all()
