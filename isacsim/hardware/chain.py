"""Stages in series: their samples, their linear model and its derivative.

With the gain T and the distortion D of what is before a stage, and the stage's own model (A, D_k) for
the covariance of what reaches it ::

    R_k = T R T^H + D,    T <- A T,    D <- A D A^H + D_k

What reaches the stage is taken for Gaussian there. Behind a stage that distorts strongly it is not: moments
are 2 to 15 % off in the gain of an amplifier behind a converter of 3 to 1 bits. So scalar stages in
series are one map (`Series`), of which the model is exact; what is left to moments is the way through
stages that couple chains, where many are mixed, those that draw or remember, and a converter behind an
amplifier, whose map jumps along curves: up to a fifth of the gain of 2 bits deep in saturation, 1 % below the knee.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, ClassVar

import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, hermitian_part, squared
from isacsim.checks import numbers, square
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, Ideal, LinearModel, chain_power, diagonal_matrix
from isacsim.lasting import kept
from isacsim.typing import AnyArray, ComplexArray, FloatArray


def _every(name: str) -> Any:
    """A property of a chain that it has where every stage has it."""
    return property(lambda chain: all(getattr(stage, name) for stage in chain.stages), doc="Whether every stage is.")


@frozen(init=False)
class Chain(Hardware):
    """Stages in series; the first one meets the input."""

    known_as: ClassVar[str] = "chain"
    component_version: ClassVar[int] = 2  # scalar stages in series are one map, whose model is exact

    stages: tuple[Hardware, ...]

    def __init__(self, *stages: Hardware) -> None:
        for i, stage in enumerate(stages):
            if not isinstance(stage, Hardware):
                raise InvalidInput(
                    f"stages[{i}]",
                    "must be hardware",
                    stage,
                    "Pass one stage an argument, Chain(Aqnm(bits=3), Ideal()).",
                )
        self.__attrs_init__(stages)

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples through every stage; a given power is carried on by the stages' linear models.

        Behind a stage that couples chains power depends on their correlation, which is then
        taken from the samples.
        """
        x = np.asarray(numbers("x", x, axes=2))
        power = None if power is None else np.asarray(numbers("power", power, axes=1, real=True), float)
        parts = self._parts(x.shape[-2])
        for i, stage in enumerate(parts):
            y = stage.apply(x, rng, power=power)
            if power is not None and i + 1 < len(parts):
                R = diagonal_matrix(power)
                model = stage.linear_model(R)
                power = model.output_power(_correlated(x, power) if model.coupled else R)
            x = y
        return x

    @kept  # of every precoder that is judged
    def _parts(self, chains: int) -> tuple[Hardware, ...]:
        """The stages, with scalar ones in series as one where the exact model of them all is found."""
        from isacsim.hardware.probing import is_one_map  # stands on this file

        parts: list[Hardware] = []
        for stage in _flat(self.stages):
            if chains and parts and parts[-1].scalar and stage.scalar:
                before = parts[-1].stages if isinstance(parts[-1], Series) else (parts[-1],)
                if is_one_map(series := Series((*before, stage)), chains):
                    parts[-1] = series
                    continue
            parts.append(stage)
        return tuple(parts)

    def linear_model(self, R: ComplexArray) -> LinearModel:
        """Composition of the stages: gains multiply, each distortion passes what follows.

        Exact for scalar stages in series; the input of any other, and of what follows it, is taken for Gaussian.
        """
        first, *rest = self._parts(square("R", R).shape[-1]) or (Ideal(),)
        total = first.linear_model(R)
        for stage in rest:
            total = _compose(stage.linear_model(total.output_covariance(R)), total)
        return total

    def linear_model_vjp(self, R: ComplexArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """Cotangent of R, backwards through the stages; see `Hardware.linear_model_vjp`.

        What reaches each stage is worked out once, on the way forwards.
        """
        return self._back(square("R", R), gain, distortion, spectral=False)

    def spectral_model_vjp(self, R: AnyArray, gain: AnyArray, distortion: AnyArray) -> ComplexArray:
        """As `linear_model_vjp`, on all bins, which have the gain in common."""
        gain = np.asarray(gain).sum(axis=-3 if np.ndim(gain) == np.ndim(R) else -2, keepdims=True)
        return self._back(square("R", R, axes=3), gain, distortion, spectral=True)

    def _back(self, R: AnyArray, gain: AnyArray, distortion: AnyArray, spectral: bool) -> ComplexArray:
        """Cotangent of R through the stages, by their models of a sample or those of all bins."""

        def model_of(stage: Hardware, R: ComplexArray) -> LinearModel:
            return stage.spectral_model(R) if spectral else stage.linear_model(R)

        R = np.asarray(R, complex)
        before, behind = [model_of(Ideal(), R)], []
        parts = self._parts(R.shape[-1])
        for stage in parts:
            behind.append(model_of(stage, before[-1].output_covariance(R)))
            before.append(_compose(behind[-1], before[-1]))
        # Cotangents of T and D as matrices: where nothing couples, the diagonal of the first is what counts.
        to_gain = gain if before[-1].coupled else diagonal_matrix(gain)
        to_distortion = distortion if np.ndim(distortion) == R.ndim else diagonal_matrix(distortion)
        total = np.zeros(R.shape, complex)
        for stage, model, sent in reversed(list(zip(parts, behind, before, strict=False))):
            A, T, D = model.gain_matrix(), sent.gain_matrix(), sent.distortion_matrix()
            own = to_gain @ hermitian(T) + 2 * to_distortion @ A @ D
            own = own if model.coupled else np.diagonal(own, axis1=-2, axis2=-1)
            back = stage.spectral_model_vjp if spectral else stage.linear_model_vjp
            inner = hermitian_part(back(sent.output_covariance(R), own, to_distortion))
            total += hermitian(T) @ inner @ T
            to_gain = hermitian(A) @ to_gain + 2 * inner @ T @ R
            to_distortion = hermitian(A) @ to_distortion @ A + inner
        return hermitian_part(total)

    def spectral_model(self, R: AnyArray) -> LinearModel:
        """As `linear_model`, on all bins: what a stage puts out of band reaches the next one."""
        total = Ideal().spectral_model(R)
        for stage in self._parts(np.shape(R)[-1]):
            total = _compose(stage.spectral_model(total.output_covariance(R)), total)
        return total

    def tiled(self, copies: int) -> Chain:
        """Every stage tiled."""
        return Chain(*(stage.tiled(copies) for stage in self.stages))

    differentiable = _every("differentiable")
    spectrum_differentiable = _every("spectrum_differentiable")
    memoryless = _every("memoryless")
    scalar = _every("scalar")
    is_ideal = _every("is_ideal")
    scale_free = _every("scale_free")

    def resolution(self, chains: int) -> FloatArray:
        """That of the coarsest converter of each chain, shape (chains,)."""
        return reduce(np.minimum, (stage.resolution(chains) for stage in self.stages), np.full(chains, np.inf))


@frozen
class Series(Hardware):
    """Scalar stages in series, each of which is set to the exact power of what reaches it: one map of the samples."""

    known_as: ClassVar[str] = "series"

    stages: tuple[Hardware, ...]

    def apply(
        self, x: ComplexArray, rng: np.random.Generator | None = None, *, power: FloatArray | None = None
    ) -> ComplexArray:
        """Samples through every stage."""
        for i, stage in enumerate(self.stages):
            at = power if power is None or i == 0 else self._reaching(i, power)
            x = stage.apply(x, rng, power=at)
        return x

    def envelopes(self, chains: int) -> Any:
        """Those of all stages, where each has its own."""
        from isacsim.hardware.envelopes import in_series  # stands on this file

        found = [stage.envelopes(chains) for stage in self.stages]
        return None if any(each is None for each in found) else in_series(found)

    def tiled(self, copies: int) -> Series:
        """Every stage tiled."""
        return Series(tuple(stage.tiled(copies) for stage in self.stages))

    def _reaching(self, i: int, power: FloatArray) -> FloatArray:
        """Power (..., N) of what reaches stage i, in W; that of the input where the stage does not listen."""
        from isacsim.hardware.probing import hears, power_behind  # stands on this file

        if not hears(self.stages[i], power.shape[-1]):
            return power
        return power_behind(self.stages[0] if i == 1 else Series(self.stages[:i]), power)


def map_within(device: Hardware) -> Hardware:
    """What of a device is one map of each chain's samples: itself, or the stages of a chain that are such."""
    if device.scalar or device.is_ideal:
        return device
    stages = _flat(device.stages) if isinstance(device, Chain) else []
    return Chain(*(stage for stage in stages if stage.scalar))


def _flat(stages: tuple[Hardware, ...]) -> list[Hardware]:
    """The stages, and those of chains among them in their place, without ideal ones."""
    nested = (_flat(stage.stages) if isinstance(stage, Chain) else [stage] for stage in stages)
    return [stage for each in nested for stage in each if not stage.is_ideal]


def _correlated(x: ComplexArray, power: FloatArray) -> ComplexArray:
    """Covariance of chains with the correlations of the samples x (..., N, L), but with ``power`` (..., N)."""
    covariance = x @ hermitian(x)
    measured = chain_power(covariance)
    scale = np.sqrt(np.divide(power, measured, out=np.zeros(measured.shape), where=measured > 0))
    R = scale[..., :, None] * covariance * scale[..., None, :]
    return R + diagonal_matrix(power - chain_power(R))  # the diagonal to the last digit, silent chains too


def _compose(after: LinearModel, before: LinearModel) -> LinearModel:
    if after.diagonal and before.diagonal and not after.coupled:
        distortion = squared(after.gain) * before.distortion + after.distortion
    else:
        distortion = after.output_covariance(before.distortion_matrix())
    if after.coupled or before.coupled:
        return LinearModel(after.amplify(before.gain_matrix()), distortion, coupled=True)
    return LinearModel(after.gain * before.gain, distortion)
