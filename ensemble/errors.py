"""What can go wrong in the mathematics, in one tree.

    EnsembleError
    ├── PolicyError (ValueError)           a policy that cannot be read: mend the settings
    ├── AdviceError (ValueError)           scores, labels or weights of the wrong shape or range: a bug in the caller
    └── MomentsError
        ├── MomentsMismatchError           two records that cannot be added: they have other half-lives
        ├── MomentsVersionError            bytes written by another schema version: upgrade or migrate
        └── MomentsCorruptError            bytes that are no moments record: restore the changelog

Every message is one line that says what is wrong and what to do.
"""

from __future__ import annotations


class EnsembleError(Exception):
    """The root: anything that this package raises on purpose."""


class PolicyError(EnsembleError, ValueError):
    """A policy whose targets, costs, loss or thresholds contradict each other."""


class AdviceError(EnsembleError, ValueError):
    """Arrays that are no advice, no round or no panel: a wrong shape, a value out of range, a name twice."""


class MomentsError(EnsembleError):
    """The root of what concerns the state."""


class MomentsMismatchError(MomentsError):
    """Moments that were summed under other half-lives and so have no sum."""


class MomentsVersionError(MomentsError):
    """A stored record of a schema version that this code cannot read."""


class MomentsCorruptError(MomentsError):
    """A stored record whose bytes contradict each other."""
