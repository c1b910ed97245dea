"""Points of rank one from the covariances that a program returned.

From R_k of any rank follow beams of rank one with the same R and the same SQINRs,
``v_k = R_k h_k / sqrt(h_k^H R_k h_k)``, since R_k - v_k v_k^H >= 0 goes to the sensing streams
[Liu20, Theorem 1]. In W it is the channel behind the gains, g_k = A_t h_k, that stands in the
place of h_k: with transmit chains that differ the two are not parallel.
"""

from __future__ import annotations

import numpy as np

from isacsim.solvers.linear import herm
from isacsim.solvers.sqinr.system import System
from isacsim.typing import ComplexArray, FloatArray


def along_channels(H: ComplexArray, V: ComplexArray) -> tuple[ComplexArray, FloatArray]:
    """Beams ``V_k h_k / sqrt(h_k^H V_k h_k)``, (B, N, K), and what they are divided by, squared, (B, K).

    Args:
        H: Channels, (B, N, K).
        V: Covariances V_k, (B, K, N, N).
    """
    h = np.ascontiguousarray(H.swapaxes(-1, -2))
    Vh = (V @ h[..., None])[..., 0]
    received = (np.conj(h) * Vh).sum(axis=-1).real
    beams = Vh / np.sqrt(np.maximum(received, np.finfo(float).tiny))[..., None]
    return np.ascontiguousarray(beams.swapaxes(-1, -2)), received


def rank_one(system: System, users: ComplexArray, total: ComplexArray) -> ComplexArray:
    """Beams and N sensing streams (B, N, K+N) of covariances.

    Args:
        system: The members.
        users: R_k, (B, K, N, N).
        total: R, (B, N, N).
    """
    beams, _ = along_channels(system.H, users)
    spectrum, U = np.linalg.eigh(herm(total - beams @ np.conj(beams).swapaxes(-1, -2)))
    sensing = U * np.sqrt(np.maximum(spectrum, 0.0))[:, None, :]
    return np.concatenate([beams, sensing[:, :, ::-1]], axis=-1)
