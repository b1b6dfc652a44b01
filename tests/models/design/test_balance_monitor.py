"""The balance monitor: both directions are seen, and each action does what it says."""

from __future__ import annotations

from models.gan.balance import MOST_STEPS, PATIENCE, BalanceMonitor


def follow(monitor: BalanceMonitor, accuracy: float, steps: int) -> BalanceMonitor:
    for _ in range(steps):
        monitor.see(accuracy)
    return monitor


def test_reports_do_nothing() -> None:
    assert follow(BalanceMonitor("report"), 1.0, 100).plan() == (1, 1)
    assert follow(BalanceMonitor("report"), 1.0, 100).verdict == "discriminator_ahead"


def test_the_side_that_is_ahead_skips() -> None:
    monitor = follow(BalanceMonitor("skip"), 1.0, 5)
    assert monitor.plan() == (0, 1)
    follow(monitor, 0.5, 5)
    assert monitor.plan() == (1, 1)
    follow(monitor, 0.4, 40)
    assert monitor.verdict == "discriminator_behind"
    assert monitor.plan() == (1, 0)


def test_the_side_that_is_behind_makes_more_steps_little_by_little() -> None:
    monitor = BalanceMonitor("ratio")
    plans = [follow(monitor, 1.0, PATIENCE).plan() for _ in range(5)]
    assert plans == [(1, 2), (1, 3), (1, MOST_STEPS), (1, MOST_STEPS), (1, MOST_STEPS)]
    follow(monitor, 0.8, 60)
    assert monitor.plan() == (1, 1)
    assert follow(monitor, 0.3, 100).plan() == (MOST_STEPS, 1)


def test_the_state_comes_back() -> None:
    monitor = follow(BalanceMonitor("ratio"), 1.0, 25)
    other = BalanceMonitor("ratio")
    other.load_state_dict(monitor.state_dict())
    assert follow(other, 0.9, 7).state_dict() == follow(monitor, 0.9, 7).state_dict()
