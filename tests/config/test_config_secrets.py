"""Access keys are neither shown nor quoted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from config_files import ACCESS_KEY, FLAGS

from udprelay.config import Config, load
from udprelay.config.options import SECTIONS
from udprelay.protocol.access_key import AccessKey

KEY = "must be SALT:KEY, 32 and 64 hexadecimal digits, as udprelay-client --access-key prints it"


class TestSecrets:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            (
                "[room:a]\naccess_key = hunter2 hunter2",
                f"relay.ini:2: [room:a] access_key: {KEY}",
            ),
            (
                "[room:a]\naccess_key =\n  hunter2\n  hunter2",
                f"relay.ini:2: [room:a] access_key: {KEY}",
            ),
            (
                "[room:a]\nacces_key = hunter2",
                "relay.ini:2: [room:a] acces_key: unknown option; did you mean access_key?",
            ),
            (
                "[log]\npassphrase = hunter2",
                (
                    "relay.ini:2: [log] passphrase: unknown option; valid are format, payloads, "
                    "file, rotate_size, rotate_keep, statistics"
                ),
            ),
            (
                "[room:a]\nlabel =\n  access_key = hunter2\n  hunter2",
                r"relay.ini:2: [room:a] label = \naccess_key...: must be one of none, nick",
            ),
            (
                f"[log]\npayloads = {'7e' * 16}",
                "relay.ini:2: [log] payloads = ...: must be yes or no",
            ),
            (
                f"[room:a]\ntargets =\n  access_key = {ACCESS_KEY}",
                r"relay.ini:2: [room:a] targets = \naccess_key...: 'access_key...",
            ),
            (
                "[room:a]\naccess_key hunter2",
                "relay.ini:2: 'access_key...': neither a [section] nor 'option = value'",
            ),
            (
                "access_key = hunter2\n[room:a]",
                "relay.ini:1: 'access_key...': no [section] before this line",
            ),
            (
                "[room:a]\naccess_key = hunter2\naccess_key =",
                "relay.ini:3: [room:a] access_key: duplicate option (first on line 2)",
            ),
        ],
    )
    def test_are_not_in_messages_about_mistakes(
        self, mistakes: Callable[..., list[str]], text: str, problem: str
    ) -> None:
        assert mistakes(text) == [problem]

    def test_the_values_of_other_options_are_quoted(
        self, mistakes: Callable[..., list[str]]
    ) -> None:
        for option in {option for readers in SECTIONS.values() for option in readers}:
            section = "udprelay" if option in SECTIONS["log"] else "log"
            (problem,) = mistakes(f"[{section}]\n{option} = value")
            assert (" = value: unknown option" in problem) == (option != "access_key")

    def test_are_neither_in_the_summary_nor_in_the_representation(
        self, loaded: Callable[..., Config]
    ) -> None:
        config = loaded(f"[room:a]\naccess_key = {ACCESS_KEY}")
        for text in (config.summary(), repr(config)):
            assert not set(ACCESS_KEY.split(":")) & set(re.findall("[0-9a-f]+", text))

    def test_an_empty_access_key_is_no_key(self, loaded: Callable[..., Config]) -> None:
        text = f"[room:*]\naccess_key = {ACCESS_KEY}\n[room:a]\naccess_key =\n[room:b]\n"
        rules = loaded(text).rules
        assert rules.room("a").access_key is None
        assert rules.room("b").access_key == AccessKey.parse(ACCESS_KEY)

    @pytest.mark.parametrize("section", ["room:*", "room:a"])
    def test_in_a_file_that_every_user_can_read_cause_a_warning(
        self, write: Callable[[str], str], section: str
    ) -> None:
        path = write(f"[{section}]\naccess_key = {ACCESS_KEY}")
        Path(path).chmod(0o644)
        config = load(path, FLAGS)
        assert config.exposed == path
        assert config.summary().splitlines()[-1] == (
            f"warning: {path} has access keys, and every user of this machine can read it"
        )

    @pytest.mark.parametrize(
        ("text", "mode"),
        [(f"[room:a]\naccess_key = {ACCESS_KEY}", 0o640), ("[room:a]\naccess_key =", 0o644)],
    )
    def test_in_a_protected_file_cause_no_warning(
        self, write: Callable[[str], str], text: str, mode: int
    ) -> None:
        path = write(text)
        Path(path).chmod(mode)
        assert load(path, FLAGS).exposed == ""
