"""The closed lists of words that every room shares."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class TargetType(StrEnum):
    """The kind of value the model predicts (DataRobot's words)."""

    BINARY = "Binary"
    MULTICLASS = "Multiclass"
    REGRESSION = "Regression"


class ColumnKind(StrEnum):
    """How a column's values are summarised."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIMESTAMP = "timestamp"


class RowStatus(IntEnum):
    """What became of one intake row; the output holds :attr:`text`.

    ====================== ======== ============ ================= ==============================================
    member                 features predictions  performance       meaning
    ====================== ======== ============ ================= ==============================================
    MONITORED              counted  counted      counted           the row is complete
    MISSING_PREDICTION     counted  not counted  not counted       no value in a prediction column
    INVALID_PREDICTION     counted  not counted  not counted       a number that cannot be a prediction
                                                                   (infinite; a probability outside [0, 1])
    BAD_TYPE               counted  not counted  not counted       a prediction that is not a number at all
    MISSING_ACTUAL         counted  not counted  not counted       an actuals-only job met a row without an actual
    MISSING_ASSOCIATION_ID counted  not counted  not counted       an actuals-only job met a row without its id
    MISSING_IDENTIFIER     counted  counted      counted           a unique row identifier is null
    DUPLICATE_IDENTIFIER   excluded excluded     excluded          the identifiers were seen on an earlier row
    UNSTORABLE_VALUE       counted  counted      counted           a copied value that no database can hold
    ====================== ======== ============ ================= ==============================================
    """

    MONITORED = 0
    MISSING_PREDICTION = 1
    INVALID_PREDICTION = 2
    BAD_TYPE = 3
    MISSING_ACTUAL = 4
    MISSING_ASSOCIATION_ID = 5
    MISSING_IDENTIFIER = 6
    DUPLICATE_IDENTIFIER = 7
    UNSTORABLE_VALUE = 8

    @property
    def text(self) -> str:
        """``monitored`` or ``rejected:<reason>``."""
        return "monitored" if self is RowStatus.MONITORED else f"rejected:{self.name.lower()}"


class JobState(StrEnum):
    """Where a job stands."""

    CLAIMED = "claimed"
    RUNNING = "running"
    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class ResultStatus(IntEnum):
    """MLRun's result statuses."""

    IRRELEVANT = -1
    NO_DETECTION = 0
    POTENTIAL_DETECTION = 1
    DETECTED = 2

    @property
    def text(self) -> str:
        """The lower-case word that payloads and tables hold."""
        return self.name.lower()


class WindowKind(StrEnum):
    """How a window relates to the schedule; ad hoc windows never enter health, moving baselines or roll-ups."""

    SCHEDULED = "scheduled"
    AD_HOC = "ad_hoc"
