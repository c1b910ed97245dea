"""Keywords of records that are nearly right: the error names the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import attrs

from isacsim.errors import InvalidInput, one_of

C = TypeVar("C", bound=type)
UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")


def keywords(**synonyms: str) -> Callable[[C], C]:
    """Let a record of attrs suggest a keyword where one is mistyped; goes above ``@frozen``.

    Args:
        **synonyms: Other names of fields, ``targets="G"`` for example.
    """

    def decorate(cls: C) -> C:
        init: Any = cls.__init__  # type: ignore[misc]  # that of the class itself
        names = [f.alias for f in attrs.fields(cls) if f.init]

        @wraps(init)
        def checked(self: Any, *args: Any, **given: Any) -> None:
            for other in [other for other in synonyms if other in given]:
                if synonyms[other] in given:
                    raise InvalidInput(other, f"must not be given beside {synonyms[other]}", "", "Give one of them.")
                given[synonyms[other]] = given.pop(other)
            try:
                init(self, *args, **given)
            except TypeError as error:
                # Before anything runs Python refuses a keyword; whoever is built within has its own names.
                found = (
                    UNEXPECTED.search(str(error)) if error.__traceback__ and not error.__traceback__.tb_next else None
                )
                if found is None or found[1] in names:
                    raise
                told = f"{cls.__name__}() got an unexpected keyword argument {found[1]!r}."
                raise TypeError(f"{told} {one_of([*names, *synonyms], found[1])}") from None

        cls.__init__ = checked  # type: ignore[misc]
        return cls

    return decorate
