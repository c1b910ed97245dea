"""Which of a scene's unknowns count in a weighted CRLB ``tr(D F^-1)``, and how much: the diagonal of D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from isacsim.batch import as_array
from isacsim.errors import InvalidInput, one_of
from isacsim.typing import FloatArray


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
    if parameters is None and weights is None:
        return
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


def weighted_trace(bounds: Any, selection: FloatArray) -> FloatArray:
    """``tr(D F^-1)`` from the CRLBs (..., P) and the diagonal of D; infinite bounds stay."""
    if np.count_nonzero(selection) == selection.size:
        return (bounds * selection).sum(axis=-1)
    kept = selection > 0
    # In C order: indexing lays the kept axis first, and the sum would go across the batch.
    return np.ascontiguousarray(bounds[..., kept] * selection[kept]).sum(axis=-1)
