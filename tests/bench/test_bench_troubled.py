"""Members in trouble, in network namespaces: vanished, behind a slow interface, refusing."""

from __future__ import annotations

import shutil

import pytest

from bench import troubled, veth

WHY_NOT = veth.missing() or ("" if shutil.which("tc") else "not installed: tc")
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no network namespaces: {WHY_NOT}")


@pytest.mark.parametrize("options", ["", "send_buffer = 208 KiB", "batch = no"])
def test_members_in_trouble_cost_the_others_nothing_and_are_reported(options: str) -> None:
    result = troubled.measure(300, 4, troubled=True, options=options)
    # All that a loaded machine loses; when they share one buffer, the others get a tenth.
    assert min(result.live) > 0.8 * result.sent
    assert result.slow > 0
    reported = {e["member"]: e["reason"] for e in result.events if e["event"] == "member.troubled"}
    assert len(reported) == troubled.VANISHED + troubled.REFUSED + 1
    assert set(reported.values()) == {"unreachable", "send-buffer"}
