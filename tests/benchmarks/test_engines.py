"""The benchmark of the providers: every step beside the bare pass on the CPU."""

from __future__ import annotations

from benchmarks.engines import here, measure


def test_every_step_of_every_provider_here_has_a_ratio_to_the_bare_pass_on_the_cpu() -> None:
    rows, refused = measure("concepts", turns=3)
    steps = {(row.provider, row.step): row for row in rows}
    assert steps["CPUExecutionProvider", "bare pass"].ratio_p50 == 1.0
    assert ("OpenCV", "preprocessing") in steps
    measured = [provider for provider in here() if provider not in refused]
    assert measured[0] == "CPUExecutionProvider"
    for provider in measured:
        assert {(provider, "bare pass"), (provider, "bound pass")} <= steps.keys()
    assert ("CPUExecutionProvider", "preprocessing graph") in steps
    assert all(0.0 < row.p50_us <= row.p99_us for row in rows)
