"""Registers the bundled solvers."""

from collections.abc import Iterable

from isacsim.plugin.hookspecs import hookimpl
from isacsim.plugin.specs import SolverSpec

isacsim_api = 2


@hookimpl
def isacsim_solvers() -> Iterable[SolverSpec]:
    """Solvers."""
    yield from _of_sum_rate_crlb()
    yield from _of_crb_min()
    yield from _of_sqnr_max()
    yield from _heuristics()
    yield SolverSpec(
        "fisher-sdr",
        "isacsim.solvers.point_crb_min.fisher_sdr:FisherSdr",
        "Semidefinite relaxation of the CRLBs of angles, certified",
        default_for="point-crb-min",
    )


def _of_sum_rate_crlb() -> Iterable[SolverSpec]:
    home = "isacsim.solvers.sum_rate_crlb"
    yield SolverSpec("sca", f"{home}.sca:Sca", "Successive convex approximation, monotone")
    yield SolverSpec("ld-sca", f"{home}.ld_sca:LdSca", "Successive convex approximation in at most K+3M dimensions")
    yield SolverSpec("fp-sgda", f"{home}.fp_sgda:FpSgda", "Smoothed gradient ascent, a baseline", {"max_steps": 50})
    yield SolverSpec(
        "riemannian-lbfgs",
        f"{home}.lbfgs:RiemannianLbfgs",
        "Preconditioned Riemannian L-BFGS from several starts, fast",
        default_for=("sum-rate-crlb", "band-sum-rate-crlb"),
    )
    yield SolverSpec(
        "riemannian-cg",
        f"{home}.conjugate_gradient:RiemannianCg",
        "Preconditioned Riemannian conjugate gradients from several starts",
    )
    yield SolverSpec("r-wmmse", f"{home}.wmmse:RWmmse", "Reduced WMMSE for rates alone, a baseline")
    yield SolverSpec(
        "wmmse-sdr",
        f"{home}.wmmse_sdr:WmmseSdr",
        "WMMSE with semidefinite relaxation, a slow baseline",
        {"max_steps": 2},
    )


def _of_crb_min() -> Iterable[SolverSpec]:
    home = "isacsim.solvers.crb_min"
    yield SolverSpec("ipm", f"{home}.ipm:Ipm", "Semidefinite program over the whole array, a slow baseline")
    yield SolverSpec("r-ipm", f"{home}.ipm:RIpm", "Semidefinite program on the range of the channels")
    yield SolverSpec(
        "bal", f"{home}.bal:Bal", "Balanced augmented Lagrangian method, a slow baseline", {"max_steps": 200}
    )
    yield SolverSpec(
        "r-bal",
        f"{home}.bal:RBal",
        "Balanced augmented Lagrangian method on the range of the channels",
        {"max_steps": 200},
    )
    yield SolverSpec(
        "primal-dual-newton",
        f"{home}.newton:PrimalDualNewton",
        "Saddle primal-dual Newton method, certified",
        default_for="crb-min",
    )
    yield SolverSpec(
        "dual-newton", f"{home}.dual_newton:DualNewton", "Newton's method on the dual behind converters, certified"
    )


def _of_sqnr_max() -> Iterable[SolverSpec]:
    home = "isacsim.solvers.sqnr_max"
    yield SolverSpec(
        "sdr", f"{home}.sdr:Sdr", "Semidefinite relaxation, certified, for a point target or ideal converters"
    )
    yield SolverSpec(
        "newton-mm",
        f"{home}.newton_mm:NewtonMm",
        "Newton's method on tight constraints, certified",
        default_for="sqnr-max",
    )
    yield SolverSpec(
        "augmented-lagrangian",
        f"{home}.behind_hardware:AugmentedLagrangian",
        "Augmented Lagrangian method behind exact models of hardware",
    )
    yield SolverSpec(
        "mm", f"{home}.mm:Mm", "Majorisation-minimisation by cone programs, a slow baseline", {"max_steps": 20}
    )


def _heuristics() -> Iterable[SolverSpec]:
    home = "isacsim.solvers.heuristics.beams"
    yield SolverSpec("mrt", f"{home}:MaximumRatio", "Maximum-ratio transmission, a baseline in closed form")
    yield SolverSpec("zf", f"{home}:ZeroForcing", "Zero forcing, a baseline in closed form")
    yield SolverSpec("rzf", f"{home}:RegularisedZeroForcing", "Regularised zero forcing (MMSE), a baseline")
    yield SolverSpec("dft-beams", f"{home}:DftBeams", "A beam of the DFT for each user, a baseline")
    yield SolverSpec("equal-split", f"{home}:EqualSplit", "Equal power on all antennas, a baseline")
