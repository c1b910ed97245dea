"""Contracts of what is drawn: user channels and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from isacsim.arrays import AntennaArray
from isacsim.batch import batch_shape, flatten, take
from isacsim.channels.models import ChannelModel
from isacsim.channels.motion import Motion
from isacsim.errors import InvalidInput
from isacsim.targets.models import TargetModel
from isacsim.targets.scene import ParametricScene, Scene
from isacsim.testing.examples import GRID, RX_ARRAY, TX_ARRAY, USERS
from isacsim.testing.rules import alone, attempt, generators, outcome, record, require, shaped
from isacsim.typing import ComplexArray

TRIALS = (0, 1, 2, 3)


def check_channel(
    model: ChannelModel, array: AntennaArray = TX_ARRAY, users: int = USERS, trials: int = len(TRIALS)
) -> None:
    """Check a channel model: shape, and that a trial's draw depends on its generator alone.

    Args:
        model: The channel model.
        array: Transmit array.
        users: Number of users K.
        trials: Number of trials that are drawn.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(model, ChannelModel)
    every = tuple(range(trials))

    def draw(trials: Sequence[int]) -> ComplexArray:
        rule, shape = f"draw channels of the trials {tuple(trials)}", (len(trials), array.size, users)
        H = outcome(model, rule, lambda rngs: model.draw(array, users, trials, rngs), trials)
        require(model, isinstance(H, np.ndarray) and H.shape == shape, f"draw H of shape {shape}", shaped(H))
        require(model, np.iscomplexobj(H), "draw complex channels", H.dtype)
        require(model, np.isfinite(H), "draw finite channels", H)
        return np.asarray(H)

    H = draw(every)
    alone(model, "channel", trials, lambda i: H[i], lambda i: draw(every[i : i + 1])[0])
    _check_burst(model, array, users, every)


def _check_burst(model: ChannelModel, array: AntennaArray, users: int, every: Sequence[int]) -> None:
    """Channels on the subcarriers of a grid, unless the model refuses them."""

    def draw(trials: Sequence[int]) -> tuple[ComplexArray, Any]:
        rule, shape = f"draw channels of {GRID.used} subcarriers", (len(trials), GRID.used, array.size, users)
        found = outcome(model, rule, lambda rngs: model.draw_burst(GRID, array, users, trials, rngs), trials)
        pair = isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Motion | None)
        require(model, pair, "draw H and a Motion or None by `draw_burst`", type(found).__name__)
        H = found[0]
        require(model, isinstance(H, np.ndarray) and H.shape == shape, f"draw H of shape {shape}", shaped(H))
        require(model, np.iscomplexobj(H) and np.isfinite(H), "draw finite complex channels on subcarriers", H)
        return H, found[1]

    if _refuses(lambda: model.draw_burst(GRID, array, users, every[:1], generators(every[:1]))):
        return
    H, motion = draw(every)

    def member(i: int) -> Any:
        return H[i], None if motion is None else take(motion, np.array([i]))

    def single(i: int) -> Any:
        one, moves = draw(every[i : i + 1])
        return one[0], moves

    alone(model, "channel on subcarriers", len(every), member, single)


def _refuses(draw: Callable[[], Any]) -> bool:
    """Whether a model says that it has nothing for a grid, as a recording without delays does."""
    try:
        draw()
    except InvalidInput:
        return True
    except Exception:  # which the check tells
        return False
    return False


def check_targets(
    model: TargetModel,
    tx_array: AntennaArray = TX_ARRAY,
    rx_array: AntennaArray = RX_ARRAY,
    trials: int = len(TRIALS),
) -> None:
    """Check a target model: the scene's response, and that it depends on a trial's generator alone.

    Args:
        model: The target model.
        tx_array: Transmit array.
        rx_array: Sensing receive array.
        trials: Number of trials that are drawn.

    Raises:
        ContractError: If it breaks a rule.
    """
    record(model, TargetModel)
    core, every = (rx_array.size, tx_array.size), tuple(range(trials))

    def draw(trials: Sequence[int]) -> Any:
        rule = f"draw scenes of the trials {tuple(trials)}"
        scene = outcome(model, rule, lambda rngs: model.draw(tx_array, rx_array, trials, rngs), trials)
        require(model, isinstance(scene, Scene), "draw a Scene", type(scene).__name__)
        lead = attempt(model, "draw a record of batched fields", batch_shape, scene)
        require(model, lead in ((), (len(trials),)), f"draw leading axes {(len(trials),)}, or none", lead)
        G = attempt(model, "draw a scene with a response", scene.response)
        require(model, np.shape(G) == (*lead, *core), f"draw a response of shape {(*lead, *core)}", np.shape(G))
        require(model, np.iscomplexobj(G), "draw a complex response", G.dtype)
        require(model, np.isfinite(G), "draw a finite response", G)
        if isinstance(scene, ParametricScene):
            _check_unknowns(model, scene, core)
        return flatten(scene, (len(trials),))

    whole = draw(every)

    def member(scene: Any, i: int) -> Any:
        one = take(scene, np.array([i]))
        return one, one.response(), np.broadcast_to(scene.response(), (trials, *core))[i]

    def single(i: int) -> Any:
        one = draw(every[i : i + 1])
        return one, one.response(), one.response()[0]

    alone(model, "scene", trials, lambda i: member(whole, i), single)
    _check_band(model, (tx_array, rx_array), every)


def _check_band(model: TargetModel, arrays: tuple[AntennaArray, AntennaArray], every: Sequence[int]) -> None:
    """The response on the subcarriers of a grid, unless the model refuses them."""

    def responses(trials: Sequence[int]) -> ComplexArray:
        rule, lead = f"draw scenes for {GRID.used} subcarriers", len(trials)
        scene = outcome(model, rule, lambda rngs: model.draw_band(GRID, *arrays, trials, rngs), trials)
        require(model, isinstance(scene, Scene), "draw a Scene for a grid", type(scene).__name__)
        G = attempt(model, "draw a scene with a response on subcarriers", scene.band_response, GRID)
        antennas = tuple(array.size for array in reversed(arrays))
        alike = np.shape(G)[-2:] == antennas and np.shape(G)[-3:-2] in ((1,), (GRID.used,))
        fits = alike and np.shape(G)[:-3] in ((), (1,), (lead,))
        require(model, fits, f"draw a response (..., F or 1, {antennas[0]}, {antennas[1]}) on subcarriers", np.shape(G))
        require(model, np.isfinite(G), "draw a finite response on subcarriers", G)
        return np.broadcast_to(G, (lead, *np.shape(G)[-3:]))

    if not _refuses(lambda: model.draw_band(GRID, *arrays, every[:1], generators(every[:1])).band_response(GRID)):
        G = responses(every)
        alone(model, "response on subcarriers", len(every), lambda i: G[i], lambda i: responses(every[i : i + 1])[0])


def _check_unknowns(model: TargetModel, scene: ParametricScene, antennas: tuple[int, int]) -> None:
    """Shapes of what the Fisher information of a scene is made of."""
    count = len(scene.unknowns)
    require(model, count > 0, "draw a scene with unknowns, or one that is no ParametricScene", scene.unknowns)
    require(model, len(set(scene.labels)) == count, f"name its {count} unknowns apart", scene.labels)
    require(model, len(scene.units) == count, f"give a unit to each of its {count} unknowns", scene.units)
    require(model, scene.antennas == antennas, f"tell its antennas as {antennas}", scene.antennas)
    require(model, scene.sensing_streams >= 1, "have a use for at least 1 stream", scene.sensing_streams)
    C, V = scene.receive_basis(), scene.transmit_basis()
    inner = (C.shape[-1], V.shape[-1])
    for name, array, shape in (
        ("a receive basis", C, (antennas[0], inner[0])),
        ("a transmit basis", V, (antennas[1], inner[1])),
        ("parameter matrices", scene.parameter_matrices(), (count, *inner)),
        ("yardsticks", scene.yardsticks(), (count, *inner)),
    ):
        require(model, array.shape[-len(shape) :] == shape, f"have {name} of shape (..., {shape})", array.shape)
        require(model, np.isfinite(array), f"have finite {name.removeprefix('a ')}", array)
