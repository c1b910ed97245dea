"""Covariances that are none: every stage refuses them by one rule."""

import numpy as np
import pytest

from isacsim.api import Hardware
from isacsim.engine.reader import Reader
from isacsim.errors import InvalidInput
from isacsim.hardware.base import Ideal
from isacsim.hardware.chain import Chain
from isacsim.plugin import build_registry

REGISTRY = build_registry()


def made(name, tmp_path):
    table = {"kind": name, **REGISTRY.spec("hardware", name).example}
    return Reader(REGISTRY, tmp_path).read(Hardware, table)


@pytest.mark.parametrize("name", REGISTRY.names("hardware"))
@pytest.mark.parametrize("shape", [(16, 4), (2, 3, 16, 4)])
def test_a_precoder_in_place_of_a_covariance_is_refused(name, shape, tmp_path):
    stage = made(name, tmp_path)
    for asked in (stage, Chain(Ideal(), stage)):
        with pytest.raises(InvalidInput, match="R: must be square, .*, got 'shape .*16, 4.*W W\\^H"):
            asked.linear_model(np.ones(shape))
