"""What contracts are made of: their error, and the rules that many kinds of components share."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np

from isacsim.batch import KEPT
from isacsim.engine.identity import digest
from isacsim.errors import PluginError, brief, origin
from isacsim.plugin.surroundings import undisturbed


class ContractError(AssertionError):
    """A component breaks a contract; one sentence names it, the rule and the value."""


def breach(component: Any, rule: str, value: Any = "") -> ContractError:
    """The error that says what ``component`` must do, and what it did."""
    record = attrs.has(type(component))
    name = component if isinstance(component, str) else brief(component) if record else type(component).__name__
    got = value if isinstance(value, str) else brief(value)
    return ContractError(f"{name} must {rule}{', got ' if got else ''}{got.rstrip('.')}.")


def require(component: Any, holds: Any, rule: str, value: Any = "") -> None:
    """Raise `ContractError` unless ``holds``, all of it if an array; ``rule`` reads on from "must"."""
    if not (holds.all() if isinstance(holds, np.ndarray) else holds):
        raise breach(component, rule, value)


def shaped(value: Any) -> str:
    """What errors call an array, or what is none."""
    if isinstance(value, np.ndarray):
        return str(value.shape)
    return "None" if value is None else f"a {type(value).__name__}, which is no array"


RECORD = "be a frozen attrs record (decorate its class with @attrs.frozen)"


def record(component: Any, base: type) -> None:
    """The component derives from ``base``, is a frozen attrs record of fixed values, and can be stored."""
    cls, article = type(component), "an" if base.__name__[0] in "AEIOU" else "a"
    require(component, isinstance(component, base), f"be {article} {base.__name__}", cls.__name__)
    require(component, attrs.has(cls), RECORD, "a plain class")
    require(component, _frozen(component), RECORD, "one whose fields can be set")
    names = {f.name for f in attrs.fields(cls)}
    strays = [n for n, kind in inspect.get_annotations(cls).items() if n not in names and "ClassVar" not in str(kind)]
    rule = "have what it annotates for fields (decorate its own class with @attrs.frozen)"
    require(component, not strays, rule, ", ".join(strays))
    own = getattr(component, "__dict__", {})
    free = {*names, *KEPT}
    kept = [n for n in own if n not in free and not isinstance(getattr(cls, n, None), cached_property)]
    rule = "keep nothing outside of its fields, which alone are stored and compared"
    require(component, not kept, rule, ", ".join(kept))
    for name in sorted(names):
        found = _changeable(getattr(component, name))
        rule = "hold nothing that can be changed in place (take tuples, and arrays by `isacsim.api.batched`)"
        require(component, not found, rule, f"{found} in {name!r}")
    _stored(component)
    overrides(component, base)


def overrides(component: Any, base: type) -> None:
    """What the component overrides of ``base`` is called as that is: methods with its arguments, properties without."""
    for name in [name for name in dir(base) if not name.startswith("_")]:
        theirs = inspect.getattr_static(base, name)
        own = inspect.getattr_static(type(component), name)
        if own is theirs:
            continue
        if isinstance(theirs, (property, cached_property)):
            require(component, not inspect.isfunction(own), f"have {name!r} as a property (decorate it with @property)")
        elif inspect.isfunction(theirs):
            method = not isinstance(own, (property, cached_property)) and callable(getattr(component, name))
            require(component, method, f"have {name!r} as a method, which is called")
            _called_alike(component, base, name)


def _called_alike(component: Any, base: type, name: str) -> None:
    """Whoever calls a method of ``base`` can call that of the component."""
    wanted = list(inspect.signature(getattr(base, name)).parameters.values())[1:]
    own = inspect.signature(getattr(component, name))
    positional = [p for p in wanted if p.kind is p.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in wanted if p.kind is p.KEYWORD_ONLY]
    names = [p.name for p in positional]
    mine = [n for n in own.parameters if n in names]
    fits = mine == [n for n in names if n in mine]
    for optional in (True, False):
        given = [p.name for p in positional if optional or p.default is p.empty]
        try:
            own.bind(*given, **{p.name: None for p in keywords if optional})
        except TypeError:
            fits = False
    shown = inspect.Signature([p.replace(annotation=p.empty) for p in wanted])
    told = inspect.Signature([p.replace(annotation=p.empty) for p in own.parameters.values()])
    require(component, fits, f"take the arguments of {base.__name__}.{name}{shown}", f"{name}{told}")


def _frozen(component: Any) -> bool:
    """Whether no attribute of a record can be set."""
    names = [f.name for f in attrs.fields(type(component))]
    name = names[0] if names else "anything"
    try:
        setattr(component, name, getattr(component, name, None))
    except AttributeError:  # of which a FrozenInstanceError is one
        return True
    if not names:
        delattr(component, name)
    return False


def _changeable(value: Any) -> str:
    """What in a field's value can be changed in place; empty if nothing."""
    if isinstance(value, (list, dict, set, bytearray)):
        return f"a {type(value).__name__}"
    if isinstance(value, np.ndarray):
        return "an array that can be written to" if value.flags.writeable else ""
    return next(filter(None, map(_changeable, value)), "") if isinstance(value, tuple) else ""


def attempt(component: Any, rule: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What ``call`` returns; an exception in it breaks ``rule``, unless it is a sentence on plugins of its own."""
    try:
        return call(*arguments)
    except ContractError:
        raise
    except PluginError as error:
        raise ContractError(str(error)) from error
    except Exception as error:  # a component can fail in any way
        text, (file, line) = " ".join(f"{type(error).__name__}: {error}".split()), origin(error)
        raise breach(component, rule, f"{text.rstrip('.')} ({file}:{line})") from error


def generators(seeds: Sequence[int]) -> list[np.random.Generator]:
    """A fresh generator for each seed."""
    return [np.random.default_rng(seed) for seed in seeds]


def outcome(
    component: Any,
    rule: str,
    call: Callable[[list[np.random.Generator]], Any],
    seeds: Sequence[int] = (),
    **inputs: Any,
) -> Any:
    """What ``call`` returns, which repeats byte by byte and has no side effect.

    Args:
        component: Who is checked.
        rule: What a call that raises breaks.
        call: Called twice, each time with fresh generators.
        seeds: Seeds of the generators.
        **inputs: What the call is given; it must be left as it is.
    """
    before, state = copy.deepcopy(inputs), _global_state()
    with undisturbed() as disturbed:
        first = attempt(component, rule, call, generators(seeds))
    require(component, not disturbed, "leave the process as it is", ", ".join(disturbed))
    changed = difference(before, inputs)
    require(component, not changed, "leave its input as it is", changed)
    second = attempt(component, rule, call, generators(seeds))
    unlike = difference(first, second)
    require(component, not unlike, "give the same bytes for the same generators", unlike)
    touched = difference(state, _global_state())
    rule = "draw from the generators it is given, and not from np.random or random"
    require(component, not touched, rule, "global draws")
    return first


def alone(component: Any, what: str, members: int, whole: Callable[[int], Any], part: Callable[[int], Any]) -> None:
    """Member i of a batch, ``whole(i)``, has the bytes that ``part(i)`` has without the others."""
    for i in range(members):
        unlike = difference(whole(i), attempt(component, f"give {what} for one member", part, i))
        require(component, not unlike, f"give member {i} of a batch the {what} it has alone", unlike)


def _stored(component: Any) -> None:
    """The component goes to worker processes and has a content address, which it keeps on the way."""
    for name in [f.name for f in attrs.fields(type(component))]:
        rule = f"hold plain values, records or arrays in {name!r}, which have a content address"
        attempt(component, rule, digest, getattr(component, name))
    address = attempt(component, "have a content address", digest, component)
    twin = attempt(component, "pickle", lambda: pickle.loads(pickle.dumps(component)))
    require(component, digest(twin) == address, "keep its content address when it is pickled", digest(twin))
    rule = "be equal to its copy (take arrays by `isacsim.api.batched`)"
    require(component, attempt(component, rule, lambda: bool(twin == component)), rule, "a copy that differs")


def difference(one: Any, other: Any) -> str:
    """Where two values differ in a byte, in words; empty where they do not.

    Records, mappings and lists are walked; entries with ``time`` in their name hold clock
    time and are left out.
    """
    a, b = dict(_leaves(one)), dict(_leaves(other))
    for path in {**a, **b}:
        if path not in a or path not in b:
            return f"{path or 'a value'} only once"
        x, y = np.asarray(a[path]), np.asarray(b[path])
        name = path or "values"
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"{name} of {x.dtype} {x.shape} and {y.dtype} {y.shape}"
        if x.dtype == object and x.tolist() != y.tolist():
            return f"{name} {brief(x.tolist())} and {brief(y.tolist())}"
        if x.dtype != object and x.tobytes() != y.tobytes():
            return f"{name} {_apart(x, y)}"
    return ""


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if attrs.has(type(value)):
        entries = [(f.name, getattr(value, f.name)) for f in attrs.fields(type(value))]
    elif isinstance(value, Mapping):
        entries = [(str(key), entry) for key, entry in value.items()]
    elif isinstance(value, (list, tuple)):
        entries = [(str(i), entry) for i, entry in enumerate(value)]
    else:
        yield path, value
        return
    for name, entry in entries:
        if "time" not in name:
            yield from _leaves(entry, f"{path}.{name}" if path else name)


def _apart(x: Any, y: Any) -> str:
    if x.dtype.kind not in "fc":
        return f"{brief(x.tolist())} and {brief(y.tolist())}"
    with np.errstate(invalid="ignore"):
        return f"that differ by {np.nanmax(np.abs(x - y), initial=0.0):.3g}"


def _global_state() -> tuple[Any, ...]:
    return tuple(np.random.get_state()), random.getstate()  # noqa: NPY002  # read, to see that nobody draws from them
