"""Table I of [Fang25] on its own channels, with its own start: single numbers of the published data."""

import pytest

import isacsim
from isacsim import Transceiver
from isacsim.engine.files import scenario_file

# Sum rate and CRLB of LD Algorithm 1 by channel [Fang25, data of Fig. 5]. The number of steps is
# published for the last one alone; the others are ours.
LD = {
    (16, 0): (11.016200026037517, 2.45818579258048, 895),
    (16, 3): (10.227423682556614, 2.5872713808231182, 699),
    (32, 1): (14.400624667173506, 1.177417336752617, 1648),
    (64, 2): (18.458204054066726, 0.8671689467451468, 3369),
    (128, 4): (20.50868471198835, 0.7889761633728853, 3371),
    (256, 99): (23.401720390014876, 0.8001118896548702, 8818),
}
BARE = ("sweep={}", "figure={}", "expect={}")


CASES = [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] > 32)) for case in sorted(LD)]


@pytest.mark.parametrize(("antennas", "channel"), CASES)
def test_the_low_dimensional_iteration_gives_the_published_numbers(antennas, channel):
    sizes = [f"base_station.{side}_array.vertical={antennas // 4}" for side in ("transmit", "receive")]
    scenario = isacsim.load_scenario(scenario_file("sum-rate-crlb/table1-as-run.toml"), set=(*BARE, *sizes))
    design = scenario.design["ld-sca"]
    solution = isacsim.solve(design.problem.pose(scenario.drop((channel,)), Transceiver()), design.solver)
    rate, crlb, steps = LD[antennas, channel]
    # The scene has eight digits.
    assert solution.iterations == steps
    assert solution.trace["sum_rate"][0, steps] == pytest.approx(rate, rel=1e-7)
    assert solution.trace["crlb"][0, steps] == pytest.approx(crlb, rel=1e-7)
