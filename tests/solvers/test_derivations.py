"""What the pages in docs/derivations say of the default solvers and no test of their parts does."""

import ast
import re
from pathlib import Path

import attrs
import numpy as np
import pytest

import isacsim
from isacsim.batch import flatten, hermitian
from isacsim.linalg.hermitian import coordinates
from isacsim.records import blank, laid, member
from isacsim.solvers.crb_min.dual import MU, Scratch, evaluate
from isacsim.solvers.crb_min.newton import PrimalDualNewton
from isacsim.solvers.crb_min.newton_start import begin, near
from isacsim.solvers.crb_min.newton_system import EPS, PIVOT, Iterate, Work, linearise
from isacsim.solvers.crb_min.recovery import cheapest
from isacsim.solvers.crb_min.reduction import reductions
from isacsim.solvers.sqinr.least_power import least_power
from isacsim.solvers.sqnr_max.newton_mm import NewtonMm
from isacsim.solvers.sqnr_max.objectives import sqnr_groups
from isacsim.solvers.sum_rate_crlb.lbfgs import RiemannianLbfgs
from isacsim.solvers.sum_rate_crlb.merit import Merit


def reduced_problem(kit):
    problem = isacsim.CrbMin(kit.complex_gaussian((1, 6, 3), 0), 3.0, 1.0, 0.05)
    (group,) = reductions(flatten(problem))
    return group.system


def barrier_dual(reduced, eps, M, mu):
    """D + eps log det M of [docs/derivations/primal-dual-newton], of one member."""
    H, r, N = reduced.H[0], reduced.rank, reduced.antennas
    s = 1 / np.diagonal(hermitian(H) @ np.linalg.solve(M, H)).real
    multipliers = s / reduced.ratio[0]
    Q = mu * np.eye(r) - M + (H * multipliers) @ hermitian(H)
    value = 2 * np.sqrt(np.linalg.eigvalsh(Q)).sum() + 2 * (N - r) * np.sqrt(mu)
    return value + multipliers @ reduced.noise[0] - mu * N + eps * np.linalg.slogdet(M)[1]


def test_the_newton_system_of_the_saddle_is_the_second_derivative_of_the_dual_with_its_barrier(kit):
    reduced, eps, mu, xi = reduced_problem(kit), 0.02, 1.2, 0.3
    H, r = reduced.H[0], reduced.rank
    M = 0.3 * (np.eye(r) + 0.5 * H @ hermitian(H))
    dual = evaluate(reduced, np.linalg.cholesky(M)[None], np.array([mu]))
    spectrum, U = np.linalg.eigh(dual.Q)
    assert spectrum.min() > 0.5  # inside the domain
    R = (U * spectrum[:, None] ** -0.5) @ hermitian(U)
    beams = cheapest(reduced, least_power(reduced).multipliers)
    sizes = reduced.sizes
    at = laid(Iterate, near(dual, np.array([eps]), beams, dual.bound, sizes)[0], sizes)
    at.R[:] = R[0]
    place, here = laid(Work, blank(Work, sizes), sizes)
    assert linearise(member(reduced.arrays, 0), at, place, here)
    X = kit.complex_gaussian((r, r), 1)
    X = X + hermitian(X)
    L, x, scaling = place.frame.L, coordinates(X), place.system.scaling
    factor = np.tril(place.system.factor)
    corner = at.told[PIVOT] + scaling @ place.system.side
    form = x @ (factor @ factor.T) @ x + 2 * xi * scaling @ x + corner * xi**2

    def along(t):
        whole = np.eye(r) + t * (X + xi * np.eye(r))
        return barrier_dual(reduced, eps, L @ whole @ hermitian(L), mu * (1 + t * xi))

    step = 1e-3
    second = (along(step) - 2 * along(0.0) + along(-step)) / step**2
    # Truncation is step^2, rounding eps / step^2.
    np.testing.assert_allclose(form, -second, rtol=1e-4)


def test_on_the_ray_of_the_least_power_q_is_a_multiple_of_the_identity_and_the_start_is_stationary(kit):
    reduced = reduced_problem(kit)
    least, sizes, r = least_power(reduced), reduced.sizes, reduced.rank
    at, here = laid(Iterate, blank(Iterate, sizes), sizes), laid(Scratch, blank(Scratch, sizes), sizes)
    begin(member(reduced.arrays, 0), least.multipliers[0], least.power[0], at, here)
    dual, eps = at.dual, at.told[EPS]
    Q, mu = dual.Q, dual.numbers[MU]
    q = Q[0, 0].real
    np.testing.assert_allclose(Q, q * np.eye(r), atol=1e-12 * mu)
    t = mu - q
    np.testing.assert_allclose(dual.multipliers, t * least.multipliers[0], rtol=1e-12)

    def on_the_ray(q, t):
        M = dual.L @ hermitian(dual.L) * (t / (mu - Q[0, 0].real))
        return barrier_dual(reduced, eps, M, q + t)

    best = on_the_ray(q, t)
    # The bisection ends at 1e-9 of the root: what it leaves enters squared.
    for other in ((1.01 * q, t), (0.99 * q, t), (q, 1.01 * t), (q, 0.99 * t)):
        assert on_the_ray(*other) < best


def test_the_ratio_of_a_point_target_rises_with_its_gradient_times_a_ratio_of_denominators(kit):
    a, b = kit.complex_gaussian((1, 5), 2), kit.complex_gaussian((1, 1), 3)
    b = np.broadcast_to(b, (1, 3))  # receive chains that are alike: 1/B is affine
    G = b[..., :, None] * np.conj(a)[..., None, :]
    hardware = isacsim.Transceiver(isacsim.Aqnm([2, 3, 4, 3, 2]), isacsim.Aqnm(3), isacsim.Aqnm(3))
    problem = isacsim.SqnrMax(kit.complex_gaussian((1, 5, 2), 4), G, 1.0, 1.0, 0.1, 0.1, hardware)
    (group,) = sqnr_groups(flatten(problem))
    objective = group.system.objective
    target = objective.target
    assert target.affine.all()
    V, other = (kit.complex_gaussian((1, 5, 4), seed) / 4 for seed in (5, 6))
    (f, gradient), (g, _) = objective.first_order(V), objective.first_order(other)
    change = other @ hermitian(other) - V @ hermitian(V)
    slope = np.trace(gradient @ change, axis1=-2, axis2=-1).real
    power = [(np.abs(np.conj(target.a)[:, None, :] @ X) ** 2).sum() for X in (V, other)]
    denominators = [zeta / value for zeta, value in zip(power, (f, g), strict=True)]
    np.testing.assert_allclose(g - f, denominators[0] / denominators[1] * slope, rtol=1e-10)


def test_the_preconditioned_step_is_a_pass_of_wmmse_with_the_multiplier_of_full_power(kit):
    problem = kit.make_problem(seed=0, batch=(1,))
    merit = Merit.of(problem)
    point = merit.evaluate(merit.project(kit.complex_gaussian((1, merit.H.shape[-2], problem.streams), 7)))
    beta = point.signal / (point.interference * (point.signal + point.interference))
    weights = problem.rate_weight * beta
    mu = ((weights * merit.noise_power).sum() + problem.crlb_weight * point.crlb[0]) / merit.power[0]
    g = point.gradient
    np.testing.assert_allclose(np.vdot(point.W, g).real, mu * merit.power[0], rtol=1e-10)
    H = merit.H[0]
    matrix = (H * weights[0]) @ hermitian(H)
    right = g[0] + matrix @ point.W[0]  # C_1 + crlb_weight Q W
    reached = point.W + merit.preconditioner(point) @ merit.slope(point)
    np.testing.assert_allclose(reached[0], np.linalg.solve(matrix + mu * np.eye(len(H)), right), rtol=1e-8, atol=1e-10)


# The constants of a page, and the folders of solvers that its modules lie in.
PAGES = {
    "newton-mm": ("sqnr_max", "sqinr", "."),
    "primal-dual-newton": ("crb_min", "sqinr"),
    "riemannian-lbfgs": ("sum_rate_crlb",),
}
SOLVERS = {"newton-mm": NewtonMm, "primal-dual-newton": PrimalDualNewton, "riemannian-lbfgs": RiemannianLbfgs}
PACKAGE, DERIVATIONS = Path(isacsim.__file__).parent, Path(__file__).parents[2] / "docs" / "derivations"


def told(page):
    """The constants in the table of a page: value by module and name."""
    found = {}
    for line in (DERIVATIONS / f"{page}.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and (cells[1].startswith("`") or cells[1] == "option"):
            names, values = cells[2].replace("`", "").split(", "), ast.literal_eval(f"[{cells[3]}]")
            found |= {(cells[1].strip("`"), name): value for name, value in zip(names, values, strict=True)}
    return found


def written(path):
    """The numbers, or tuples of them, that a module has names in capitals for."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            several = isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)  # else names of places
            pairs = zip(target.elts, node.value.elts, strict=True) if several else None
            for name, value in pairs or [(target, node.value)]:
                try:
                    number = ast.literal_eval(value)
                except ValueError:
                    continue
                if name.id.isupper() and not isinstance(number[0] if isinstance(number, tuple) else number, str):
                    found[name.id] = number
    return found


@pytest.mark.skipif(not DERIVATIONS.is_dir(), reason="the documentation is not installed")
@pytest.mark.parametrize("page", PAGES)
def test_the_table_of_a_derivation_has_every_constant_of_its_modules_with_its_value(page):
    here = told(page)
    there = {}
    for module in {module for module, _ in here} - {"option"}:
        # The first folder that has one: the room of SQINR problems has modules of the same name. Lower rooms are named.
        rooms = ["."] if "/" in module else [f"solvers/{folder}" for folder in PAGES[page]]
        path = next(home for room in rooms if (home := PACKAGE / room / f"{module}.py").is_file())
        there |= {(module, name): value for name, value in written(path).items()}
    defaults = {field.name: field.default for field in attrs.fields(SOLVERS[page]) if field.name != "starts"}
    assert here == there | {("option", name): value for name, value in defaults.items()}


@pytest.mark.skipif(not DERIVATIONS.is_dir(), reason="the documentation is not installed")
@pytest.mark.parametrize("page", [*PAGES, "../notation"])
def test_what_a_page_names_of_the_code_is_there(page):
    known = set(re.findall(r"\w+", "".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))))
    # Names of functions and classes; `snr_db` and the like are told by their ends.
    names = re.findall(r"`([A-Za-z]\w*(?:\.\w+)*)(?:\(.*?\))?`", (DERIVATIONS / f"{page}.md").read_text("utf-8"))
    assert {part for name in names for part in name.split(".")} - known == set()
