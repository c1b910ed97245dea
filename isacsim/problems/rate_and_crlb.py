"""What problems that balance a sum rate against a weighted CRLB share: their weights, and the merit these make."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.batch import as_array
from isacsim.checks import number, whole
from isacsim.errors import InvalidInput, one_of
from isacsim.link import Reception, Transmission
from isacsim.problems.base import Problem
from isacsim.typing import ComplexArray, FloatArray

WEIGHT = number(least=0, remedy="Use 0 to drop the term.")
STREAMS = whole(0, "Leave it out for max(0, M - K).", optional=True)


def kinds_named(value: Any) -> tuple[str, ...] | None:
    """Names of kinds of parameters in a field: one, or a list of them; None of all."""
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple)) else ()
    if not all(isinstance(name, str) for name in names):
        raise InvalidInput("parameters", "must be kinds of target parameters", value, "Give names, as 'azimuth'.")
    if not names or len(set(names)) < len(names):
        raise InvalidInput("parameters", "must name each kind once", names, "Leave it out for all parameters.")
    return names


def _family(kind: str) -> str:
    """The name under which the parts of a complex unknown are weighed together."""
    return kind.removesuffix("_real").removesuffix("_imag")


def selection_of(
    unknowns: Sequence[str], parameters: tuple[str, ...] | None, weights: tuple[float, ...] | None
) -> FloatArray:
    """Weight of the CRLB of each unknown (P,), for the kinds that count; None is all kinds, and weights of 1."""
    if parameters is None:
        return np.ones(len(unknowns))
    named = dict(zip(parameters, weights or [1.0] * len(parameters), strict=True))
    return np.array([named.get(_family(kind), 0.0) for kind in unknowns])


def check_parameters(
    unknowns: Sequence[str], parameters: tuple[str, ...] | None, weights: tuple[float, ...] | None
) -> None:
    """Refuse kinds of parameters that no unknown is of, and weights that do not pair up with them.

    Raises:
        InvalidInput: It names the field.
    """
    named = tuple(dict.fromkeys(_family(kind) for kind in unknowns))
    for name in parameters or ():
        if name == "zenith" and "azimuth" in named and name not in named:
            rule = "must not name the zenith of linear arrays"
            raise InvalidInput("parameters", rule, parameters, "A ULA cannot resolve it.")
        if name not in named:
            raise InvalidInput("parameters", "must be kinds of target parameters", name, one_of(named, name))
    if weights is not None:
        if parameters is None or len(weights) != len(parameters):
            rule = "must have one entry for each of `parameters`"
            raise InvalidInput("parameter_weights", rule, weights, "Name the kinds of parameters, and weigh each.")
        if not any(weights):
            raise InvalidInput("parameter_weights", "must not all be 0", weights, "Weigh one.")


def weights_of_kinds(value: Any) -> tuple[float, ...] | None:
    """The weights of kinds of parameters in a field; None where all weigh 1."""
    if value is None:
        return None
    weights = np.atleast_1d(as_array("parameter_weights", value))
    if np.any(weights < 0) or weights.ndim > 1:
        raise InvalidInput("parameter_weights", "must be a list of numbers of at least 0", value, "One for each kind.")
    return tuple(float(w) for w in weights)


@frozen(eq=False)
class Merits:
    """What a transmission is worth: sum rate (...), in nat/s/Hz, weighted CRLB (...) and SQINRs (..., K)."""

    sum_rate: FloatArray
    crlb: FloatArray
    sqinr: FloatArray


class RateAndCrlb(Problem):
    """Maximise ``rate_weight SR - crlb_weight tr(D F^-1)``, of H (..., N_t, K) and targets."""

    H: ComplexArray
    targets: Any
    rate_weight: float
    crlb_weight: float
    sensing_streams: int | None

    @property
    def users(self) -> int:
        """Number of users K."""
        return int(self.H.shape[-1])

    @property
    def streams(self) -> int:
        """Number of precoder columns, K+S."""
        sensing, users = self.sensing_streams, self.users
        return users + int(max(0, self.targets.sensing_streams - users) if sensing is None else sensing)

    def check_terms(self) -> None:
        """Refuse what leaves nothing to maximise, or nothing to send.

        Raises:
            InvalidInput: It names the field.
        """
        if self.streams < 1:
            rule = "must be at least 1 without users"
            raise InvalidInput("sensing_streams", rule, self.sensing_streams, "Set it to M.")
        if self.rate_weight == 0 and self.crlb_weight == 0:
            raise InvalidInput("rate_weight, crlb_weight", "must not both be 0", "0 and 0", "Weigh at least one term.")
        if self.users == 0 and self.crlb_weight == 0:
            raise InvalidInput("H", "must have users when crlb_weight is 0", self.H.shape, "H is (..., N_t, K).")

    @abstractmethod
    def reception(self, sent: Transmission) -> Reception:
        """What the users receive of a transmission."""

    @abstractmethod
    def crlb(self, sent: Transmission) -> FloatArray:
        """``tr(D F^-1)`` of a transmission, shape (...); infinite where F is singular."""

    def sum_rate(self, users: Reception) -> FloatArray:
        """Sum rate of what users receive, in nat/s/Hz."""
        return np.asarray(np.log1p(users.sqinr).sum(axis=-1))

    def merit(self, sent: Transmission) -> FloatArray:
        """Weighted sum rate minus weighted CRLB of a transmission, shape (...); -inf where F is singular."""
        rate = self.sum_rate(self.reception(sent)) if self.rate_weight else 0.0
        return self.weighed(rate, self.crlb(sent) if self.crlb_weight else 0.0)

    def weighed(self, sum_rate: Any, crlb: Any) -> FloatArray:
        """The merit of a sum rate and a CRLB, of which one without a weight does not count."""
        value = self.rate_weight * sum_rate if self.rate_weight else 0.0
        return np.asarray(value - self.crlb_weight * crlb if self.crlb_weight else value)


def weighted_trace(bounds: Any, selection: FloatArray) -> FloatArray:
    """``tr(D F^-1)`` from the CRLBs (..., P) and the diagonal of D; infinite bounds stay."""
    if np.count_nonzero(selection) == selection.size:
        return (bounds * selection).sum(axis=-1)
    kept = selection > 0
    # In C order: indexing lays the kept axis first, and the sum would go across the batch.
    return np.ascontiguousarray(bounds[..., kept] * selection[kept]).sum(axis=-1)
