"""Which votes count and what is learned from them: told from labels and operators' requests alone, in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from fractions import Fraction
from typing import Any

from stream.settings import Settings

KEPT = 4
"""Votes of one annotator on one turn that are kept."""
Said = dict[str, set[tuple[int, int]]]
"""Annotator to all that it said of a turn: (time in ms, class)."""
Votes = dict[str, tuple[int, int]]
"""Annotator to the vote that counts."""


class Ballots:
    """The requests of operators as they stand in the end, and the settings."""

    def __init__(self, settings: Settings, requests: Iterable[Any]) -> None:
        self._settings = settings
        newest = {record.key: json.loads(record.value) for record in requests}
        self._revoked = [one for one in newest.values() if one["kind"] == "revoke" and not one["undone"]]
        self._forgotten = [one for one in newest.values() if one["kind"] == "forget"]

    def counted(self, tenant: str, said: Said) -> Votes:
        """Of each annotator the newest of the kept votes that nobody revoked."""
        votes = {}
        for annotator, every in said.items():
            kept = sorted(every)[-KEPT:]
            valid = [vote for vote in kept if not self._is_revoked(tenant, annotator, vote[0])]
            if valid:
                votes[annotator] = valid[-1]
        return votes

    def learned(self, tenant: str, votes: Votes) -> int | None:
        """The class by the tenant's policy; None while it waits."""
        settings = self._settings
        policy = settings.defined_policies()[settings.tenant_policies.get(tenant, settings.policy)]
        weights = dict(policy.annotators)
        sums, voters = dict[int, Fraction](), 0
        for annotator, (_, label) in votes.items():
            weight = Fraction(weights.get(annotator, policy.others))
            voters += weight > 0
            sums[label] = sums.get(label, Fraction(0)) + weight
        if voters < policy.quorum or not voters:
            return None
        return max(sums, key=lambda label: (sums[label], label))

    def _is_revoked(self, tenant: str, annotator: str, at_ms: int) -> bool:
        return any(
            one["annotator"] == annotator
            and one["tenant"] in (None, tenant)
            and _ms(one["since"]) <= at_ms <= _ms(one["until"])
            for one in self._revoked
        )


def _ms(at: str) -> int:
    return int(datetime.fromisoformat(at).timestamp() * 1000)
