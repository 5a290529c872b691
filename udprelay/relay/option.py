"""The declaration of an option: all that the file, its reference and its errors need to know."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any, TypeVar

from attrs import field, fields, frozen

T = TypeVar("T")


class Form(Enum):
    """How the value of an option is written."""

    YES_OR_NO = auto()
    CHOICE = auto()
    COUNT = auto()
    NUMBER = auto()
    DURATION = auto()
    SIZE = auto()
    DSCP = auto()
    INTERFACE = auto()
    ROOM = auto()
    NETWORKS = auto()
    TARGETS = auto()
    ACCESS_KEY = auto()
    PATH = auto()


@frozen
class Option:
    """
    An option of the configuration.

    :param help: what it does and the reason to change it: paragraphs, one per line; indented
        lines stay as they are.
    :param minimum: of a number, like ``maximum``: in seconds, bytes, or units.
    """

    default: Any
    form: Form
    help: str
    minimum: float
    maximum: float


def option(
    default: T, form: Form, help_text: str, minimum: float = 0.0, maximum: float = 0.0
) -> T:
    """Declare an option as an attribute of a frozen attrs class; see :class:`Option`."""
    declared = Option(default, form, help_text, minimum, maximum)
    return field(default=default, metadata={Option: declared})


def options_of(rules: type) -> dict[str, Option]:
    """Return the options that a class declares, by name and in order."""
    declared: Any = fields(rules)
    return {one.name: one.metadata[Option] for one in declared if Option in one.metadata}
