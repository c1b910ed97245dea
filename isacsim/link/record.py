"""Transmission, reception and echo of a drop in one record, and the same of a band."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, cast

import attrs
import numpy as np
from attrs import frozen

from isacsim.batch import flatten, hermitian, squared, take
from isacsim.channels.late_paths import stray_power
from isacsim.drop import Drop, WidebandDrop
from isacsim.errors import InvalidInput
from isacsim.grid import Grid
from isacsim.hardware.base import Hardware, Transceiver
from isacsim.hardware.spectral import OverBand
from isacsim.link.echo import Echo
from isacsim.link.reception import Reception, band_reception
from isacsim.link.sent import IDEAL, Transmission
from isacsim.targets.scene import PointTargets
from isacsim.typing import ComplexArray, FloatArray


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
            yield self.sending(self.sent.take(at), W=self.W[at], drop=take(drop, at))

    def sending(self, sent: Transmission, **changes: Any) -> Link:
        """The same link but for ``changes``, whose transmission is known."""
        link = attrs.evolve(self, **changes)
        link.__dict__["sent"] = sent  # where cached_property keeps it
        return link


@frozen(eq=False, slots=False)
class WidebandLink(Link):
    """The link of precoders for each subcarrier; its parts have the subcarriers behind the batch axis.

    A receiver passes the active band alone: what transmit chains put out beside it does not reach the
    converters of users and sensing receiver, whose noise is that of the whole band of the samples.

    Attributes:
        W: Precoders, shape (B, F, N_t, K+S), in sqrt(W); those of shape (B, N_t, K+S) are shared by all subcarriers.
        drop: The realisations, a `WidebandDrop` with one leading axis B.

    Raises:
        InvalidInput: If there are precoders for another number of subcarriers.
    """

    def __attrs_post_init__(self) -> None:
        W, used = np.asarray(self.W), self.grid.used
        if W.ndim == 3:
            W = np.repeat(W[:, None], used, axis=1)
        if W.ndim != 4 or W.shape[1] != used:
            rule = f"must be precoders for each of {used} active subcarriers, or one for all"
            raise InvalidInput("W", rule, f"shape {W.shape}", "W is (B, F, N_t, K+S), or (B, N_t, K+S).")
        object.__setattr__(self, "W", W)

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
        """What the users receive on each subcarrier of the first symbol."""
        drop, motion = self.drop, cast(WidebandDrop, self.drop).motion
        late = None if motion is None else motion.late(self.grid, 0)
        return band_reception(drop.H, self.sent, drop.noise_power, self.transceiver, self.grid, late=late)

    @cached_property
    def echo(self) -> Echo:
        """What a sensing receiver that knows x gets, on each subcarrier.

        Of a target beyond the prefix the receiver loses a part, and another is no reference.
        """
        drop = self.drop
        G, background = drop.targets.band_response(self.grid), drop.background
        flat = None if background is None else background.flat()
        noise = np.asarray(drop.radar_noise_power)[..., None]  # of each subcarrier
        receive = OverBand(self.transceiver.receive, self.grid, noise)
        return Echo.of(G, self.sent, noise, receive, background=flat, stray=self._stray())

    def _stray(self) -> ComplexArray | None:
        """What arrives of targets beyond the prefix from other subcarriers and symbols, (B, F, N_r, N_r), in W."""
        targets, grid = self.drop.targets, self.grid
        if not isinstance(targets, PointTargets) or np.all(grid.covered(targets.delay) == 1):
            return None
        M = targets.count
        a, b = targets.transmit_basis()[..., None, :, :M], targets.receive_basis()[..., None, :, :M]
        power = np.moveaxis(self.sent.power_along(a), -1, -2)  # of what meets each target, (B, M, F)
        stray = squared(targets.reflection)[..., None] * stray_power(power, targets.delay, grid)
        return np.asarray((b * np.moveaxis(stray, -1, -2)[..., None, :]) @ hermitian(b))


def link_over(W: Any, drop: Drop, transceiver: Transceiver) -> Link:
    """The link of precoders over a drop, of either kind."""
    return (WidebandLink if isinstance(drop, WidebandDrop) else Link)(W, drop, transceiver)
