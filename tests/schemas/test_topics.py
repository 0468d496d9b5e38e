"""The topics as operators, producers and earlier versions know them."""

from schemas.topics import all_topics, group

DAY_MS = 24 * 3600 * 1000


def test_what_is_kept_and_for_how_long() -> None:
    kept = {
        topic.name: (topic.config["cleanup.policy"], topic.config.get("retention.ms"))
        for topic in all_topics(["helpdesk"])
    }
    assert kept == {
        "plaint.posts": ("compact,delete", str(7 * DAY_MS)),
        "plaint.triaged": ("compact,delete", str(7 * DAY_MS)),
        "plaint.deadletters": ("delete", str(14 * DAY_MS)),
        "plaint.tickets.helpdesk": ("delete", str(14 * DAY_MS)),
        "plaint.deliveries.helpdesk": ("compact", None),  # nothing that is open may age out
    }


def test_closed_segments_are_a_day_old_and_compacted_within_another() -> None:
    for topic in all_topics(["helpdesk"]):
        lag = str(DAY_MS) if "compact" in topic.config["cleanup.policy"] else None
        assert (topic.config["segment.ms"], topic.config.get("max.compaction.lag.ms")) == (str(DAY_MS), lag)


def test_each_stage_has_the_group_of_its_name() -> None:
    assert [group(stage) for stage in ("classify", "deliver-helpdesk")] == [
        "plaint-classify",
        "plaint-deliver-helpdesk",
    ]
