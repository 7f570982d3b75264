"""Every error this package raises on purpose, and whether trying again can help.

::

    MonitoringError
    ├── RetryableError            the same call may succeed later; Airflow retries it
    │   ├── SourceUnavailable     intake could not be reached or broke off
    │   ├── OutputUnavailable     output could not be reached, is locked, or broke off
    │   ├── StoreUnavailable      the monitoring store could not be reached or is locked
    │   ├── ConnectionUnavailable Airflow could not be asked for a connection
    │   ├── OutcomeUnknown        a commit was sent and its answer was lost
    │   ├── PartMissing           a part of a job that several tasks run is not (any longer) there
    │   └── JobInterrupted        Airflow ended the task; a retry starts over
    └── TerminalError             trying again gives the same answer; Airflow fails at once
        ├── DefinitionError       a definition breaks a rule; carries the path of the field
        ├── ConfigurationError    a connection, setting or permission is missing or wrong
        │   └── StoreSchemaError  the store's tables are absent, older or newer than this code
        ├── SourceError           intake is there but is not what the definition says
        ├── OutputError           output is there but cannot take these rows
        ├── WindowError           no window, or one that ends before it starts
        ├── CorruptData           a checksum or format version does not match
        ├── TooManyRejectedRows   more rows were rejected than the definition allows
        ├── JobAborted            somebody asked for the job to end
        ├── BatchLocked           the job's batch takes no more rows
        ├── BatchLimitReached     the deployment was given all the batches of a day
        ├── NotFound              an id names nothing in the store
        ├── UnstorableError       code hands the store a NaN, a naive time or a type without a form there
        └── Superseded            a newer attempt owns this window; this one wrote nothing

Messages say what is wrong, the type that was found where it matters, and what to do. They never hold a
row value, a password or a connection URL.
"""

from __future__ import annotations


class MonitoringError(Exception):
    """Base of every error of this package."""


class RetryableError(MonitoringError):
    """The same call may succeed later."""


class SourceUnavailable(RetryableError):
    """Intake could not be reached, or the read broke off."""


class OutputUnavailable(RetryableError):
    """Output could not be reached, is locked by another process, or the write broke off."""


class StoreUnavailable(RetryableError):
    """The monitoring store could not be reached, or is locked by another process."""


class ConnectionUnavailable(RetryableError):
    """Airflow could not be asked for a connection: its API server or a secrets backend did not answer."""


class OutcomeUnknown(RetryableError):
    """A commit was sent and the answer was lost; the next attempt looks before it writes."""


class PartMissing(RetryableError):
    """A part of a job that several tasks run has not been staged, or its file is not there."""


class JobInterrupted(RetryableError):
    """Airflow ended the task (its worker shut down, somebody cleared it): a retry starts over."""


class TerminalError(MonitoringError):
    """Trying again would give the same answer."""


class DefinitionError(TerminalError):
    """A definition breaks a rule.

    :param message: what is wrong and what to do, naming the field.
    :param field: dotted path of the field in the caller's own spelling, or ``""`` for the whole payload.
    :param problems: every problem found, as ``(field, message)``; the first one is in ``message``.
    """

    def __init__(self, message: str, *, field: str = "", problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.field = field
        self.problems = problems or ((field, message),)


class ConfigurationError(TerminalError):
    """A connection, setting or permission is missing or wrong."""


class StoreSchemaError(ConfigurationError):
    """The store's tables are absent, older or newer than this code."""


class SourceError(TerminalError):
    """Intake is there but is not what the definition says: a table, column or type is missing or wrong."""


class OutputError(TerminalError):
    """Output is there but cannot take these rows."""


class WindowError(TerminalError):
    """No window could be determined, or it ends before it starts."""


class CorruptData(TerminalError):
    """A stored value fails its checksum or carries an unknown format version."""


class TooManyRejectedRows(TerminalError):
    """More rows were rejected than the definition allows."""


class JobAborted(TerminalError):
    """Somebody asked for the running job to end."""


class BatchLocked(TerminalError):
    """The batch of this job is locked and takes no more rows."""


class BatchLimitReached(TerminalError):
    """The deployment was given all the batches that its daily limit allows."""


class NotFound(TerminalError):
    """An id names nothing in the store."""


class UnstorableError(TerminalError, ValueError):
    """A mistake in the calling code: a naive datetime, a NaN, or a type that JSON does not have."""


class Superseded(TerminalError):
    """A newer attempt owns this window; this attempt wrote nothing after it noticed."""
