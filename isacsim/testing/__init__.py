"""Contract checks that a plugin author runs on their own components.

Each check raises `ContractError` with one sentence that names the component, the rule it
breaks and the value. None needs a test framework.
"""

from isacsim.testing.components import check_component
from isacsim.testing.designs import check_requirements, check_solver
from isacsim.testing.examples import example_component, example_drop, example_precoder, example_problem
from isacsim.testing.hardware import check_hardware, check_power_model
from isacsim.testing.measures import check_detector, check_measure
from isacsim.testing.models import check_channel, check_targets
from isacsim.testing.rules import ContractError
from isacsim.testing.running import check_executor, check_observer, check_sink
from isacsim.testing.signals import check_array, check_modulation

__all__ = [
    "ContractError",
    "check_array",
    "check_channel",
    "check_component",
    "check_detector",
    "check_executor",
    "check_hardware",
    "check_measure",
    "check_modulation",
    "check_observer",
    "check_power_model",
    "check_requirements",
    "check_sink",
    "check_solver",
    "check_targets",
    "example_component",
    "example_drop",
    "example_precoder",
    "example_problem",
]
