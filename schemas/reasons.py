"""The closed lists of reasons why a record did not become a result.

A reason is the header of the dead letter, the label of the metric and the heading in the docs: one word, one meaning.
"""

from enum import StrEnum


class DeadReason(StrEnum):
    """Why a record can never pass: it lies in ``plaint.deadletters`` with its original bytes."""

    INVALID_JSON = "invalid_json"
    """The bytes are no JSON object in UTF-8."""
    INVALID_RECORD = "invalid_record"
    """JSON, but a field is missing, of the wrong type or out of range."""
    UNREADABLE_LINE = "unreadable_line"
    """A line of a file that can't be read: encoding, columns, or the compression around it."""
    TOO_LARGE = "too_large"
    """The record is over 256 KiB."""
    STAGE_ERROR = "stage_error"
    """The stage itself failed on this one record, alone and repeatedly; the detail names the error."""
    REFUSED = "refused"
    """The destination answered that it will never take this ticket; the detail holds its answer."""
    RETRIES_EXHAUSTED = "retries_exhausted"
    """The destination did not take the ticket within the tries that the settings allow."""
    UNKNOWN_OUTCOME = "unknown_outcome"
    """A request was in flight when the worker died, and the destination can't say whether it took the ticket."""


class DropReason(StrEnum):
    """Why a sound record gave no result: counted, never silent."""

    REPEATED = "repeated"
    """The same post or ticket in the same revision was handled before."""
    STALE_REVISION = "stale_revision"
    """A newer revision of the same post or ticket was handled before."""
    UNKNOWN_EVENT = "unknown_event"
    """The record's event is none that this version knows."""
    EMPTY_TEXT = "empty_text"
    """Nothing is left of the text once white space and invisible characters are gone."""
    UNROUTED = "unrouted"
    """No rule of the routes sends this post anywhere."""
    SILENCED = "silenced"
    """A silence in the routes, which has an author, a reason and an end, keeps this post from getting tickets."""
    NOTHING_TO_WITHDRAW = "nothing_to_withdraw"
    """A post was deleted or rerouted that never had a ticket at this destination."""
    COLLAPSED = "collapsed"
    """The ticket was withdrawn or replaced before anything of it was sent."""
