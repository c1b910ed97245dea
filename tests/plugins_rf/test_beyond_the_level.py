"""Hardware far from the level it is made for: what it no longer passes is nothing, and never NaN."""

import numpy as np
import pytest
from isacsim_rf.amplifiers import Rapp, Saleh
from isacsim_rf.converters import ClippingDac

from isacsim import Ideal, InvalidInput, Transceiver, metrics

DEAF = ClippingDac(bits=2, full_scale=1.0)  # mid-tread: what is far below half a step comes out as zero
FAINT = 1e-20


def test_a_user_behind_a_converter_that_puts_out_nothing_has_an_sqinr_of_zero():
    assert not DEAF.linear_model(FAINT * np.eye(1)).gain.any()  # else this would test nothing
    found = metrics.sqinr(np.eye(2), np.sqrt(FAINT) * np.eye(2), FAINT, Transceiver(user=DEAF))
    np.testing.assert_array_equal(found, np.zeros(2))


def test_a_radar_behind_a_converter_that_puts_out_nothing_has_an_sqnr_of_zero_and_no_bound():
    hardware = Transceiver(receive=DEAF)
    G = W = np.sqrt(np.sqrt(FAINT)) * np.eye(2)
    assert metrics.radar_sqnr(G, W, FAINT, hardware) == 0
    assert metrics.response_crb(G, W, FAINT, 10, hardware) == np.inf


@pytest.mark.parametrize("amplifier", [Rapp(saturation=1e-300), Saleh(saturation=1e-300)])
def test_an_amplifier_driven_beyond_all_measure_puts_out_numbers(amplifier):
    with np.errstate(all="ignore"):
        y = amplifier.apply(np.full((1, 3), 1e20 + 0j))
    assert np.isfinite(y).all()


@pytest.mark.parametrize("stage", [Ideal(), DEAF, Rapp(saturation=1.0)])
@pytest.mark.parametrize("value", ["12", np.float64(3.0), [[1.0], [1.0, 2.0]], None])
def test_what_are_no_samples_or_no_covariance_is_refused(stage, value):
    with pytest.raises(InvalidInput):
        stage.apply(value)
    with pytest.raises(InvalidInput):
        stage.linear_model(value)
