"""From one measured run to a page of Markdown. Pure: no clock, no broker."""

from __future__ import annotations

from benchmarks.hostile.messages import EARLY, JUDGED, LEARNED, LEARNED_BEFORE, REPEATED
from benchmarks.hostile.results import Results

GROWTH = 1.05
"""Of the mean of the last third to that of the second: the most that is called flat."""
WORDS = {
    JUDGED: "judged, one verdict",
    REPEATED: "the stored verdict once more, the same bytes",
    LEARNED: "learned, once",
    LEARNED_BEFORE: "nothing: its vote is counted",
    EARLY: "kept until its turn comes or the label horizon passes",
}
NOTES = """\
One worker process with experts that answer at once, everything else as in production. The topics are filled first, each
message to a partition that is noted, with the digest of its key, value and headers and what must become of it; in the
end every record of verdicts, dead letters, labels and the state is held against that: each good turn has exactly the
verdicts it must have, equal byte for byte; each bad message one dead letter, in its partition, with its reason, key,
value and headers; nothing else was written. Memory is VmRSS, read every half second; thirds are by messages."""


def flat(results: Results) -> bool:
    """Whether memory stood still while the last two thirds were read."""
    return results.memory.ratio <= GROWTH


def render(results: Results) -> str:
    """The page."""
    r = results
    versions = ", ".join(f"{name} {version}" for name, version in r.versions.items())
    rate = r.messages / r.seconds
    return "\n".join(
        [
            "# Hostile messages among good ones",
            "",
            f"`{r.command}` on {r.at}: {r.processor}, {r.cores} cores, shared with the broker and whatever else ran",
            f"(load average {r.load:.1f}); {versions}.",
            "",
            f"{r.messages:,} messages ({r.megabytes:,.0f} MB) in {r.partitions} partitions, seed {r.seed}, state in"
            f" {r.store}: {r.good:,} good turns with their labels, {r.bad:,} malformed or hostile messages.",
            "",
            f"- **Problems found: {sum(r.problems.values()) or 'none'}.**",
            *(f"  - {count:,}: {kind}" for kind, count in r.problems.items()),
            f"- Rate: {rate:,.0f} messages/s over {r.seconds:.0f} s, start-up included; {r.cpu_us:.0f} µs of the"
            f" worker's processor time a message; no partition stood still for more than {r.longest_stand:.0f} s.",
            f"- Memory: at most {r.memory.largest:.0f} MB; last third {r.memory.last_third:.0f} MB, second third"
            f" {r.memory.second_third:.0f} MB, ratio {r.memory.ratio:.3f} ({'flat' if flat(r) else '**not flat**'});"
            f" {r.memory.slope:+.2f} MB for 100,000 messages.",
            "",
            "| kind | messages |",
            "|---|---|",
            *(f"| {kind} | {count:,} |" for kind, count in sorted(r.kinds.items(), key=lambda pair: -pair[1])),
            "",
            "| what had to become of it | messages |",
            "|---|---|",
            *(
                f"| {WORDS.get(became, f'dead letter `{became}`')} | {count:,} |"
                for became, count in sorted(r.becomes.items(), key=lambda pair: -pair[1])
            ),
            "",
            NOTES,
            "",
        ]
    )
