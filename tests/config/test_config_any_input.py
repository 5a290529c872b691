"""Any configuration is loaded, or refused with mistakes that have their places."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from config_files import FLAGS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udprelay.config import ConfigError, load
from udprelay.config.options import SECTIONS

VALUES = st.sampled_from(
    [
        *("", "0", "1", "-1", "2", "65535", "999999999999", "1e9", "nan", "inf", "\u0661", "0.5"),
        *("5m", "0s", "1 GiB", "yes", "no", "auto", "plain", "session", "off", "any", "networks"),
        *("::", "0.0.0.0", "127.0.0.1", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "fe80::1%\u0661"),
        *("::%lo", "224.0.0.1", "127.255.255.255", "10.0.0.0/8", "::/0", "::ffff:0:0/96"),
        *("localhost:1", "127.0.0.1:6000", "[::1]:6000", "[fe80::1%lo]:5, [fe80::1]:5", "a:0, b"),
        *(
            "/",
            "/dev/null",
            "/dev/null/x",
            "x" * 300,
            "a\0b",
            "a\n  b",
            "lobby",
            "attic",
        ),
    ]
)
OPTIONS = st.one_of(
    [
        st.tuples(st.just(section.replace("NAME", name)), st.sampled_from([*options]), VALUES)
        for section, options in SECTIONS.items()
        for name in ("main", "lobby", "attic", "*")
        if ":" in section or name == "main"
    ]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(OPTIONS, max_size=12), st.booleans())
def test_is_loaded_or_refused(
    write: Callable[[str], str], options: list[tuple[str, str, str]], console: bool
) -> None:
    text = "".join(f"[{section}]\n{option} = {value}\n" for section, option, value in options)
    path = write(text)
    lines = text.count("\n") + 1
    try:
        assert load(path, FLAGS, console).summary()
    except ConfigError as error:
        problems = error.problems
        places = {(problem.file, 0 <= problem.line <= lines) for problem in problems}
        if places != {(path, True)}:
            pytest.fail(f"no place: {error}")


@given(st.sampled_from(["port", "interface", "room", "log-format"]), VALUES | st.text())
def test_a_flag_is_read_or_refused(flag: str, value: str) -> None:
    with suppress(ConfigError):
        load(None, FLAGS | {flag: value})
