"""Each contract of hardware, channels, targets and power models fails on a component that breaks it."""

import random
import warnings
from typing import Any

import numpy as np
import pytest
from attrs import field, frozen

from isacsim import Hardware, Ideal, LinearModel
from isacsim.batch import batched
from isacsim.channels.models import ChannelModel, Rayleigh
from isacsim.hardware.base import chain_power, diagonal_matrix
from isacsim.hardware.power import ConverterPower, PowerModel
from isacsim.random import complex_normal
from isacsim.targets.models import ExtendedTarget, TargetModel
from isacsim.targets.scene import ResponseMatrix, Scene
from isacsim.testing import ContractError, check_channel, check_hardware, check_power_model, check_targets


@frozen
class Device(Hardware):
    """An ideal device, of which each broken one changes a line."""

    def apply(self, x, rng=None, *, power=None):
        return np.array(x)

    def linear_model(self, R):
        return Ideal().linear_model(R)


@frozen
class DropsSample(Device):
    def apply(self, x, rng=None, *, power=None):
        return x[..., :-1]


@frozen
class Realises(Device):
    def apply(self, x, rng=None, *, power=None):
        return x.real


@frozen
class WritesInput(Device):
    def apply(self, x, rng=None, *, power=None):
        x *= 0.5
        return x


@frozen
class DrawsGlobally(Device):
    def apply(self, x, rng=None, *, power=None):
        return x + np.random.standard_normal(x.shape)  # noqa: NPY002


@frozen
class SeedsGlobally(Device):
    def apply(self, x, rng=None, *, power=None):
        np.random.seed(0)  # noqa: NPY002
        return x + np.random.standard_normal(x.shape)  # noqa: NPY002


@frozen
class DrawsElsewhere(Device):
    def apply(self, x, rng=None, *, power=None):
        random.random()
        return np.array(x)


@frozen
class Disturbs(Device):
    def apply(self, x, rng=None, *, power=None):
        np.seterr(all="raise")
        warnings.simplefilter("error")
        return np.array(x)


@frozen
class NormalisesBatch(Device):
    def apply(self, x, rng=None, *, power=None):
        return x / np.sqrt(1 + np.mean(np.abs(x) ** 2)) if x.size else x


@frozen
class DividesByZero(Device):
    def apply(self, x, rng=None, *, power=None):
        with np.errstate(invalid="ignore"):
            return x / np.abs(x)


@frozen
class NeedsSamples(Device):
    def apply(self, x, rng=None, *, power=None):
        return x / np.abs(x).max(initial=None)


@frozen
class ClaimsToBeIdeal(Device):
    is_ideal = True

    def apply(self, x, rng=None, *, power=None):
        return 0.5 * x


@frozen
class ClaimsToBeIdealInItsModel(Device):
    is_ideal = True

    def linear_model(self, R):
        return LinearModel(np.full(R.shape[:-1], 0.5), np.zeros(R.shape[:-1]))


@frozen
class Attenuates(Device):
    def apply(self, x, rng=None, *, power=None):
        return 0.99 * x


@frozen
class AddsNoise(Device):
    """Its model knows of the noise only if it is told how much there is."""

    told: float = 0.0
    full: bool = False

    def apply(self, x, rng=None, *, power=None):
        return x + 0.1 * complex_normal(rng, x.shape)

    def linear_model(self, R):
        noise = np.full_like(chain_power(R), self.told)
        return LinearModel(np.ones(R.shape[:-1]), diagonal_matrix(noise) if self.full else noise)


@frozen
class SharesGain(Device):
    def linear_model(self, R):
        return LinearModel(np.ones(R.shape[-1]), np.zeros(R.shape[:-1]))


@frozen
class HasSquareDistortion(Device):
    """A full distortion covariance, drawn as it is told."""

    kind: str = "negative"

    def linear_model(self, R):
        size = R.shape[-1]
        matrix = {"negative": -np.eye(size), "skew": np.triu(np.ones((size, size)))}[self.kind]
        return LinearModel(np.ones(R.shape[:-1]), np.broadcast_to(matrix, R.shape))


@frozen
class HasNegativeDistortion(Device):
    def linear_model(self, R):
        return LinearModel(np.ones(R.shape[:-1]), np.full(R.shape[:-1], -1e-6))


@frozen
class ModelsSilenceAsNaN(Device):
    def linear_model(self, R):
        power = np.diagonal(R, axis1=-2, axis2=-1).real
        with np.errstate(invalid="ignore"):
            return LinearModel(power / power, np.zeros(power.shape))


@frozen
class ModelsBatch(Device):
    def linear_model(self, R):
        return LinearModel(np.full(R.shape[:-1], 1 + 1e-12 * np.mean(R.real)), np.zeros(R.shape[:-1]))


@frozen
class ModelsNothing(Device):
    def linear_model(self, R):
        raise ZeroDivisionError("no power")


@frozen
class TellsMeanDistortion(Device):
    def linear_model(self, R):
        return LinearModel(np.ones(R.shape[:-1]), np.zeros(R.shape[:-2]))


@frozen
class TiresOut(Device):
    """Takes each length of samples once."""

    def apply(self, x, rng=None, *, power=None):
        if x.shape in TIRED:
            raise RuntimeError("tired")
        TIRED.add(x.shape)
        return np.array(x)


TIRED = set()


@frozen
class ReturnsPair(Device):
    def linear_model(self, R):
        return np.ones(R.shape[:-1]), np.zeros(R.shape[:-1])


@frozen
class Remembers(Device):
    def apply(self, x, rng=None, *, power=None):
        return x + 0.1 * np.roll(x, 1, axis=-1)


@frozen
class HidesItsMemory(Hardware):
    """Says that it has memory, and gives no model."""

    memoryless = False

    def apply(self, x, rng=None, *, power=None):
        return x + 0.1 * np.roll(x, 1, axis=-1)


@frozen
class HasHalfABit(Device):
    def resolution(self, chains):
        return np.full(chains, 0.5)


@frozen
class HasOneResolutionForAll(Device):
    def resolution(self, chains):
        return np.array(6.0)


class IsNoRecord(Hardware):
    """Keeps the contract of hardware, but a scenario cannot say what it is."""

    def apply(self, x, rng=None, *, power=None):
        return np.array(x)


@frozen
class HoldsFunction(Device):
    function: Any = field(default=np.abs)


def fixed(*values):
    """An array that cannot be written to."""
    array = np.array(values)
    array.flags.writeable = False
    return array


@frozen
class ComparesArrays(Device):
    taps: Any = field(factory=lambda: fixed(1.0, 2.0))


@frozen(eq=False)
class NeverEqual(Device):
    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


@frozen(slots=False)
class KeepsMore(Device):
    level: float = 1.0

    def __attrs_post_init__(self):
        object.__setattr__(self, "gain", 2 * self.level)


@frozen
class DoesNotPickle(Device):
    def __reduce__(self):
        raise TypeError("an open file")


@frozen
class ForgetsOnTheWay(Device):
    level: float = 1.0

    def __reduce__(self):
        return type(self), ()


BROKEN_HARDWARE = [
    (DropsSample(), r"give samples of shape \(2, 32\), got \(2, 31\)"),
    (Realises(), "give complex samples, got dtype"),
    (WritesInput(), r"leave its input as it is, got x that differ by"),
    (DrawsGlobally(), "give the same bytes for the same generators"),
    (SeedsGlobally(), "draw from the generators it is given"),
    (DrawsElsewhere(), "draw from the generators it is given, and not from np.random or random"),
    (Disturbs(), "leave the process as it is, got how NumPy handles floating-point errors, filters of warnings"),
    (NormalisesBatch(), "give member 0 of a batch the samples it has alone"),
    (DividesByZero(), "give finite samples for a peak of 0"),
    (Remembers(), "treat each sample by itself, or say `memoryless = False`"),
    (HidesItsMemory(), "have a linear model for a covariance .*must give a linear model where it has memory"),
    (HasHalfABit(), "have a resolution of at least 1 bit in each chain"),
    (HasOneResolutionForAll(), r"have a resolution of shape \(2,\)"),
    (NeedsSamples(), r"take samples of shape \(2, 0\), got ValueError"),
    (ClaimsToBeIdeal(), "pass its input unchanged, as `is_ideal` says"),
    (ClaimsToBeIdealInItsModel(), "have unit gain and no distortion"),
    (Attenuates(), r"have the gain of its linear model on samples, got 0.99.* and 1"),
    (AddsNoise(), "have the distortion power of its linear model"),
    (AddsNoise(told=0.011), "have the distortion power of its linear model"),
    (SharesGain(), r"have a gain of shape \(3, 2\), got \(2,\)"),
    (HasSquareDistortion("negative"), "have a positive semidefinite distortion, got .*-1"),
    (HasSquareDistortion("skew"), "have a Hermitian distortion, got .*1"),
    (HasNegativeDistortion(), "have a distortion of at least 0"),
    (ModelsSilenceAsNaN(), "have a finite gain"),
    (ModelsBatch(), "give member 0 of a batch the linear model it has alone"),
    (ModelsNothing(), r"have a linear model for a covariance of shape .*, got ZeroDivisionError: no power"),
    (TellsMeanDistortion(), r"have a distortion of shape \(3, 2\) or \(3, 2, 2\), got \(3,\)"),
    (TiresOut(), r"take samples of shape \(2, 32\), got RuntimeError: tired"),
    (ReturnsPair(), "return a LinearModel, got tuple"),
    (IsNoRecord(), r"be a frozen attrs record \(decorate its class with @attrs.frozen\), got a plain class"),
    (
        HoldsFunction(),
        "hold plain values, records or arrays in 'function', which have a content address, got TypeError",
    ),
    (ComparesArrays(), r"be equal to its copy \(take arrays by `isacsim.api.batched`\), got"),
    (NeverEqual(), "be equal to its copy .* got a copy that differs"),
    (KeepsMore(), "keep nothing outside of its fields, which alone are stored and compared, got gain"),
    (DoesNotPickle(), "pickle, got TypeError: an open file"),
    (ForgetsOnTheWay(level=2.0), "keep its content address when it is pickled"),
    (Rayleigh(), "be a Hardware, got Rayleigh"),
]


@pytest.mark.parametrize(("device", "rule"), BROKEN_HARDWARE, ids=lambda v: type(v).__name__)
def test_broken_hardware_is_refused(device, rule):
    with pytest.raises(ContractError, match=rule) as caught:
        check_hardware(device, chains=2, samples=2**15)
    assert str(caught.value).startswith(type(device).__name__)
    assert "\n" not in str(caught.value)


def test_the_device_that_the_broken_ones_change_keeps_the_contract():
    check_hardware(Device(), samples=2**12)
    check_hardware(AddsNoise(told=0.01), samples=2**15)
    check_hardware(AddsNoise(told=0.01, full=True), samples=2**15)


@frozen
class Transposes(Rayleigh):
    def draw(self, array, users, trials, rngs):
        return super().draw(array, users, trials, rngs).swapaxes(1, 2)


@frozen
class UsesFirstGenerator(ChannelModel):
    def draw(self, array, users, trials, rngs):
        return complex_normal(rngs[0], (len(trials), array.size, users))


@frozen
class SumsTrials(Rayleigh):
    def draw(self, array, users, trials, rngs):
        H = super().draw(array, users, trials, rngs)
        return H / np.linalg.norm(H)


@frozen
class DrawsReal(Rayleigh):
    def draw(self, array, users, trials, rngs):
        return super().draw(array, users, trials, rngs).real


@frozen
class DrawsInfinity(Rayleigh):
    def draw(self, array, users, trials, rngs):
        return np.full((len(trials), array.size, users), np.inf + 0j)


@frozen
class HasOwnGenerator(Rayleigh):
    def draw(self, array, users, trials, rngs):
        return super().draw(array, users, trials, [np.random.default_rng() for _ in rngs])


@frozen
class OnSubcarriers(Rayleigh):
    """Channels on subcarriers that are at fault."""

    kind: str = ""

    def draw_burst(self, grid, array, users, trials, rngs):
        if self.kind == "first":
            rngs = [rngs[0]] * len(rngs)
        H, motion = super().draw_burst(grid, array, users, trials, rngs)
        return {
            "turned": (H.swapaxes(-1, -2), motion),
            "alone": H,
            "bins": (np.repeat(H, 2, axis=1), motion),
            "nan": (H * np.nan, motion),
        }.get(self.kind, (H, motion))


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (OnSubcarriers(kind="turned"), r"draw H of shape \(4, 6, 6, 2\), got \(4, 6, 2, 6\)"),
        (OnSubcarriers(kind="alone"), "draw H and a Motion or None by `draw_burst`, got ndarray"),
        (OnSubcarriers(kind="bins"), r"draw H of shape \(4, 6, 6, 2\), got \(4, 12, 6, 2\)"),
        (OnSubcarriers(kind="nan"), "draw finite complex channels on subcarriers"),
        (OnSubcarriers(kind="first"), "give member 1 of a batch the channel on subcarriers it has alone"),
        (Transposes(), r"draw H of shape \(4, 6, 2\), got \(4, 2, 6\)"),
        (UsesFirstGenerator(), "give member 0 of a batch the channel it has alone"),
        (SumsTrials(), "give member 0 of a batch the channel it has alone"),
        (DrawsReal(), "draw complex channels"),
        (DrawsInfinity(), "draw finite channels"),
        (HasOwnGenerator(), "give the same bytes for the same generators"),
        (ExtendedTarget(), "be a ChannelModel"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_broken_channel_model_is_refused(model, rule):
    with pytest.raises(ContractError, match=rule):
        check_channel(model)


@frozen
class Uneven(Scene):
    """A scene whose arrays do not broadcast."""

    one: Any = batched(0, default=(1.0, 2.0))
    other: Any = batched(0, default=(1.0, 2.0, 3.0))

    def response(self):
        raise ZeroDivisionError("no echo")


@frozen
class Silent(Scene):
    """A scene whose response fails."""

    def response(self):
        raise ZeroDivisionError("no echo")


@frozen
class Tilted(ResponseMatrix):
    """A scene whose response on subcarriers has its axes in another order."""

    def band_response(self, grid):
        return super().band_response(grid).swapaxes(-1, -2)


@frozen
class Target(TargetModel):
    """Draws what it is told."""

    kind: str

    def draw(self, tx_array, rx_array, trials, rngs):
        shape = (rx_array.size, tx_array.size)
        if self.kind == "raises":
            raise ZeroDivisionError("no target")
        if self.kind in ("uneven", "silent"):
            return Silent() if self.kind == "silent" else Uneven()
        if self.kind == "array":
            return np.zeros(shape)
        if self.kind == "transposed":
            return ResponseMatrix(np.ones((len(trials), *shape[::-1])))
        if self.kind in ("bandless", "neighbours"):
            return ResponseMatrix(np.ones(shape))
        if self.kind == "extra":
            return ResponseMatrix(np.ones((2, len(trials), *shape)))
        if self.kind == "tilted":
            return Tilted(np.ones((len(trials), *shape)))
        return ResponseMatrix(complex_normal(rngs[0], (len(trials), *shape)))

    def draw_band(self, grid, tx_array, rx_array, trials, rngs):
        if self.kind == "bandless":
            return None
        if self.kind == "neighbours":
            return ResponseMatrix(complex_normal(rngs[0], (len(trials), rx_array.size, tx_array.size)))
        return self.draw(tx_array, rx_array, trials, rngs)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("raises", r"draw scenes of the trials \(0, 1, 2, 3\), got ZeroDivisionError: no target"),
        ("uneven", "draw a record of batched fields, got"),
        ("silent", "draw a scene with a response, got ZeroDivisionError: no echo"),
        ("array", "draw a Scene, got ndarray"),
        ("transposed", r"draw a response of shape \(4, 9, 6\), got \(4, 6, 9\)"),
        ("extra", r"draw leading axes \(4,\), or none, got \(2, 4\)"),
        ("first generator", "give member 0 of a batch the scene it has alone"),
        ("tilted", r"draw a response \(..., F or 1, 9, 6\) on subcarriers, got \(4, 1, 6, 9\)"),
        ("bandless", "draw a Scene for a grid, got NoneType"),
        ("neighbours", "give member [01] of a batch the response on subcarriers it has alone"),
    ],
)
def test_a_broken_target_model_is_refused(kind, rule):
    with pytest.raises(ContractError, match=rule):
        check_targets(Target(kind))


@frozen
class Power(PowerModel):
    """Distorts the consumption of the bundled model as it is told."""

    kind: str

    def consumption(self, transceiver, transmitters, receivers, users, power):
        drawn = ConverterPower().consumption(transceiver, transmitters, receivers, users, power)
        if self.kind == "raises":
            raise ZeroDivisionError("no converter")
        return {
            "thrifty": drawn / np.asarray(power) ** 2,
            "negative": -drawn,
            "inverse": 1 / drawn,
            "constant": 0 * drawn + 1,
            "lost": drawn.sum(),
        }[self.kind]


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("negative", "draw positive and finite power"),
        ("inverse", "draw more power for more bits"),
        ("constant", "draw more power for more bits"),
        ("raises", "say what is drawn, got ZeroDivisionError: no converter"),
        ("thrifty", "draw no less power for a larger budget"),
        ("lost", r"give power of shape \(3,\), got \(\)"),
    ],
)
def test_a_broken_power_model_is_refused(kind, rule):
    with pytest.raises(ContractError, match=rule):
        check_power_model(Power(kind))
