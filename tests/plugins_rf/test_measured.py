"""Devices from files: closed forms that sampled tables reach, units, and what is refused with file, line and column."""

import numpy as np
import pytest
from scipy.io import savemat

import isacsim
from isacsim import Chain, InvalidInput, MidRise, Transceiver
from isacsim.hardware.probing import maps_of
from isacsim.testing import check_hardware

pytest.importorskip("isacsim_rf", reason="the RF plugin is not installed")
from isacsim_rf.amplifiers import Rapp, Saleh
from isacsim_rf.measured import MeasuredAmplifier, MeasuredConverter
from isacsim_rf.plugin import DATA

LOW, HIGH = -20.0, 20.0  # dB about saturation


def covariance(kit, streams=2, chains=3):
    A = kit.complex_gaussian((chains, streams), 4)
    return A @ A.conj().T


def sampled(device, path, step, header="input_dbm,output_dbm,phase_deg"):
    """A table of a device of 1 W, as a laboratory would write it."""
    drive = np.arange(LOW, HIGH + step / 2, step)
    x = np.sqrt(10 ** (drive / 10)) + 0j
    y = device.apply(x[None])[0]
    rows = np.stack([drive + 30, 20 * np.log10(np.abs(y)) + 30, np.rad2deg(np.angle(y))], axis=-1)
    path.write_text("\n".join([header, *(",".join(f"{value:.12g}" for value in row) for row in rows)]))
    return rows


@pytest.mark.parametrize("device", [Rapp(1.0), Saleh(1.0)])
def test_a_sampled_model_is_reached_as_the_steps_shrink(kit, tmp_path, device):
    R, off = covariance(kit), []
    exact = device.linear_model(R)
    for step in (1.0, 0.5):
        sampled(device, tmp_path / "table.csv", step)
        model = MeasuredAmplifier(tmp_path / "table.csv").linear_model(R)
        off.append(np.abs(model.distortion - exact.distortion).max() / np.abs(exact.distortion).max())
        np.testing.assert_allclose(model.gain, exact.gain, rtol=3e-4)
    # PCHIP is of third order away from extrema, and of second at the peak of Saleh's output.
    assert off[0] < 2e-3
    assert off[1] < off[0] / 3


def test_the_exact_model_is_that_of_the_interpolated_curve_by_samples_alone(kit, tmp_path):
    sampled(Saleh(1.0), tmp_path / "table.csv", 2.0)
    device = MeasuredAmplifier(tmp_path / "table.csv")
    R = covariance(kit)

    class Opaque(isacsim.Hardware):
        def apply(self, x, rng=None, *, power=None):
            return device.apply(x)

    one, other = device.linear_model(R), Opaque().linear_model(R)
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-8)
    np.testing.assert_allclose(one.distortion, other.distortion, atol=1e-7 * np.abs(one.distortion).max())


def test_units_are_said_by_the_names_of_the_columns(tmp_path):
    rows = sampled(Rapp(1.0), tmp_path / "dbm.csv", 1.0)
    volts = np.sqrt(2 * 50 * 10 ** ((rows[:, :2] - 30) / 10))
    np.savez(tmp_path / "table.npz", input_volt=volts[:, 0], output_volt=volts[:, 1], phase_rad=np.deg2rad(rows[:, 2]))
    savemat(tmp_path / "table.mat", {"input_dbm": rows[:, 0], "gain_db": rows[:, 1] - rows[:, 0], "note": "bench 3"})
    lines = ["! power sweep", "# Hz S DB R 50", *(" ".join(map(str, row)) for row in rows)]
    (tmp_path / "table.s2p").write_text("\n".join(lines))
    x = np.linspace(0.01, 3, 50)[None] + 0j
    expected = MeasuredAmplifier(tmp_path / "dbm.csv").apply(x)
    columns = ["input_dbm", "output_dbm", "phase_deg"]
    for device in (
        MeasuredAmplifier(tmp_path / "table.npz"),
        MeasuredAmplifier(tmp_path / "table.mat"),
        MeasuredAmplifier(tmp_path / "table.s2p", columns=columns),
    ):
        np.testing.assert_allclose(device.apply(x), expected, rtol=1e-9)


def test_beyond_the_table_the_gain_and_the_output_stay(tmp_path):
    sampled(Rapp(1.0), tmp_path / "table.csv", 1.0)
    device = MeasuredAmplifier(tmp_path / "table.csv")
    y = np.abs(device.apply(np.array([[1e-6, 1e-4, 10.0, 1e3]]) + 0j))[0]
    np.testing.assert_allclose(y[0] / 1e-6, y[1] / 1e-4, rtol=1e-12)
    np.testing.assert_allclose(y[2], y[3], rtol=1e-12)
    gained = MeasuredAmplifier(DATA / "amplifier.csv")
    plain = MeasuredAmplifier(DATA / "amplifier.csv", unit_gain=True)
    np.testing.assert_allclose(
        gained.apply(x := np.array([[0.1 + 0j]])), 10 * plain.apply(x), rtol=1e-3
    )  # the first row turns by 0.01 deg
    np.testing.assert_allclose(plain.apply(np.array([[1e-6 + 0j]])), 1e-6, rtol=1e-12)


def test_without_errors_a_converter_is_the_uniform_one(kit, tmp_path):
    (tmp_path / "dac.csv").write_text("inl_lsb\n" + "0\n" * 8)
    (tmp_path / "adc.csv").write_text("dnl_lsb\n" + "0\n" * 7)
    R, x = np.eye(3) + 0.5j * (np.eye(3, k=1) - np.eye(3, k=-1)), kit.complex_gaussian((3, 100), 1)
    step = 2 * np.sqrt(0.5) * MidRise(3).codebook(3).step / 2  # of the part of a chain of 1 W
    full_scale = (8 * step / 2) ** 2
    for converts in ("dac", "adc"):
        device = MeasuredConverter(tmp_path / f"{converts}.csv", full_scale, converts)
        np.testing.assert_allclose(device.apply(x), MidRise(3).apply(x, power=np.ones(3)), rtol=1e-12)
        one, other = device.linear_model(R), MidRise(3).linear_model(R)
        np.testing.assert_allclose(one.gain, other.gain, rtol=1e-12)
        np.testing.assert_allclose(one.distortion, other.distortion, atol=1e-12)
        assert device.resolution(2).tolist() == [3.0, 3.0]


@pytest.mark.parametrize("converts", ["dac", "adc"])
def test_a_converter_with_errors_has_the_model_of_its_samples(kit, tmp_path, converts):
    inl = np.array([0.0, 0.4, -0.2, 0.3, 0.6, 0.1, -0.3, 0.2])[: 8 if converts == "dac" else 7]
    (tmp_path / "table.csv").write_text("code; inl_lsb\n" + "\n".join(f"{k}; {v}" for k, v in enumerate(inl)))
    device = MeasuredConverter(tmp_path / "table.csv", 4.0, converts)

    class Opaque(isacsim.Hardware):
        def apply(self, x, rng=None, *, power=None):
            return device.apply(x)

    R = covariance(kit)
    one, other = device.linear_model(R), Opaque().linear_model(R)
    np.testing.assert_allclose(one.gain, other.gain, rtol=1e-11)
    np.testing.assert_allclose(one.distortion, other.distortion, atol=1e-10 * np.abs(one.distortion).max())
    check_hardware(device, chains=2, samples=2**15)


def test_a_measured_amplifier_keeps_the_contract_of_hardware():
    check_hardware(MeasuredAmplifier(DATA / "amplifier.csv"), chains=2, samples=2**14)


def test_a_fine_converter_is_told_with_little_error(kit):
    device = MeasuredConverter(DATA / "converter.csv", 4.0)
    R = covariance(kit) / 4
    x = np.linalg.cholesky(R + 1e-12 * np.eye(3)) @ kit.complex_gaussian((3, 200_000), 3)
    model = device.linear_model(R)
    q = device.apply(x) - model.gain[:, None] * x
    power = np.mean(np.abs(q) ** 2, axis=-1)
    np.testing.assert_allclose(power, model.distortion_power, rtol=0.02)  # four standard errors


def test_measured_stages_in_series_are_one_map():
    chain = Chain(MidRise(3), MeasuredAmplifier(DATA / "amplifier.csv", unit_gain=True))
    (whole,) = chain._parts(2)
    assert type(maps_of(whole, 2)).__name__ == "Cells"


def test_a_design_goes_through_a_measured_amplifier(kit):
    device = MeasuredAmplifier(DATA / "amplifier.csv")
    one = isacsim.SqnrMax(
        H=kit.complex_gaussian((3, 1), 0), G=kit.complex_gaussian((3, 3), 1), min_sqinr=2.0, power=3.0, noise_power=0.1,
        radar_noise_power=0.1, transceiver=Transceiver(transmit=device),
    )  # fmt: skip
    found = isacsim.solve(one, starts="believed", max_steps=20)
    assert one.constraints(found.precoder)["sqinr"].min() >= -1e-9


GOOD = "input_dbm,output_dbm\n0,0\n1,1\n2,2\n3,2.5\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "must have rows, got 'table.csv'"),
        ("0,0\n1,1\n", "must say what its columns are, got 'table.csv, line 1'"),
        ("drive,out\n0,0\n1,1\n", "must have columns of the names input_dbm.*got 'table.csv with drive, out'"),
        ("input_dbm,phase_deg\n0,0\n1,1\n2,2\n3,3\n", "must have an output, output_dbm or output_volt"),
        (GOOD + "4,x\n", r"must hold numbers, got .*table.csv, line 6, column 2 \(output_dbm\): 'x'"),
        (GOOD + "# a remark\n4;2,6\n", "must have 2 columns in each line.*table.csv, line 7: 3 of them"),
        (GOOD + "3,2.6\n", "must have its drives in ascending order, got 'table.csv, row 5"),
        (GOOD + "nan,2.6\n", "must hold finite numbers, got 'table.csv, row 5 of input_dbm'"),
        ("input_dbm,output_dbm\n0,0\n1,1\n", "must have at least 4 rows"),
        (
            "input_volt,output_volt\n0,0\n1,1\n2,2\n3,3\n",
            "must hold positive amplitudes, got 'table.csv, row 1 of input_volt",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused_with_its_place(tmp_path, text, told):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InvalidInput, match=f"path: {told}"):
        MeasuredAmplifier(tmp_path / "table.csv")


def test_other_files_are_refused_in_words(tmp_path):
    with pytest.raises(InvalidInput, match="path: must be a file that exists"):
        MeasuredAmplifier(tmp_path / "none.csv")
    (tmp_path / "broken.mat").write_bytes(b"MATLAB" * 40)
    with pytest.raises(InvalidInput, match=r"path: must be a .npz or .mat file of arrays.*save -v7"):
        MeasuredAmplifier(tmp_path / "broken.mat")
    np.savez(tmp_path / "uneven.npz", input_dbm=np.arange(5.0), output_dbm=np.arange(4.0))
    with pytest.raises(
        InvalidInput, match="must have columns of one length, got 'uneven.npz: input_dbm 5, output_dbm 4'"
    ):
        MeasuredAmplifier(tmp_path / "uneven.npz")
    (tmp_path / "adc.csv").write_text("dnl_lsb\n0\n-1.5\n0\n")
    with pytest.raises(InvalidInput, match="must have thresholds in ascending order, got 'adc.csv, row 2"):
        MeasuredConverter(tmp_path / "adc.csv", 1.0, "adc")


def test_what_is_in_the_file_is_part_of_the_address(tmp_path):
    (tmp_path / "table.csv").write_text(GOOD)
    first = MeasuredAmplifier(tmp_path / "table.csv").fingerprint
    (tmp_path / "table.csv").write_text(GOOD + "4,2.6\n")
    assert MeasuredAmplifier(tmp_path / "table.csv").fingerprint != first
