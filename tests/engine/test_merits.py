"""The unit of an objective is that of the problem, where all designs of a study have one."""

import pytest

import isacsim

CRB = '{ kind = "crb-min", min_sinr_db = 5 }'


@pytest.mark.parametrize(
    ("problems", "unit", "title"),
    [
        ([CRB], "1/W", "CRB of the target response"),
        ([CRB, '{ kind = "sqnr-max", min_sqinr_db = 5 }'], "1", "merit of the design's problem"),
    ],
)
def test_the_objective_has_the_unit_of_its_problem(study, tmp_path, problems, unit, title):
    designs = ", ".join(f"d{i} = {{ problem = {p}, solver = 'zf' }}" for i, p in enumerate(problems))
    scenario = study("trials=1", f"design={{ {designs} }}", "sweep.bits.values=[3]", "figure={}")
    dataset = isacsim.run(scenario, tmp_path / "run").dataset()
    assert (dataset["objective"].attrs["units"], dataset["objective"].attrs["long_name"]) == (unit, title)
    assert dataset["bound"].attrs["units"] == unit
