"""Why a verdict is what it is, and what today's ensemble would say: `aegis explain`, and the same on the console.

verdicts.v1 ──▶ finding: the verdict ──▶ reckoning: who carried how much, score against thresholds ──┐
labels.v1, changelog ──▶ taught: labels of the turn, and those that moved its context since ─────────┼──▶ results
moments.v1, weights.v1 ──▶ now: weights, thresholds and modes of today, and what they would decide ──┘      │
                                                                              tables, JSON, page ◀──────────┘
Everything is read from topics; nothing here writes, and no worker needs to run.
"""
