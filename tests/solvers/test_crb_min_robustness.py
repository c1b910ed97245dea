"""The default solver of `CrbMin` on random problems of all kinds, rechecked from its precoders."""

import numpy as np
import pytest

import isacsim
from isacsim import Status

ANTENNAS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
EXCESS = (1.0001, 1.001, 1.01, 1.1, 1.5, 10.0, 100.0)


def draw(kit, seed):
    """A problem with unequal users, correlated channels and any power above the least; None if none suffices."""
    rng = np.random.default_rng(seed)
    antennas, users = int(rng.choice(ANTENNAS)), int(rng.integers(1, 17))
    unequal = rng.random() < 0.5
    sinr = 10 ** (rng.uniform(0, 20, users if unequal else 1) / 10) * np.ones(users)
    H = (rng.standard_normal((antennas, users)) + 1j * rng.standard_normal((antennas, users))) / np.sqrt(2)
    apart = np.abs(np.subtract.outer(np.arange(antennas), np.arange(antennas)))
    correlation = rng.choice([0.0, 0.3, 0.6, 0.9]) ** apart
    path_loss = 10 ** (-rng.uniform(0, rng.uniform(0, 20), users) / 20)
    noise = 10 ** (rng.uniform(-5, 5, users) / 10)
    problem = isacsim.CrbMin(np.linalg.cholesky(correlation) @ H * path_loss, sinr, 1e15, noise)
    # Each user takes sinr / (1 + sinr) of the dimensions: more users than that no power serves.
    if np.sum(sinr / (1 + sinr)) >= 0.98 * min(antennas, users + 1):
        return None
    least = kit.least_watts(problem)
    return isacsim.CrbMin(problem.H, sinr, rng.choice(EXCESS) * least, noise)


@pytest.mark.slow
def test_a_thousand_problems_are_certified_and_keep_their_constraints(kit):
    solved, open_ends, steps, seed = 0, [], [], 40_000
    while solved < 1000:
        problem, seed = draw(kit, seed), seed + 1
        if problem is None:
            continue
        solved += 1
        solution = isacsim.solve(problem)
        steps.append(int(solution.iterations))
        W = solution.precoder
        gains = np.abs(problem.H.conj().T @ W) ** 2
        own = np.diagonal(gains)
        sinr = own / (gains.sum(axis=1) - own + problem.noise_power)
        assert np.all(sinr >= problem.min_sinr * (1 - 1e-9)), seed
        assert abs(np.linalg.norm(W) ** 2 / problem.power - 1) <= 1e-9, seed
        value = (1 / np.linalg.svd(W, compute_uv=False) ** 2).sum()
        assert abs(solution.objective / value - 1) <= 1e-9, seed
        # Down to 1.0001 times the least power: rounding of 1e-13 over the small power that is left.
        assert solution.bound <= solution.objective * (1 + 1e-9), seed
        if not solution.gap <= 1e-7:
            # What is left open says so, with its bracket.
            assert solution.status in (Status.STALLED, Status.MAX_STEPS), seed
            open_ends.append((seed - 1, str(solution.status), float(solution.gap)))
        elif solution.gap > 1e-8:
            assert solution.status is not Status.OPTIMAL, seed
    print(f"open: {open_ends}; steps: median {np.median(steps)}, largest {max(steps)}")
    assert len(open_ends) <= 2
