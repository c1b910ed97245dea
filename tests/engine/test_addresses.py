"""Addresses that last: made of names, versions and what is said, not of where code lies."""

import importlib
import subprocess
import sys
from typing import Any, ClassVar

import attrs
import numpy as np
import pytest
from attrs import field, frozen

import isacsim
from isacsim.channels.recorded import Recorded
from isacsim.engine.identity import Names, canonical, classes, described, digest
from isacsim.engine.plan import Plan
from isacsim.plugin import Spec, build_registry, default_registry, hookimpl

# What results lie under in the ledgers of users. A change here is a change of numbers, which a raised
# `component_version` or another default says too, or it makes every run start anew: think twice.
STUDY = {
    "drop": "e6f2b65dd35d5d4c797f4358",
    "sca": "c9e578aa391324a209f72ec2",
    "points": ["737fef2273c6e6eb4af45084", "5f3071b2e86eadfa6fd4c488"],
}
HARDWARE = {
    "isacsim.Aqnm([1, 2, 3])": "44db76601e44018c01a4c7ba",
    "isacsim.Chain(isacsim.MidRise(2), isacsim.Ideal())": "8277da8e314080beed9556c6",
    "isacsim.Transceiver(user=isacsim.Aqnm(3, table='uniform'))": "ad87aa76650708f6804a401e",
}


@pytest.fixture
def names():
    return Names(default_registry())


def test_addresses_of_a_study_last(studies):
    points = Plan.of(isacsim.load_scenario(studies.FILE), default_registry()).points
    found = {"drop": points[0].drop_id, "sca": points[0].design_ids["sca"], "points": [points[0].id, points[-1].id]}
    assert found == STUDY


def test_addresses_of_hardware_last(names):
    assert {text: digest(eval(text), names) for text in HARDWARE} == HARDWARE


def test_another_process_finds_the_same_addresses():
    program = (
        "import isacsim; from isacsim.engine.identity import Names, digest; "
        "from isacsim.plugin import default_registry; names = Names(default_registry()); "
        f"print([digest(eval(text), names) for text in {list(HARDWARE)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(list(HARDWARE.values()))


def test_every_record_of_the_bundled_scenarios_has_a_name_of_its_own(names):
    registry = default_registry()
    used = {}
    for name in registry.names("scenarios"):
        scenario = isacsim.load_scenario(registry.load("scenarios", name)())
        used.update({cls: names(cls) for cls in classes(scenario)})
    assert len(used) > 30
    assert [cls for cls, (kind, _) in used.items() if kind == "class"] == []
    assert len(set(used.values())) == len(used)


HOME = """
from typing import Any

from attrs import field, frozen

from isacsim.hardware.base import Hardware
from isacsim.plugin import Spec, hookimpl


@frozen
class {cls}(Hardware):
    loss: float = 0.5{options}

    def apply(self, x: Any, rng: Any = None, *, power: Any = None) -> Any:
        return self.loss * x


class Plugin:
    @hookimpl
    def isacsim_hardware(self):
        yield Spec("pad", "{module}:{cls}")
"""
OPTIONS = """
    tilt: float = 0.0
    taps: Any = field(factory=list, converter=tuple)"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Makes a module with a component, and gives the class and the names of a registry that knows it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(module, cls="Pad", options=""):
        text = HOME.format(module=module, cls=cls, options=options)
        (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        made = importlib.import_module(module)
        monkeypatch.delitem(sys.modules, module)
        return getattr(made, cls), Names(build_registry([made.Plugin()]))

    return make


def test_a_component_that_moves_and_gets_options_keeps_its_address(home):
    Old, before = home("an_old_home")
    New, after = home("a_new_home", "Attenuator", OPTIONS)
    for old, new in (
        (Old(), New()),
        (Old(0.25), New(loss=0.25)),
        (isacsim.Chain(Old(), isacsim.Aqnm(3)), isacsim.Chain(New(), isacsim.Aqnm(3))),
    ):
        assert digest(old, before) == digest(new, after)
    assert digest(New(tilt=1.0), after) != digest(New(), after)
    assert digest(New(taps=[1.0]), after) != digest(New(), after)


def test_a_raised_version_changes_the_address(home, monkeypatch):
    Pad, names = home("a_home")
    before = digest(Pad(), names)
    monkeypatch.setattr(Pad, "component_version", 2, raising=False)
    assert digest(Pad(), names) != before
    assert canonical(Pad(), names, versions=False) == {"type": ["hardware", "pad"], "fields": {}}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, np.float64(1)),
        (1, np.int32(1)),
        (0.0, -0.0),
        (0, -0.0),
        (2.0**70, 2**70),
        (1.5, 1.5 + 0j),
        (1, np.complex128(1)),
        (1j, np.complex64(1j)),
        (0j, complex(-0.0, -0.0)),
        ([1, 2], np.array([1.0, 2.0])),
        ([1, 2], (1, 2)),
        ([[1], [2]], np.array([[1], [2]], complex)),
        (np.array(3.0), 3),
        (True, np.bool_(True)),
        (np.nan, np.float64("nan")),
        ({"a": 1, "b": 2}, {"b": 2.0, "a": True + 0}),
        (isacsim.Aqnm([1, 2]), isacsim.Aqnm(np.array([1.0, 2.0]))),
    ],
    ids=repr,
)
def test_numbers_of_equal_value_are_alike(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (1, "1"),
        (0, None),
        (1, [1]),
        (1, 1j),
        ([1, 2], 1 + 2j),
        (1.0, np.nextafter(1.0, 2)),
        (2**60, 2**60 + 1),
        (np.inf, -np.inf),
        (np.nan, None),
        ([1, 2], [2, 1]),
        ([[1, 2]], [[1], [2]]),
    ],
    ids=repr,
)
def test_different_values_are_not_alike(one, other):
    assert digest(one) != digest(other)


@frozen
class Inner:
    known_as: ClassVar[str] = "test.inner"

    depth: int = 1


@frozen
class Outer:
    """Defaults of every sort."""

    known_as: ClassVar[str] = "test.outer"

    plain: float = 1
    entries: Any = field(factory=list, converter=tuple)
    table: dict[str, int] = field(factory=dict)
    array: Any = field(default=2.0, converter=np.atleast_1d)
    told: Any = field(
        default=3, converter=attrs.Converter(lambda v, _self, a: (a.name, v), takes_self=True, takes_field=True)
    )
    inner: Inner = Inner()
    twin: Any = field(default=attrs.Factory(lambda self: 2 * self.plain, takes_self=True))
    absent: Any = None
    nothing: float = float("nan")


def test_options_at_their_defaults_are_not_said():
    bare = digest(Outer())
    assert canonical(Outer()) == {"type": ["record", "test.outer", 1], "fields": {}}
    for same in (
        Outer(plain=1.0), Outer(entries=()), Outer(table={}), Outer(array=[2]), Outer(told=3), Outer(inner=Inner(1)),
        Outer(twin=2), Outer(absent=None), Outer(nothing=np.nan),
    ):  # fmt: skip
        assert digest(same) == bare
    others = [
        Outer(plain=2), Outer(entries=[0]), Outer(table={"a": 1}), Outer(array=[2, 2]), Outer(told=4),
        Outer(inner=Inner(2)), Outer(twin=1), Outer(absent=False), Outer(nothing=0), Outer(plain=True),
    ]  # fmt: skip
    assert len({bare, *map(digest, others)}) == 1 + len(others)


def test_what_is_no_argument_counts_although_it_has_a_default():
    @frozen
    class Holds:
        known_as: ClassVar[str] = "test.holds"

        held: Any = field(init=False, factory=lambda: [1, 2])

    assert canonical(Holds())["fields"] == {"held": [1, 2]}


def test_what_cannot_be_told_has_no_address_though_it_is_a_default():
    @frozen
    class Marked:
        known_as: ClassVar[str] = "test.marked"

        value: Any = abs

    assert canonical(Marked(1.0))["fields"] == {"value": 1}
    with pytest.raises(TypeError, match="builtin_function_or_method has no content address"):
        digest(Marked())


def test_the_description_says_the_defaults_too(names):
    told = described(isacsim.Transceiver(user=isacsim.Aqnm(3)), names)
    assert told["user"] == {"type": "hardware aqnm", "bits": 3, "table": "lloyd-max"}
    assert told["transmit"]["type"] == "hardware ideal"


def test_the_content_of_a_file_counts_and_its_path_does_not(names, tmp_path):
    channels = np.ones((1, 2, 2))
    for folder, scale in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "H.npz", H=scale * channels)
    ids = [digest(Recorded(tmp_path / folder / "H.npz"), names) for folder in "abc"]
    assert ids[0] == ids[1] != ids[2]


class Foreign:
    """A plugin as a record of what it offers."""

    def __init__(self, *specs):
        self.specs = specs

    @hookimpl
    def isacsim_hardware(self):
        yield from self.specs


def test_an_alias_that_is_offered_later_changes_nothing():
    aliased = Names(build_registry([Foreign(Spec("a-nicer-name", "isacsim.hardware.quantisers:Aqnm"))]))
    assert aliased(isacsim.Aqnm) == ("hardware", "aqnm")


def test_a_name_that_two_offer_says_nothing():
    taken = Names(build_registry([Foreign(Spec("aqnm", "isacsim.hardware.quantisers:MidRise"))]))
    assert taken(isacsim.Aqnm) == ("class", "isacsim.hardware.quantisers:Aqnm")
    assert taken(isacsim.MidRise) == ("hardware", "mid-rise")


def test_a_component_is_known_by_a_place_that_only_leads_to_it(tmp_path, monkeypatch):
    package = tmp_path / "a_package"
    package.mkdir()
    for file, text in (("__init__", ""), ("inner", "class Pad: pass"), ("public", "from a_package.inner import Pad")):
        (package / f"{file}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    Pad = importlib.import_module("a_package.inner").Pad
    names = Names(build_registry([Foreign(Spec("pad", "a_package.public:Pad"), Spec("gone", "a_package.gone:Pad"))]))
    assert names(Pad) == ("hardware", "pad")


def test_a_class_that_nobody_offers_is_called_by_its_place(names):
    @frozen
    class Mine(isacsim.Aqnm):
        pass

    @frozen
    class Heir(Outer):
        pass

    assert names(Mine) == ("class", f"{__name__}:{Mine.__qualname__}")
    assert names(Heir) == ("class", f"{__name__}:{Heir.__qualname__}")  # a name is not inherited
    assert Names()(isacsim.Aqnm) == ("class", "isacsim.hardware.quantisers:Aqnm")


def test_looking_for_a_name_imports_no_other_plugin():
    program = (
        "import sys, isacsim; from isacsim.engine.identity import Names; from isacsim.plugin import default_registry; "
        "Names(default_registry())(isacsim.PointTargets); "
        "print([m for m in sys.modules if m.startswith('isacsim_rf.') and m != 'isacsim_rf.plugin'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SWAPPED = """
[design.other]
problem = { kind = "sum-rate-crlb", rate_weight = 1, crlb_weight = 1 }
solver = { kind = "sca", max_steps = 1 }
[design.sca]
problem = { kind = "sum-rate-crlb", rate_weight = 0.25, crlb_weight = 1.0 }
solver = { kind = "sca", max_steps = 3 }
"""


def test_designs_in_another_order_keep_their_numbers_when_a_run_is_continued(studies, study, tmp_path):
    head, _, rest = studies.text.partition("[design.sca]")
    tail = "[evaluate." + rest.partition("[evaluate.")[2]
    one, other = SWAPPED.split("[design.sca]")
    texts = [head + one + "[design.sca]" + other + tail, head + "[design.sca]" + other + one + tail]
    small = ("sinks=[]", "sweep.bits.values=[1]")
    isacsim.run(study("trials=1", text=texts[0], small=small), tmp_path / "run")
    run = isacsim.run(study("trials=2", text=texts[1], small=small), tmp_path / "run", resume=True)
    fresh = isacsim.run(study("trials=2", text=texts[1], small=small), tmp_path / "fresh")
    for name in ("crlb", "sum-rate-nats"):
        np.testing.assert_array_equal(run.dataset()[name], fresh.dataset()[name])
