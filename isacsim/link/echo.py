"""What the sensing receiver gets of a transmission."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, get_args

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import hermitian, squared
from isacsim.checks import fitting, invertible
from isacsim.deprecation import warn_deprecated
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Hardware, LinearModel, chain_power, diagonal_matrix
from isacsim.link.sent import Transmission, over_noise, require_antennas
from isacsim.targets.background import Background
from isacsim.typing import AnyArray, ComplexArray, FloatArray

Mode = Literal["signal", "radiated"]
MODES: tuple[str, ...] = get_args(Mode)
FORMER = {"x": "signal", "xq": "radiated"}  # what they were called before
#: Metadata of a field: addresses of content call a mode as they did before.
ADDRESSED = {"addressed": {new: old for old, new in FORMER.items()}}


def in_words(mode: Any) -> Any:
    """A mode, of its former name with a warning; anything else as it is."""
    if not isinstance(mode, str) or mode not in FORMER:
        return mode
    warn_deprecated(f"mode {mode!r}", repr(FORMER[mode]), gone="0.2", stacklevel=3)
    return FORMER[mode]


@frozen(eq=False, slots=False)
class Echo:
    """What the sensing receiver gets of a transmission, and what it takes for noise.

    What part of it is reference and what part noise depends on what the receiver knows:

    - mode ``"signal"``: the digital signal x; distortion of the transmit chains is noise.
    - mode ``"radiated"``: what the chains make of it, x_q (data converters are deterministic); their
      distortion is probing power.

    A known background B is cancelled in the digital domain: ``A_r B x``, or ``A_r B x_q`` in mode
    ``"radiated"``, is subtracted. The converters carry it all the same, which makes their distortion
    larger, and the noise covariance behind the receive gain A_r becomes ::

        A_r (sigma^2 I + (G + B) D (G + B)^H + sum_s eps_s B_s P B_s^H) A_r^H + D_r

    with the probing covariance P, the transmit distortion D where it is not known, and the
    fractions eps_s that cancellation leaves.

    Attributes:
        G: Target response, (..., N_r, N_t), amplitude.
        sent: What leaves the transmit chains.
        thermal: Noise of each receive chain, (..., N_r), in W.
        receive: Linear model of the receive chains.
        mode: What the receiver knows.
        background: What arrives beside the echo of the targets; None is nothing.
        stray: Covariance of what arrives of the targets and is no reference, of other subcarriers and of the symbol
            before, (..., N_r, N_r), in W; None is nothing.
    """

    G: ComplexArray
    sent: Transmission
    thermal: FloatArray
    receive: LinearModel
    mode: Mode = "signal"
    background: Background | None = None
    stray: ComplexArray | None = None

    @classmethod
    def of(
        cls,
        G: Any,
        sent: Transmission,
        radar_noise_power: Any,
        receive: Hardware,
        mode: Mode = "signal",
        background: Background | None = None,
        stray: ComplexArray | None = None,
    ) -> Echo:
        """The echo of a response G (..., N_r, N_t), with noise (...) of each receive chain in W.

        Raises:
            InvalidInput: For an unknown mode, or for shapes that do not fit together.
        """
        mode = in_words(mode)
        if mode not in MODES:
            remedy = "'signal': the receiver knows x; 'radiated': also what the transmit chains make of it."
            raise InvalidInput("mode", "must be 'signal' or 'radiated'", mode, remedy)
        G = np.asarray(G, complex, order="C")
        require_antennas("the sensing array", G.shape[-1], sent.precoder)
        if background is not None:
            _require_background(background, G)
        thermal = np.asarray(radar_noise_power, float)[..., None] + np.zeros(G.shape[-2])
        with fitting("G, W, radar_noise_power, background", G, sent.precoder, radar_noise_power):
            whole = G if background is None else G + background.response()
            if receive.is_ideal:  # whatever arrives
                lead = np.broadcast_shapes(whole.shape[:-2], sent.precoder.shape[:-2], thermal.shape[:-1])
                arriving = np.broadcast_to(0j, (*lead, *whole.shape[-2:-1] * 2))
            else:
                arriving = _arriving(whole, sent, thermal, stray)
        return cls(G, sent, thermal, receive.linear_model(arriving), mode, background, stray)

    def knowing(self, mode: Mode) -> Echo:
        """The same echo at a receiver that knows something else."""
        mode = in_words(mode)
        return self if mode == self.mode else attrs.evolve(self, mode=mode)

    def cancelled(self) -> Echo:
        """The same echo where cancellation leaves nothing of the background."""
        background = self.background
        if background is None or background.perfect:
            return self
        return attrs.evolve(self, background=attrs.evolve(background, residual=np.zeros_like(background.residual)))

    @property
    def whole(self) -> ComplexArray:
        """Response of targets and background together, shape (..., N_r, N_t), amplitude."""
        return self.G if self.background is None else self.G + self.background.response()

    @property
    def power(self) -> FloatArray:
        """Power that arrives at each receive chain, shape (..., N_r), in W."""
        return chain_power(_arriving(self.whole, self.sent, self.thermal, self.stray))

    @property
    def probing(self) -> ComplexArray:
        """Covariance of the reference signal behind the transmit gain, (..., N_t, N_t), in W."""
        return self.sent.signal if self.mode == "signal" else self.sent.radiated

    @cached_property
    def noise(self) -> AnyArray:
        """Noise covariance behind the receive gain: (..., N_r, N_r), or its diagonal where that is all; in W."""
        receive, known = self.receive, self.mode == "radiated" or self.sent.ideal
        cancelled = self.background is None or self.background.perfect
        if known and cancelled and self.stray is None and receive.diagonal and not receive.coupled:
            return squared(receive.gain) * self.thermal + receive.distortion
        unknown = 0.0 if known else self.sent.distortion_through(self.whole)
        if self.background is not None and not cancelled:
            unknown = unknown + self.background.left(self.probing)
        if self.stray is not None:
            unknown = unknown + self.stray
        return receive.output_covariance(diagonal_matrix(self.thermal) + unknown)

    @property
    def gain(self) -> AnyArray:
        """Receive gain: of each chain, (..., N_r), or where the receiver couples its chains the matrix."""
        return self.receive.gain

    @property
    def diagonal(self) -> bool:
        """Whether the noise is diagonal by structure."""
        return self.noise.ndim == self.gain.ndim - self.receive.coupled

    @cached_property
    def mean(self) -> ComplexArray:
        """Expected samples for each stream, ``A_r G A_t W``, shape (..., N_r, K+S), in sqrt(W)."""
        return np.asarray(self.receive.amplify(self.G @ self.sent.precoder))

    def whiten(self, C: ComplexArray) -> ComplexArray:
        """``noise^-1 A_r C`` with the receive gain A_r, for C (..., N_r, m)."""
        return self._whitened(self.receive.amplify(C))

    def _whitened(self, received: ComplexArray) -> ComplexArray:
        noise = self.noise
        if self.diagonal:
            return np.asarray(over_noise(received, noise[..., None]))
        if np.count_nonzero(dead := chain_power(noise) == 0):
            # A chain that puts out nothing tells nothing: any noise will do for it.
            noise = noise + diagonal_matrix((dead & ~received.any(axis=-1)).astype(float))
        with invertible("receive", "a noise covariance"):
            return np.asarray(np.linalg.solve(noise, received), complex)

    def information(self, C: ComplexArray) -> ComplexArray:
        """``(A_r C)^H noise^-1 (A_r C)``, shape (..., m, m), in 1/W."""
        received = self.receive.amplify(C)
        return hermitian(received) @ self._whitened(received)

    @cached_property
    def response_information(self) -> ComplexArray:
        """`information` of the response itself, shape (..., N_t, N_t), in 1/W."""
        return self.information(self.G)

    def equivalent_noise(self) -> FloatArray:
        """Noise before the receive gain, ``tr(A_r^-1 noise A_r^-H)``, shape (...), in W."""
        if self.receive.coupled:
            with invertible("receive", "a gain"):
                half = np.linalg.solve(self.gain, self.noise)
            return np.asarray(np.trace(np.linalg.solve(self.gain, hermitian(half)), axis1=-2, axis2=-1).real)
        noise = self.noise if self.diagonal else np.diagonal(self.noise, axis1=-2, axis2=-1).real
        kept = squared(self.gain)
        before = np.where(kept == 0, np.inf, noise / np.where(kept == 0, 1.0, kept))  # nothing comes through
        return np.ascontiguousarray(before).sum(axis=-1)


def _arriving(G: ComplexArray, sent: Transmission, thermal: FloatArray, stray: ComplexArray | None) -> ComplexArray:
    """Covariance of echo and noise at the receive chains, (..., N_r, N_r), in W."""
    arriving = G @ sent.radiated @ hermitian(G) + diagonal_matrix(thermal)
    return np.asarray(arriving if stray is None else arriving + stray)


def _require_background(background: Any, G: ComplexArray) -> None:
    if not isinstance(background, Background):
        raise InvalidInput("background", "must be a Background", background, "Pass Background(responses), or None.")
    if background.responses.shape[-2:] != G.shape[-2:]:
        rule = f"must have the {G.shape[-2]} receive and {G.shape[-1]} transmit antennas of the targets"
        raise InvalidInput("background", rule, background.responses.shape, "Its responses are (..., S, N_r, N_t).")
