"""Metrics of the users under names that scenarios use: records around `isacsim.metrics.rate`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from attrs import frozen

from isacsim.drop import Drop, WidebandDrop
from isacsim.link import Link, WidebandLink
from isacsim.metrics.attainable import sqinr_bound
from isacsim.metrics.components import Metric, Quantity
from isacsim.typing import FloatArray


class OnSubcarriers(Metric):
    """A metric with a value on each active subcarrier; without a grid there is one."""

    over_band = "own"

    @abstractmethod
    def of_each(self, link: Link) -> FloatArray:
        """The values of a link, (B, ...), with the subcarriers behind B where it has a grid."""

    def labels(self, drop: Drop) -> dict[str, Sequence[Any]]:
        """Signed indices of the subcarriers."""
        return {"subcarrier": [int(i) for i in drop.grid.index]} if isinstance(drop, WidebandDrop) else {}

    def value(self, link: Link) -> FloatArray:
        """`of_each`, with an axis of subcarriers."""
        values = self.of_each(link)
        return values if isinstance(link, WidebandLink) else values[:, None]


@frozen
class SumRateNats(Metric):
    """Sum rate of the users, in nat/s/Hz."""

    quantity = Quantity("sum-rate-nats", "nat/s/Hz", (), "sum rate of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sum_rate`."""
        return np.asarray(np.log1p(link.users.sqinr).sum(axis=-1))


@frozen
class SumRateBits(Metric):
    """Sum rate of the users, in bit/s/Hz."""

    quantity = Quantity("sum-rate-bits", "bit/s/Hz", (), "sum rate of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sum_rate_bits`."""
        return sum_rate_bits_of(link)


@frozen
class RateNats(Metric):
    """Rate of each user, in nat/s/Hz."""

    quantity = Quantity("rate-nats", "nat/s/Hz", ("user",), "rate of each user")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.rate_nats`."""
        return np.log1p(link.users.sqinr)


@frozen
class Sqinr(Metric):
    """Signal-to-quantisation-interference-and-noise ratio of each user, linear."""

    quantity = Quantity("sqinr", "1", ("user",), "SQINR of each user")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sqinr`."""
        return link.users.sqinr


@frozen
class SubcarrierSqinr(OnSubcarriers):
    """SQINR of each user on each active subcarrier, linear."""

    quantity = Quantity("subcarrier-sqinr", "1", ("subcarrier", "user"), "SQINR of each user on each subcarrier")

    def of_each(self, link: Link) -> FloatArray:
        """`isacsim.link.WidebandLink.users`."""
        return link.users.sqinr


@frozen
class MeanSqinr(Metric):
    """Mean of the users' SQINRs, linear: the axis of [Xu25, Fig. 1]."""

    quantity = Quantity("mean-sqinr", "1", (), "mean SQINR of the users")
    over_band = "mean"

    def value(self, link: Link) -> FloatArray:
        """The mean of `isacsim.metrics.sqinr`; NaN without users."""
        values = link.users.sqinr
        return values.mean(axis=-1) if values.shape[-1] else np.full(values.shape[:-1], np.nan)


@frozen
class MinSqinr(Metric):
    """The least of the users' SQINRs, on any subcarrier, linear: what a requirement is compared with."""

    quantity = Quantity("min-sqinr", "1", (), "least SQINR of the users")
    over_band = "own"

    def value(self, link: Link) -> FloatArray:
        """The least of `isacsim.metrics.sqinr`; infinite without users."""
        values = link.users.sqinr
        return np.asarray(values.min(axis=tuple(range(1, values.ndim)), initial=np.inf))


@frozen
class SqinrBound(Metric):
    """The largest SQINR of each user, were it served alone, linear."""

    quantity = Quantity("sqinr-bound", "1", ("user",), "largest SQINR of each user, were it served alone")

    def value(self, link: Link) -> FloatArray:
        """`isacsim.metrics.sqinr_bound`, which no precoder of the drop's power exceeds."""
        bound = sqinr_bound(link.drop.H, link.drop.power, link.drop.noise_power, link.transceiver)
        return np.broadcast_to(bound, (len(link.W), bound.shape[-1]))


def sum_rate_bits_of(link: Link) -> FloatArray:
    """Sum rate of the users of a link, in bit/s/Hz."""
    return np.asarray((np.log1p(link.users.sqinr) / np.log(2)).sum(axis=-1))
