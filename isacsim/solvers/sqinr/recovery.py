"""Points of rank one from the covariances that a program returned.

From R_k of any rank follow beams of rank one with the same R and the same SQINRs,
``v_k = R_k h_k / sqrt(h_k^H R_k h_k)``, since R_k - v_k v_k^H >= 0 goes to the sensing streams
[Liu20, Theorem 1]. In W it is the channel behind the gains, g_k = A_t h_k, that stands in the
place of h_k: with transmit chains that differ the two are not parallel.
"""

from __future__ import annotations

import numpy as np

from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray


def rank_one(system: System, users: ComplexArray, total: ComplexArray) -> ComplexArray:
    """Beams and N sensing streams (B, N, K+N) of covariances.

    Args:
        system: The members.
        users: R_k, (B, K, N, N).
        total: R, (B, N, N).
    """
    h = np.ascontiguousarray(system.H.swapaxes(-1, -2))[..., None]  # (B, K, N, 1)
    beams = (users @ h)[..., 0]
    received = (np.conj(h[..., 0]) * beams).sum(axis=-1).real
    beams = beams / np.sqrt(np.maximum(received, np.finfo(float).tiny))[..., None]
    beams = np.ascontiguousarray(beams.swapaxes(-1, -2))
    rest = total - beams @ np.conj(beams).swapaxes(-1, -2)
    spectrum, U = np.linalg.eigh((rest + np.conj(rest).swapaxes(-1, -2)) / 2)
    sensing = U * np.sqrt(np.maximum(spectrum, 0.0))[:, None, :]
    return np.concatenate([beams, sensing[:, :, ::-1]], axis=-1)
