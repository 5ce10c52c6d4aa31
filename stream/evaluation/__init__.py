"""How good the experts and the ensemble are on labelled turns: `aegis evaluate`.

files ──▶ data: labelled turns ──▶ scoring: every expert's score, once ──▶ online: the ensemble, labels coming late
                                         │                                        │
                                         └────────▶ measuring: figures, intervals ◀┘
                                                        │
                             results: what was found ◀──┘ ──▶ tables, markdown, plots, JSON
"""
