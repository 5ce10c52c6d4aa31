"""Every error the worker can end with, and the exit code that a supervisor sees.

```
StreamError
├── DataError              1   data that `aegis evaluate` or `aegis replay` cannot use
├── SettingsError          2   a setting is unknown or wrong
├── BrokerError            3   the broker cannot be started or reached
├── TopicsError            4   a topic is missing or not what the contract says
├── StateError             5   a state record or directory that this version cannot read
│   ├── ForeignRecordError     bytes in a topic of ours that nobody of ours wrote: readers leave them out
│   ├── OffsetsMissingError    state exists, committed offsets do not: where to go on is the operator's choice
│   ├── ChangelogCutError      records of the changelog are gone: whether to go on without is the operator's choice
│   └── StateInUseError        another worker has the directory open
├── PassingError               starting again is the remedy
│   ├── FencedError        6   another worker owns the partition now
│   ├── WriteError         7   the broker did not acknowledge a record in time
│   ├── StalledError       8   records wait and none has moved for `stall_timeout`
│   └── PipelineError      9   a bug: an agent's pipeline raised
└── (10: an expert's files, `experts.errors`; 11: `ensemble.errors`; both at start)
```
A worker never repairs itself in place: it ends with one line and starts again from its changelog."""


class StreamError(Exception):
    """Root of this package's errors; its text is one line that names what to do."""

    exit_code = 1


class DataError(StreamError):
    """Only a command raises it."""


class SettingsError(StreamError):
    exit_code = 2


class BrokerError(StreamError):
    exit_code = 3


class TopicsError(StreamError):
    exit_code = 4


class StateError(StreamError):
    exit_code = 5


class ForeignRecordError(StateError):
    """A reader that can go on without the record does."""


class OffsetsMissingError(StateError):
    pass


class ChangelogCutError(StateError):
    pass


class StateInUseError(StateError):
    pass


class PassingError(StreamError):
    """Starting again is the remedy."""


class FencedError(PassingError):
    exit_code = 6


class WriteError(PassingError):
    exit_code = 7


class StalledError(PassingError):
    exit_code = 8


class PipelineError(PassingError):
    exit_code = 9
