"""What subscribers can be told of, against what the feed has."""

from datetime import UTC, datetime, timedelta

from shared.archive.change import Action
from shared.archive.subscription import KIND_OF_ACTION, EventKind, Subscription


def test_each_action_of_the_feed_is_told_as_a_kind_of_its_own() -> None:
    assert KIND_OF_ACTION.keys() == set(Action)
    assert len(set(KIND_OF_ACTION.values())) == len(Action)
    assert EventKind.STUDY_SETTLED not in KIND_OF_ACTION.values()


def test_a_secret_is_not_shown() -> None:
    made = Subscription(
        "1",
        "https://a.example",
        "",
        "https://b.example/v2",
        "",
        frozenset(),
        timedelta(0),
        "whsec_x",
        1,
        datetime.now(UTC),
    )
    assert "whsec_x" not in repr(made)
