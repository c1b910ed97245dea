"""The link of a precoder through hardware, worked out once and read by whoever judges it.

A precoder W leaves the transmit chains as ``x_q = A_t W s + q_t``. What follows depends on it
through two things alone, the effective precoder ``A_t W`` and the covariance D of q_t
(`Transmission`): user k receives ``h_k^H x_q + n_k`` and quantises it (`Reception`), the sensing
receiver gets ``A_r (G x_q + n) + q_r`` (`Echo`) [Xu25, eqs. (2)-(7)], with G + B in place of G where
there is a background B. A merit written on these records therefore is one of any hardware: a design
for hardware is the same merit behind another transmission.

`Link` joins them for the realisations of a drop and works each out when it is first read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Literal, cast

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import flatten, hermitian, squared, take
from isacsim.checks import fitting, invertible, numbers
from isacsim.drop import Drop, WidebandDrop
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, LinearModel, Transceiver, chain_power, diagonal_matrix
from isacsim.hardware.spectral import OverBand
from isacsim.targets.background import Background
from isacsim.typing import AnyArray, ComplexArray, FloatArray, IntArray

Mode = Literal["x", "xq"]
IDEAL = Transceiver()


def covariance(W: Any) -> ComplexArray:
    """Transmit covariance R_x = W W^H, shape (..., N_t, N_t), in W; W is (..., N_t, K+S)."""
    W = np.asarray(numbers("W", W, axes=2), complex, order="C")
    return W @ hermitian(W)


@frozen(eq=False, slots=False)
class Transmission:
    """What leaves the transmit chains for one precoder.

    Attributes:
        precoder: Effective precoder A_t W: what leaves the chains of each stream, shape
            (..., N_t, K+S), in sqrt(W).
        distortion: Covariance D of the transmit distortion, (..., N_t) where it is diagonal, else
            (..., N_t, N_t); in W.
        ideal: Whether the chains are ideal, so that there is no distortion.
        model: Linear model of the chains that this is of, which derivatives are pulled back through; None where
            it is not at hand.
    """

    precoder: ComplexArray
    distortion: AnyArray
    ideal: bool = False
    model: LinearModel | None = None

    @classmethod
    def of(cls, W: Any, transmit: Hardware) -> Transmission:
        """The transmission of a precoder W (..., N_t, K+S), in sqrt(W), by the linear model of the chains."""
        W = np.asarray(numbers("W", W, axes=2), complex, order="C")
        if not callable(getattr(transmit, "linear_model", None)):
            raise InvalidInput("transmit", "must be hardware", transmit, "Pass a stage such as Aqnm(bits=3).")
        model = transmit.linear_model(covariance(W))
        own = W.shape[-2:-1] if model.diagonal else (W.shape[-2],) * 2
        distortion = np.broadcast_to(model.distortion, (*W.shape[:-2], *own))
        return cls(np.ascontiguousarray(model.amplify(W)), distortion, transmit.is_ideal, model)

    @property
    def diagonal(self) -> bool:
        """Whether the distortion is uncorrelated between chains."""
        return self.distortion.ndim < self.precoder.ndim

    @cached_property
    def signal(self) -> ComplexArray:
        """Covariance of what is left of the streams, A_t R A_t^H, shape (..., N_t, N_t), in W."""
        return covariance(self.precoder)

    @cached_property
    def radiated(self) -> ComplexArray:
        """Covariance of x_q, shape (..., N_t, N_t), in W."""
        if self.ideal:
            return self.signal
        return self.signal + (diagonal_matrix(self.distortion) if self.diagonal else self.distortion)

    @cached_property
    def antenna_power(self) -> FloatArray:
        """Power out of each chain, shape (..., N_t), in W."""
        distortion = self.distortion.real if self.diagonal else chain_power(self.distortion)
        return np.asarray(squared(self.precoder).sum(axis=-1) + distortion)

    def power_along(self, A: ComplexArray) -> FloatArray:
        """Power a^H R_xq a along the columns a of A (..., N_t, n), shape (..., n), in W."""
        return np.asarray(squared(hermitian(A) @ self.precoder).sum(axis=-1) + self.distortion_along(A))

    @property
    def power(self) -> FloatArray:
        """Power that leaves the chains, shape (...), in W."""
        return np.asarray(self.antenna_power.sum(axis=-1))

    def distortion_along(self, A: ComplexArray) -> FloatArray:
        """Distortion a^H D a along the columns a of A (..., N_t, n), shape (..., n), in W."""
        if self.diagonal:
            return np.asarray((squared(A) * self.distortion[..., :, None]).sum(axis=-2))
        return np.asarray((np.conj(A) * (self.distortion @ A)).real.sum(axis=-2))

    def distortion_through(self, A: ComplexArray) -> ComplexArray:
        """Covariance A D A^H of the distortion behind A (..., M, N_t), shape (..., M, M), in W."""
        if self.diagonal:
            return (A * self.distortion[..., None, :]) @ hermitian(A)
        return A @ self.distortion @ hermitian(A)

    def take(self, members: IntArray) -> Transmission:
        """The members at some places of the one leading axis."""
        return Transmission(self.precoder[members], self.distortion[members], self.ideal)


def transmission(W: Any, transceiver: Any) -> Transmission:
    """What a transceiver makes of a precoder W (..., N_t, K+S), in sqrt(W); see `Transmission.of`.

    Raises:
        InvalidInput: If the transceiver is none, or W no precoder.
    """
    require_transceiver(transceiver)
    return Transmission.of(W, transceiver.transmit)


def require_transceiver(transceiver: Any) -> None:
    """Refuse what is no hardware of a link.

    Raises:
        InvalidInput: It names the transceiver.
    """
    if not isinstance(transceiver, Transceiver):
        remedy = "Give Transceiver(transmit=..., receive=..., user=...)."
        raise InvalidInput("transceiver", "must be a Transceiver", transceiver, remedy)


@frozen(eq=False, slots=False)
class Reception:
    """What the users receive of a transmission.

    With the gain g and the distortion d of user k's receiver and the powers S_k and T_k before it::

        SQINR_k = |g|^2 S_k / (|g|^2 T_k + d)

    which for the AQNM (g = alpha, d = alpha (1 - alpha) (S_k + T_k)) is
    ``alpha S_k / (T_k + (1 - alpha) S_k)`` [Xu25, eq. (14)].

    Attributes:
        amplitude: ``h_k^H A_t w_k``, of each user's own stream, shape (..., K), in sqrt(W).
        signal: Its power S_k before the receiver, shape (..., K), in W.
        other: Power T_k of interference, transmit distortion and noise there, shape (..., K), in W.
        receiver: Linear model of the users' receivers.
        error: Covariance of the error of each user's channel, (..., K, N_t, N_t); None where it is known.
    """

    amplitude: ComplexArray
    signal: FloatArray
    other: FloatArray
    receiver: LinearModel
    error: ComplexArray | None = None

    @classmethod
    def of(
        cls, H: Any, sent: Transmission, noise_power: Any, user: Hardware, error: ComplexArray | None = None
    ) -> Reception:
        """The reception over channels H (..., N_t, K), amplitude, with noise (..., K) in W.

        Where H is an estimate whose error e_k, of covariance Sigma_k, is not correlated with it, what is
        sent arrives through the error as noise, the user's own stream included: ``tr(Sigma_k R_xq)`` of power.
        The rate of Gaussian noise of that power then can be reached by a receiver that knows the estimate.

        Raises:
            InvalidInput: If the hardware couples the users' receivers, or shapes do not fit together.
        """
        H = np.asarray(H, complex, order="C")
        users = _fitting_users(H, sent.precoder, noise_power)
        with fitting("H, W, noise_power"):
            received = hermitian(H) @ sent.precoder  # (..., K, K+S), user by stream
            own, gains = np.eye(users, received.shape[-1], dtype=bool), squared(received)
            signal = np.where(own, gains, 0.0).sum(axis=-1)
            other = np.where(own, 0.0, gains).sum(axis=-1) + sent.distortion_along(H) + np.asarray(noise_power)
            if error is not None:
                other = other + _power_through(error, sent.radiated)
        receiver = user.linear_model(diagonal_matrix(signal + other))
        if receiver.coupled:
            raise InvalidInput("user", "must not couple chains", user, "Each user has a receiver of its own.")
        return cls(np.diagonal(received, axis1=-2, axis2=-1), signal, other, receiver, error)

    @property
    def power(self) -> FloatArray:
        """Power that arrives at each receiver, shape (..., K), in W."""
        return self.signal + self.other

    @cached_property
    def sqinr(self) -> FloatArray:
        """Signal-to-quantisation-interference-and-noise ratio of each user, shape (..., K), linear."""
        kept = squared(self.receiver.gain)
        return _over(kept * self.signal, kept * self.other + self.receiver.distortion_power)

    @property
    def gain(self) -> ComplexArray:
        """Gain of each user's own symbols out of its receiver, shape (..., K), in sqrt(W)."""
        return np.asarray(self.amplitude * self.receiver.gain, complex)

    @property
    def output_power(self) -> FloatArray:
        """Power out of each user's receiver, shape (..., K), in W."""
        return self.receiver.output_power(diagonal_matrix(self.power))


def _power_through(error: ComplexArray, R: ComplexArray) -> FloatArray:
    """``tr(Sigma_k R)`` of Hermitian Sigma (..., K, N, N) and R (..., N, N), (..., K)."""
    R = R[..., None, :, :]
    product = error.real * R.real + error.imag * R.imag  # Re tr(Sigma R) is the sum of Re conj(Sigma) R
    return np.ascontiguousarray(product.sum(axis=-1)).sum(axis=-1)


def _over(signal: Any, noise: FloatArray) -> Any:
    """Signal over noise; 0 where a receiver puts out neither, as a converter far from its level does."""
    return np.asarray(signal / np.where(noise == 0, 1.0, noise))


def _fitting_users(H: ComplexArray, W: ComplexArray, noise_power: Any) -> int:
    """The number of users, if channels, precoder and noise fit together."""
    if H.ndim < 2:
        raise InvalidInput("H", "must have at least 2 axes", f"shape {H.shape}", "H is (..., N_t, K).")
    antennas, users = H.shape[-2:]
    _require_antennas("H", antennas, W)
    if W.shape[-1] < users:
        rule = f"must have a column for each of {users} users"
        raise InvalidInput("W", rule, f"shape {W.shape}", "A user that is not served has a column of zeros.")
    if np.shape(noise_power)[-1:] not in ((), (1,), (users,)):
        rule = f"must be one number, or one for each of {users} users"
        raise InvalidInput("noise_power", rule, f"shape {np.shape(noise_power)}", "It is broadcast to (..., K).")
    return int(users)


def _require_background(background: Any, G: ComplexArray) -> None:
    if not isinstance(background, Background):
        raise InvalidInput("background", "must be a Background", background, "Pass Background(responses), or None.")
    if background.responses.shape[-2:] != G.shape[-2:]:
        rule = f"must have the {G.shape[-2]} receive and {G.shape[-1]} transmit antennas of the targets"
        raise InvalidInput("background", rule, background.responses.shape, "Its responses are (..., S, N_r, N_t).")


def _require_antennas(name: str, antennas: int, W: ComplexArray) -> None:
    """Refuse a precoder of other antennas than the array ``name`` has."""
    if W.shape[-2] != antennas:
        rule = f"must have a row for each of the {antennas} transmit antennas of {name}"
        raise InvalidInput("W", rule, f"shape {W.shape}", "W is (..., N_t, K+S).")


@frozen(eq=False, slots=False)
class Echo:
    """What the sensing receiver gets of a transmission, and what it takes for noise.

    What part of it is reference and what part noise depends on what the receiver knows:

    - mode ``"x"``: the digital x; distortion of the transmit chains is noise.
    - mode ``"xq"``: what the chains put out (data converters are deterministic); their
      distortion is probing power.

    A known background B is cancelled in the digital domain: ``A_r B x``, or ``A_r B x_q`` in mode
    ``"xq"``, is subtracted. The converters carry it all the same, which makes their distortion
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
    """

    G: ComplexArray
    sent: Transmission
    thermal: FloatArray
    receive: LinearModel
    mode: Mode = "x"
    background: Background | None = None

    @classmethod
    def of(
        cls,
        G: Any,
        sent: Transmission,
        radar_noise_power: Any,
        receive: Hardware,
        mode: Mode = "x",
        background: Background | None = None,
    ) -> Echo:
        """The echo of a response G (..., N_r, N_t), with noise (...) of each receive chain in W.

        Raises:
            InvalidInput: For an unknown mode, or for shapes that do not fit together.
        """
        if mode not in ("x", "xq"):
            remedy = "'x': the receiver knows x; 'xq': also the DAC output."
            raise InvalidInput("mode", "must be 'x' or 'xq'", mode, remedy)
        G = np.asarray(G, complex, order="C")
        _require_antennas("the sensing array", G.shape[-1], sent.precoder)
        if background is not None:
            _require_background(background, G)
        thermal = np.asarray(radar_noise_power, float)[..., None] + np.zeros(G.shape[-2])
        with fitting("G, W, radar_noise_power, background"):
            whole = G if background is None else G + background.response()
            if receive.is_ideal:  # whatever arrives
                lead = np.broadcast_shapes(whole.shape[:-2], sent.precoder.shape[:-2], thermal.shape[:-1])
                arriving = np.broadcast_to(0j, (*lead, *whole.shape[-2:-1] * 2))
            else:
                arriving = _arriving(whole, sent, thermal)
        return cls(G, sent, thermal, receive.linear_model(arriving), mode, background)

    def knowing(self, mode: Mode) -> Echo:
        """The same echo at a receiver that knows something else."""
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
        return chain_power(_arriving(self.whole, self.sent, self.thermal))

    @property
    def probing(self) -> ComplexArray:
        """Covariance of the reference signal behind the transmit gain, (..., N_t, N_t), in W."""
        return self.sent.signal if self.mode == "x" else self.sent.radiated

    @cached_property
    def noise(self) -> AnyArray:
        """Noise covariance behind the receive gain: (..., N_r, N_r), or its diagonal where that is all; in W."""
        receive, known = self.receive, self.mode == "xq" or self.sent.ideal
        cancelled = self.background is None or self.background.perfect
        if known and cancelled and receive.diagonal and not receive.coupled:
            return squared(receive.gain) * self.thermal + receive.distortion
        unknown = 0.0 if known else self.sent.distortion_through(self.whole)
        if self.background is not None and not cancelled:
            unknown = unknown + self.background.left(self.probing)
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
        received = self.receive.amplify(C)
        if self.diagonal:
            return np.asarray(_over(received, self.noise[..., None]))
        # A chain that puts out nothing tells nothing: any noise will do for it.
        silent = (chain_power(self.noise) == 0) & ~received.any(axis=-1)
        with invertible("receive", "a noise covariance"):
            return np.asarray(np.linalg.solve(self.noise + diagonal_matrix(silent.astype(float)), received), complex)

    def information(self, C: ComplexArray) -> ComplexArray:
        """``(A_r C)^H noise^-1 (A_r C)``, shape (..., m, m), in 1/W."""
        return hermitian(self.receive.amplify(C)) @ self.whiten(C)

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


def _arriving(G: ComplexArray, sent: Transmission, thermal: FloatArray) -> ComplexArray:
    """Covariance of echo and noise at the receive chains, (..., N_r, N_r), in W."""
    return np.asarray(G @ sent.radiated @ hermitian(G) + diagonal_matrix(thermal))


@frozen(eq=False, slots=False)
class Link:
    """Precoders on the realisations of a drop, through hardware; each part is worked out when first read.

    Attributes:
        W: Precoders, shape (B, N_t, K+S), in sqrt(W).
        drop: The realisations they are judged on, with one leading axis B.
        transceiver: The hardware they meet.
    """

    W: ComplexArray
    drop: Drop
    transceiver: Transceiver = IDEAL

    @cached_property
    def sent(self) -> Transmission:
        """What leaves the transmit chains."""
        return Transmission.of(self.W, self.transmit)

    @property
    def transmit(self) -> Hardware:
        """The transmit chains as precoders see them."""
        return self.transceiver.transmit

    @property
    def radiated_power(self) -> FloatArray:
        """Power of the samples that leave the chains, shape (B,), in W."""
        return self.sent.power

    @cached_property
    def users(self) -> Reception:
        """What the users receive."""
        return Reception.of(self.drop.H, self.sent, self.drop.noise_power, self.transceiver.user)

    @cached_property
    def echo(self) -> Echo:
        """What a sensing receiver that knows x gets; see `Echo.knowing` for another."""
        drop, G = self.drop, self.drop.targets.response()
        return Echo.of(G, self.sent, drop.radar_noise_power, self.transceiver.receive, background=drop.background)

    def members(self) -> Iterator[Link]:
        """The link of each member, with a leading axis of length 1; the transmission is worked out once for all."""
        drop = flatten(self.drop, (len(self.W),))
        for i in range(len(self.W)):
            at = np.array([i])
            yield attrs.evolve(self, W=self.W[at], drop=take(drop, at)).sending(self.sent.take(at))

    def sending(self, sent: Transmission) -> Link:
        """The same link, whose transmission is known."""
        link = attrs.evolve(self)
        link.__dict__["sent"] = sent  # where cached_property keeps it
        return link


@frozen(eq=False, slots=False)
class WidebandLink(Link):
    """The link of precoders for each subcarrier; its parts have the subcarriers behind the batch axis.

    A receiver passes the active band alone: what transmit chains put out beside it does not reach the
    converters of users and sensing receiver, whose noise is that of the whole band of the samples.

    Attributes:
        W: Precoders, shape (B, F, N_t, K+S), in sqrt(W).
        drop: The realisations, a `WidebandDrop` with one leading axis B.
    """

    @property
    def grid(self) -> Grid:
        """The grid of the signal."""
        return cast(WidebandDrop, self.drop).grid

    @property
    def transmit(self) -> Hardware:
        """The transmit chains as precoders see them: all subcarriers together."""
        return OverBand(self.transceiver.transmit, self.grid)

    @property
    def radiated_power(self) -> FloatArray:
        """Power of the samples that leave the chains, in band, shape (B,), in W."""
        return np.asarray(self.sent.power.sum(axis=-1) / self.grid.subcarriers)

    @cached_property
    def users(self) -> Reception:
        """What the users receive, on each subcarrier."""
        return band_reception(self.drop.H, self.sent, self.drop.noise_power, self.transceiver, self.grid)

    @cached_property
    def echo(self) -> Echo:
        """What a sensing receiver that knows x gets, on each subcarrier."""
        drop = self.drop
        G, background = drop.targets.band_response(self.grid), drop.background
        flat = None if background is None else background.flat()
        return band_echo(G, self.sent, drop.radar_noise_power, self.transceiver, self.grid, background=flat)


def band_reception(
    H: ComplexArray,
    sent: Transmission,
    noise_power: FloatArray,
    transceiver: Transceiver,
    grid: Grid,
    leaked: AnyArray | float = 0.0,
) -> Reception:
    """What users with the noise (..., K) receive on each subcarrier over channels (..., F, N_t, K).

    ``leaked`` (..., F, K) is the power, in W, that comes from other subcarriers where the channel turns within a body.
    """
    user = OverBand(transceiver.user, grid, noise_power)
    return Reception.of(H, sent, noise_power[..., None, :] + leaked, user)


def band_echo(
    G: ComplexArray,
    sent: Transmission,
    radar_noise_power: FloatArray,
    transceiver: Transceiver,
    grid: Grid,
    mode: Mode = "x",
    background: Background | None = None,
) -> Echo:
    """What a sensing receiver with the noise (...) gets on each subcarrier of a response (..., F, N_r, N_t)."""
    noise = np.asarray(radar_noise_power)[..., None]
    return Echo.of(G, sent, noise, OverBand(transceiver.receive, grid, noise), mode, background)


def link_over(W: Any, drop: Drop, transceiver: Transceiver) -> Link:
    """The link of precoders over a drop, of either kind."""
    return (WidebandLink if isinstance(drop, WidebandDrop) else Link)(W, drop, transceiver)
