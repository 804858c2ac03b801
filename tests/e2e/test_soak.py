"""The checker of the long runs finds what it is there to find."""

from benchmarks.audit_control import self_test


def test_audit_finds_every_fault_that_is_put_before_it() -> None:
    assert self_test() == []
