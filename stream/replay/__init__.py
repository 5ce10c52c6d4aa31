"""A stream that is over, run through the learner once more: `aegis replay`.

files, topics ──▶ tape: verdicts and labels ──▶ stream: turns, and labels that come as was asked ──▶ stream.simulation
labelled turns ─▶ evaluation: experts score them ──▲                                                      │ once a rule
                                          results: what came of it ◀── runner ◀───────────────────────────┘
                                             └──▶ tables, page, JSON
"""
