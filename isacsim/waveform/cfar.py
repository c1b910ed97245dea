"""Detection at a constant false-alarm rate: thresholds from the cells around, and closed forms.

A cell of a map is the sum of n looks whose noise is exponential, of mean 1 each once the map is
normalised. A detector compares it with its factor times what it makes of N reference cells: their mean
(cell averaging) or the k-th smallest (ordered statistic). Where the noise of all of them is alike and
independent ::

    CA, one look   P_FA = (1 + a/N)^-N
    CA, n looks    P_FA = P{F_(2n, 2nN) > a}, F of Snedecor's law
    OS, one look   P_FA = prod_(i<k) (N - i) / (N - i + a)

A fluctuating target of Swerling 1 and SNR S makes the cell exponential of mean 1 + S: ``a/(1 + S)``
takes the place of a.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from attrs import field, frozen

from isacsim.checks import whole
from isacsim.errors import InvalidInput
from isacsim.typing import BoolArray, FloatArray

FLUCTUATION = 24  # nodes over the power of a target: to 1e-4 of the probability
NODES = 400  # of quadratures over the law of a threshold or a target, whose integrands are smooth


def _probability(_instance: Any, attribute: Any, value: Any) -> None:
    if not (isinstance(value, (int, float)) and 0 < value < 1):
        raise InvalidInput(attribute.name, "must be between 0 and 1", value, "Give a probability.")


class MapDetector(ABC):
    """Finds targets on maps of delay and Doppler; a plugin derives from it."""

    @abstractmethod
    def detect(self, power: FloatArray) -> BoolArray:
        """Where there is a target, of maps (..., delays, Dopplers) whose noise has unit mean; of the same shape.

        Both axes are periodic.
        """

    def require(self, cells: int) -> None:  # noqa: B027  # nothing to refuse
        """Refuse maps that are too small, of so many cells along the delay.

        Raises:
            InvalidInput: It names what is too large.
        """

    def detection(self, snr: Any, swerling: int) -> FloatArray:
        """Detection probability of one look in independent noise, shape (...); NaN where no closed form is known.

        Args:
            snr: Mean SNR of the cell, shape (...), linear.
            swerling: Fluctuation of the target, 0 to 4.
        """
        return np.full(np.shape(snr), np.nan)


@frozen
class Cfar(MapDetector):
    """A detector on maps whose two axes are periodic.

    Args:
        false_alarm: False-alarm probability of a cell.
        cells: Reference cells N, half of them on either side along the delay.
        guard: Cells between the cell and its reference on either side.
        stride: Distance of reference cells; a window correlates neighbours, which 2 keeps apart.
    """

    false_alarm: float = field(default=1e-4, validator=_probability)
    cells: int = field(default=16, validator=whole(2))
    guard: int = field(default=2, validator=whole(0))
    stride: int = field(default=1, validator=whole(1))

    def __attrs_post_init__(self) -> None:
        if self.cells % 2:
            raise InvalidInput("cells", "must be even", self.cells, "Half of them lie on either side.")

    @abstractmethod
    def factor(self) -> float:
        """Factor of the threshold."""

    @abstractmethod
    def level(self, reference: FloatArray) -> FloatArray:
        """What is made of reference cells (..., N), shape (...)."""

    @abstractmethod
    def exponential_detection(self, snr: Any) -> FloatArray:
        """Detection probability of a Swerling 1 target, one look, in independent noise, shape (...)."""

    @abstractmethod
    def levels(self) -> tuple[FloatArray, FloatArray]:
        """Nodes and weights of the law of `level` in noise of mean 1, one look."""

    @property
    def reach(self) -> int:
        """Cells that the window needs along the delay."""
        return 2 * (self.guard + self.stride * (self.cells // 2)) + 1

    def require(self, cells: int) -> None:
        """Refuse a map of fewer cells along the delay than the window has.

        Raises:
            InvalidInput: It names the window.
        """
        if self.reach > cells:
            rule = f"must leave a window within the {cells} cells of the map"
            raise InvalidInput("detector.cells", rule, f"{self.reach} cells", "Take fewer cells, or less guard.")

    def detect(self, power: FloatArray) -> BoolArray:
        """Where there is a target, of maps (..., delays, Dopplers); edges wrap, as the maps do."""
        self.require(power.shape[-2])
        return np.asarray(power > self.factor() * self.level(self.reference(power)))

    def reference(self, power: FloatArray) -> FloatArray:
        """Reference cells of every cell, shape (..., delays, Dopplers, N)."""
        away = self.guard + self.stride * np.arange(1, self.cells // 2 + 1)
        return np.stack([np.roll(power, shift, axis=-2) for shift in (*away, *-away)], axis=-1)

    def detection(self, snr: Any, swerling: int) -> FloatArray:
        """That of the level's law; Swerling 1 and 2, and 3 and 4, differ in many looks alone."""
        snr = np.asarray(snr, float)
        if swerling in (1, 2):
            return self.exponential_detection(snr)
        if swerling == 0:
            return self._steady(snr)
        from scipy.special import roots_genlaguerre

        share, part = roots_genlaguerre(FLUCTUATION, 1.0)  # the law of a Gamma variable of order 2, whose mean is 2
        return np.asarray((part * self._steady(snr[..., None] * share / 2)).sum(axis=-1))

    def _steady(self, snr: FloatArray) -> FloatArray:
        level, weight = self.levels()
        return np.asarray((weight * marcum(1, 2 * snr[..., None], 2 * self.factor() * level)).sum(axis=-1))


@frozen
class CellAveraging(Cfar):
    """CA-CFAR: the mean of the reference cells."""

    def factor(self) -> float:
        """``N (P_FA^(-1/N) - 1)``."""
        return ca_factor(self.false_alarm, self.cells)

    def level(self, reference: FloatArray) -> FloatArray:
        """Their mean."""
        return np.asarray(reference.mean(axis=-1))

    def exponential_detection(self, snr: Any) -> FloatArray:
        """``(1 + a / (N (1 + S)))^-N``."""
        return np.asarray((1 + self.factor() / (self.cells * (1 + np.asarray(snr)))) ** -self.cells)

    def levels(self) -> tuple[FloatArray, FloatArray]:
        """Those of a Gamma law of N, over N."""
        share, weight = _gamma_nodes(float(self.cells))
        return share / self.cells, weight


@frozen
class OrderedStatistic(Cfar):
    """OS-CFAR: the k-th smallest of the reference cells, which other targets among them leave nearly as it is.

    Other options are those of `Cfar`.

    Args:
        rank: k, from 1 to N; None is 3/4 of N.
    """

    rank: int | None = field(default=None, validator=whole(1, optional=True))

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.rank is not None and self.rank > self.cells:
            raise InvalidInput("rank", f"must be from 1 to {self.cells}", self.rank, "It counts from the smallest.")

    @property
    def place(self) -> int:
        """K."""
        return round(0.75 * self.cells) if self.rank is None else self.rank

    def factor(self) -> float:
        """That of the false-alarm probability."""
        return os_factor(self.false_alarm, self.cells, self.place)

    def level(self, reference: FloatArray) -> FloatArray:
        """The k-th smallest."""
        return np.asarray(np.partition(reference, self.place - 1, axis=-1)[..., self.place - 1])

    def exponential_detection(self, snr: Any) -> FloatArray:
        """``prod_(i<k) (N - i) / (N - i + a/(1 + S))``."""
        return os_exceedance(self.factor() / (1 + np.asarray(snr, float)), self.cells, self.place)

    def levels(self) -> tuple[FloatArray, FloatArray]:
        """Those of the k-th smallest of N exponential variables."""
        from scipy.special import betaincinv

        q, weight = _legendre()
        return -np.log1p(-betaincinv(self.place, self.cells - self.place + 1, q)), weight


def ca_factor(false_alarm: float, cells: int, looks: int = 1) -> float:
    """Factor on the mean of N reference cells, each the sum of ``looks`` exponential looks."""
    if looks == 1:
        return float(cells * np.expm1(-np.log(false_alarm) / cells))
    from scipy.special import fdtri

    # The law of 1/F is F with its degrees exchanged: an upper tail without cancellation.
    return float(1 / fdtri(2 * looks * cells, 2 * looks, false_alarm))


def os_exceedance(factor: Any, cells: int, rank: int) -> FloatArray:
    """Probability that an exponential cell exceeds ``factor`` (...) times the k-th smallest of N like it, (...)."""
    return np.asarray(np.exp(-_os_decay(factor, cells, rank)))


def _os_decay(factor: Any, cells: int, rank: int) -> FloatArray:
    left = cells - np.arange(rank)
    return np.asarray(np.log1p(np.asarray(factor)[..., None] / left).sum(axis=-1))


def os_factor(false_alarm: float, cells: int, rank: int) -> float:
    """Factor on the k-th smallest of N reference cells, one look."""
    from scipy.optimize import brentq

    def excess(log_factor: float) -> float:
        return float(_os_decay(np.exp(log_factor), cells, rank) + np.log(false_alarm))

    return float(np.exp(brentq(excess, -50.0, 700.0, xtol=1e-13)))


def marcum(order: int, noncentrality: Any, threshold: Any) -> FloatArray:
    """Generalised Marcum function Q_n(sqrt(noncentrality), sqrt(threshold)), shape (...)."""
    from scipy.stats import ncx2

    return np.asarray(ncx2.sf(threshold, 2 * order, noncentrality))


def known_noise_threshold(false_alarm: float, looks: int = 1) -> float:
    """Threshold on the sum of looks in noise of mean 1."""
    from scipy.special import gammainccinv

    return float(gammainccinv(looks, false_alarm))


def known_noise_detection(false_alarm: float, snr: float, looks: int, swerling: int) -> float:
    """Detection probability of the sum of looks of a target of Swerling 0 to 4 in noise of mean 1 [Swerling60].

    Args:
        false_alarm: False-alarm probability.
        snr: Mean SNR of a look, linear.
        looks: Number n of looks that add up in power.
        swerling: 0 is steady; 1 and 3 fluctuate from burst to burst, 2 and 4 from look to look.
    """
    from scipy.special import bdtr, gammainc, gammaincc

    T, n = known_noise_threshold(false_alarm, looks), looks
    if swerling == 0:
        return float(marcum(n, 2 * n * snr, 2 * T))
    if swerling == 1:
        if n == 1:
            return float(np.exp(-T / (1 + snr)))
        s = 1 + 1 / (n * snr)
        return float(gammaincc(n - 1, T) + s ** (n - 1) * gammainc(n - 1, T / s) * np.exp(-T / (1 + n * snr)))
    if swerling == 2:
        return float(gammaincc(n, T / (1 + snr)))
    if swerling == 3:
        share, weight = _gamma_nodes(2.0)
        return float((weight * marcum(n, n * snr * share, 2 * T)).sum())
    c, k = 1 / (1 + snr / 2), np.arange(n + 1.0)
    weights: FloatArray = np.diff(bdtr(k, n, 1 - c), prepend=0.0)
    return float((weights * gammaincc(n + k, c * T)).sum())


def _legendre() -> tuple[FloatArray, FloatArray]:
    x, w = np.polynomial.legendre.leggauss(NODES)
    return (x + 1) / 2, w / 2


def _gamma_nodes(shape: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for means over a Gamma law, by its quantiles."""
    from scipy.special import gammaincinv

    q, weight = _legendre()
    return np.asarray(gammaincinv(shape, q)), weight
