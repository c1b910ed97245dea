"""Content addresses: equal inputs have equal ids, on every machine and in every version.

An address says what is asked, not how it is programmed. A record stands in it by its name, which is
the kind and name under which the registry knows a component; by the version of the component, which
its author raises when its numbers change; and by the fields that differ from their defaults. A class
that moves, or that gets an option with a default, keeps its addresses.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import define, field

from isacsim.errors import PluginError
from isacsim.plugin import Registry, Spec

# Class variables that a record may have; see docs/plugins.md.
VERSION = "component_version"
KNOWN_AS = "known_as"


@define
class Names:
    """What classes of records are called in an address.

    A component is called by its kind and the name it is offered under, the first where there are
    several, so that an alias added behind it changes nothing. A record that is no component can say
    what it is ``known_as``. What is left, a class that a script gives from Python for example, is
    called by its place. So is a component whose name several plugins offer: the name alone does not
    say whose numbers they are.

    Attributes:
        registry: Where components are looked up; None knows none.
    """

    registry: Registry | None = None
    _found: dict[type, tuple[str, str]] = field(factory=dict, init=False)

    def __call__(self, cls: type) -> tuple[str, str]:
        """Kind and name of a class."""
        if cls not in self._found:
            # Not inherited: what derives from a record is another one.
            own = vars(cls).get(KNOWN_AS)
            place = f"{cls.__module__}:{cls.__qualname__}"
            self._found[cls] = (
                ("record", own) if isinstance(own, str) else self._offered(cls, place) or ("class", place)
            )
        return self._found[cls]

    def _offered(self, cls: type, place: str) -> tuple[str, str] | None:
        """Kind and name of the first spec that leads to a class."""
        specs = [] if self.registry is None else list(self.registry.offered())
        exact = [(kind, spec.name) for kind, spec in specs if spec.target == place]
        again = ((kind, spec.name) for kind, spec in specs if _leads_to(spec, cls))
        return exact[0] if exact else next(again, None)


def _leads_to(spec: Spec, cls: type) -> bool:
    """Whether a spec names a class by another place than its own, which the class's package imports.

    Nothing is imported but what is of the class's own distribution: its package is loaded already.
    """
    module, _, name = spec.target.partition(":")
    if module in sys.modules:
        return getattr(sys.modules[module], name, None) is cls
    if module.partition(".")[0] != cls.__module__.partition(".")[0]:
        return False
    try:
        return spec.load() is cls
    except PluginError:  # a component that cannot be imported is not this one
        return False


def version_of(cls: type) -> int:
    """The version of a component's numbers: 1 where its class has no ``component_version``."""
    return int(getattr(cls, VERSION, 1))


def canonical(value: Any, names: Names | None = None, *, versions: bool = True) -> Any:
    """``value`` as JSON-ready data that says everything results depend on, and nothing else.

    A component that reads a file has a ``fingerprint`` of it, which stands for the path.

    Args:
        value: Records and plain values.
        names: What the classes of records are called.
        versions: Whether the versions of components are told.
    """
    called = names or Names()

    def tell(record: Any) -> Any:
        version = [version_of(type(record))] if versions else []
        told = ((attribute, _addressed(attribute, _plain(content, tell))) for attribute, content in _contents(record))
        said = {f.name: plain for f, plain in told if not _is_default(record, f, plain, tell)}
        return {"type": [*called(type(record)), *version], **_fingerprint(record), "fields": said}

    return _plain(value, tell)


def _addressed(attribute: Any, plain: Any) -> Any:
    """The value of a field, as ``plain`` data; one that was renamed keeps the address of its former name."""
    former = attribute.metadata.get("addressed", {})
    return former.get(plain, plain) if former else plain


def described(value: Any, names: Names | None = None) -> Any:
    """``value`` as JSON-ready data with every field, also those at their defaults: for people to read."""
    called = names or Names()

    def tell(record: Any) -> Any:
        fields = {f.name: _plain(getattr(record, f.name), tell) for f in attrs.fields(type(record))}
        return {"type": " ".join(called(type(record))), **_fingerprint(record), **fields}

    return _plain(value, tell)


def digest(value: Any, names: Names | None = None, *, versions: bool = True) -> str:
    """The content address of ``value``; see `canonical`."""
    return hashlib.sha256(text(canonical(value, names, versions=versions)).encode()).hexdigest()[:24]


def defaults(cls: type, names: Names | None = None) -> dict[str, Any]:
    """The defaults of a record class's options, as JSON-ready data by field, where they can be told."""
    told = {}
    for attribute in attrs.fields(cls):
        default = attribute.default
        if attribute.init and default is not attrs.NOTHING and not getattr(default, "takes_self", False):
            with contextlib.suppress(TypeError):  # a mark that stands for "not given"
                told[attribute.name] = described(_made(default), names)
    return told


def classes(value: Any) -> Iterator[type]:
    """The class of every record in ``value``, as often as it comes."""
    if attrs.has(type(value)):
        yield type(value)
        for _, content in _contents(value):
            yield from classes(content)
    elif isinstance(value, (dict, list, tuple)):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from classes(entry)


def _contents(record: Any) -> Iterator[tuple[Any, Any]]:
    """The attributes of a record with their values; a path whose file has a fingerprint is left out."""
    read = hasattr(record, "fingerprint")
    for attribute in attrs.fields(type(record)):
        content = getattr(record, attribute.name)
        if not (read and isinstance(content, Path)):
            yield attribute, content


def _fingerprint(record: Any) -> dict[str, Any]:
    return {"fingerprint": record.fingerprint} if hasattr(record, "fingerprint") else {}


def _is_default(record: Any, attribute: Any, plain: Any, tell: Callable[[Any], Any]) -> bool:
    """Whether a field has the value, told as ``plain`` data, that it has when nothing is said of it.

    A field that is not an argument is no option: what it holds may come from elsewhere, and counts.
    """
    if attribute.default is attrs.NOTHING or not attribute.init:
        return False
    default, convert = _made(attribute.default, record), attribute.converter
    if convert is not None:
        own = [record] * getattr(convert, "takes_self", False), [attribute] * getattr(convert, "takes_field", False)
        default = getattr(convert, "converter", convert)(default, *own[0], *own[1])
    here = text(plain)  # by their text: True == 1 in Python, and NaN is not NaN
    with contextlib.suppress(TypeError):  # a default that only marks what is not given
        return here == text(_addressed(attribute, _plain(default, tell)))
    return False


def _made(default: Any, record: Any = None) -> Any:
    """What a default stands for: itself, or what its factory makes."""
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, which its stub calls a function
        return default
    return default.factory(record) if default.takes_self else default.factory()


def _plain(value: Any, tell: Callable[[Any], Any]) -> Any:
    """``value`` as JSON-ready data, with numbers of equal value alike; ``tell`` says what a record is."""
    if type(value) is float:  # first, as nearly all of a long list is
        return _number(value)
    if attrs.has(type(value)):
        return tell(value)
    if isinstance(value, dict):
        return {str(k): _plain(v, tell) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v, tell) for v in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist(), tell)
    if isinstance(value, (Enum, Path)):
        return str(value)
    if isinstance(value, complex):
        return {"complex": [_number(value.real), _number(value.imag)]} if value.imag else _number(value.real)
    if isinstance(value, float):
        return _number(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no content address: make it an attrs record of plain values.")


def _number(value: float) -> Any:
    """A float as itself, or where it is whole as that integer: 1.0 as 1, and -0.0 as 0."""
    return int(value) if value.is_integer() else value


def text(plain: Any) -> str:
    """JSON-ready data as text, equal where the data are."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
