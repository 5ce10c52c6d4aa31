"""A stream that is over, run through the learner once more: `aegis replay`.

files, topics ──▶ tape: verdicts and labels ──▶ stream: turns, and labels that come as was asked ──▶ stream.simulation
turns' texts ──▶ candidate: an expert asked now ─▲  ▲                                                     │ once a rule
labelled turns ─▶ evaluation: experts score them ───┘       results: what came of it ◀── runner ◀─────────┘
                                                               └──▶ decisions, effect; tables, page, JSON
"""
