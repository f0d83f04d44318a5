"""What `needlepoint models` says."""

from __future__ import annotations

from needlepoint.models.families import FAMILIES


def test_the_list_names_the_packaged_model_and_every_family(cli) -> None:
    shown = cli("models")
    assert (shown.status, shown.err) == (0, "")
    assert "smollm2" in shown.out
    assert "Apache-2.0" in shown.out
    assert "no: fetched once" in shown.out
    for family in FAMILIES:
        for name in family.model_types:
            assert name in shown.out or family.name == "plain"
    assert max(map(len, shown.out.splitlines())) <= 80


def test_a_model_is_checked_and_each_check_is_named(cli, tiny_folder) -> None:
    shown = cli("models", "--check", tiny_folder)
    assert shown.status == 0
    assert "tiny: llama, 3 layers of 4 heads (2 key/value) and 48 neurons" in shown.out
    assert shown.out.count("  holds  ") >= 3
    assert "FAILS" not in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80
