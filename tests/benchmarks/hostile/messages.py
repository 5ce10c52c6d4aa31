"""A seeded stream of good turns and labels with hostile messages of many kinds among them, and what becomes of each.

The same seed gives the same messages, in the same partitions and so at the same offsets."""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from aiokafka.partitioner import murmur2

from stream.codecs import MAX_LABEL_BYTES, MAX_METADATA_BYTES
from stream.dead_letters import OFFSET, REASON, REPLAYS, TOPIC
from stream.routing import FIRST, STAMP, TRIED, TRIES
from stream.topics import BROKER_MESSAGE_BYTES

JUDGED, REPEATED, LEARNED, LEARNED_BEFORE, EARLY = "judged", "repeated", "learned", "learned before", "early"
"""What becomes of a message that is no dead letter; of any other, the letter's reason."""
MAX_TEXT_BYTES: Final = 65_536
LABELLED: Final = 0.3
"""Of the good turns."""
RECENT: Final = 500
"""Good turns whose ids are used again: a hostile client knows the last ones."""
_NAMES: Final = ("turn_id", "conversation_id", "role", "text", "sent_at")

Value = dict[str, Any]
Headers = list[tuple[str, bytes | None]]


class Message(NamedTuple):
    """A record, where it goes, and what must become of it. `again`: the number of the good turn that it speaks of."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    becomes: str
    kind: str
    again: int = -1


class Good(NamedTuple):
    """A good turn as it was sent."""

    number: int
    key: bytes
    value: Value


class Generator:
    """`good` turns, labels for some of them, and `bad` messages, shuffled evenly."""

    def __init__(self, seed: int, good: int, bad: int, partitions: int) -> None:
        self._random = random.Random(seed)
        self._good, self._bad, self._partitions = good, bad, partitions
        self._recent: deque[Good] = deque(maxlen=RECENT)
        self._labelled: deque[Good] = deque(maxlen=RECENT)
        self._made = 0
        self._kinds = [(kind, *about) for kind, about in KINDS.items()]
        self._weights = [weight for _, weight, *_ in self._kinds]
        self._pools: dict[str, list[Message]] = {kind: [] for kind in KINDS}

    def __iter__(self) -> Iterator[Message]:
        good, bad = self._good, self._bad
        while good or bad:
            if self._random.random() * (good + bad) < good:
                good -= 1
                yield from self._good_turn()
            elif self._recent or not good:
                bad -= 1
                yield self._bad_message()

    def _good_turn(self) -> Iterator[Message]:
        turn = Good(self._made, b"conversation-%d" % (self._made // 4), self.turn(self._made))
        self._made += 1
        self._recent.append(turn)
        yield self._of(turn.key, "turns", dumps(turn.value), JUDGED, "good turn", turn.number)
        if self._random.random() < LABELLED:
            self._labelled.append(turn)
            yield self._of(turn.key, "labels", dumps(self.label(turn.number)), LEARNED, "good label", turn.number)

    def _bad_message(self) -> Message:
        ((kind, _, make, most),) = self._random.choices(self._kinds, self._weights)
        pool = self._pools[kind]
        if len(pool) < most:
            pool.append(make(self, kind))
        elif most:
            return self._random.choice(pool)._replace(partition=self._random.randrange(self._partitions))
        return pool[-1] if most else make(self, kind)

    # -- parts of messages

    def turn(self, number: int) -> Value:
        """A good one."""
        text = f"Good turn number {number}: how are you? {'x' * self._random.randrange(200)}"
        return {
            "turn_id": f"turn-{number}",
            "conversation_id": f"conversation-{number // 4}",
            "role": self._random.choice(("user", "assistant", "system")),
            "text": text,
            "sent_at": "2026-01-05T09:00:00Z",
            "tenant": self._random.choice(("acme", "school", "default")),
        }

    def label(self, number: int) -> Value:
        """A good one, by one annotator: the same every time."""
        return {
            "turn_id": f"turn-{number}",
            "conversation_id": f"conversation-{number // 4}",
            "label": ("safe", "needs_caution", "unsafe")[number % 3],
            "annotator": "ann",
            "labelled_at": "2026-01-06T09:00:00+02:00",
            "tenant": next((g.value["tenant"] for g in reversed(self._recent) if g.number == number), "default"),
        }

    def any_value(self, topic: str) -> Value:
        """A good message of a topic, to be spoilt; its turn is nobody's."""
        value = self.turn(10**9) if topic == "turns" else self.label(10**9)
        return {**value, "turn_id": f"nobody-{self._random.getrandbits(64):x}"}

    def any_topic(self) -> str:
        return "turns" if self._random.random() < 0.6 else "labels"

    def pick(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def spoilt(self, topic: str, value: bytes | None, reason: str, kind: str) -> Message:
        """A message that must become a dead letter, under any key, anywhere."""
        key = self.pick(None, b"", b"\xff" * 40, b"conversation-%d" % self._random.randrange(1000), b"key")
        headers = self.pick([], [], [], *FORGED)
        return Message(topic, self._random.randrange(self._partitions), key, value, headers, reason, kind)

    def _of(self, key: bytes, topic: str, value: bytes, becomes: str, kind: str, again: int) -> Message:
        return Message(topic, (murmur2(key) & 0x7FFFFFFF) % self._partitions, key, value, [], becomes, kind, again)

    # -- kinds

    def unparsable(self, kind: str) -> Message:
        topic = self.any_topic()
        whole = dumps(self.any_value(topic))
        cases: tuple[tuple[str, Callable[[], bytes | None]], ...] = (
            ("empty", lambda: None),
            ("empty", lambda: b""),
            ("not_utf8", lambda: whole.replace(b"nobody", b"no\xff\xfebody")),
            ("not_utf8", lambda: whole.replace(b"nobody", b"no\xc0\xafbody")),  # overlong
            ("not_utf8", lambda: whole.replace(b"nobody", b"no\xed\xa0\x80body")),  # a surrogate
            ("not_utf8", lambda: b"\xff\xfe" + whole.decode().encode("utf-16-le")),
            ("not_json", lambda: whole[: self._random.randrange(1, len(whole) - 1)]),
            ("not_json", lambda: whole + b"}"),
            ("not_json", lambda: b"\xef\xbb\xbf" + whole),
            ("not_json", lambda: whole.replace(b"nobody", b"no\\ud800body")),
            ("not_json", lambda: whole[:-1] + b',"more":NaN}'),
            ("not_json", lambda: b'{"a":' * self._random.randrange(1_000, 3_000)),
        )
        reason, make = self.pick(*cases)
        return self.spoilt(topic, make(), reason, kind)

    def incomplete(self, kind: str) -> Message:
        topic = self.any_topic()
        value = self.any_value(topic)
        needed = _NAMES if topic == "turns" else ("turn_id", "conversation_id", "label", "annotator", "labelled_at")
        del value[self.pick(*needed)]
        return self.spoilt(topic, dumps(value), "missing_field", kind)

    def ill_typed(self, kind: str) -> Message:
        topic = self.any_topic()
        value, when = self.any_value(topic), "sent_at" if topic == "turns" else "labelled_at"
        name = self.pick(*_NAMES[:2], when, "tenant", "role" if topic == "turns" else "label")
        wrong: Any = self.pick(None, 17, 10**400, True, [], {}, [[]], -0.0, 1e308)
        if name == when:
            wrong = self.pick(
                wrong, "2026-01-01T00:00:00", "yesterday", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z"
            )
        elif name in ("role", "label"):
            wrong = self.pick(wrong, "moderator", "UNSAFE", "\x00")
        whole = self.pick(dumps({**value, name: wrong}), dumps({**value, name: wrong}), b"null", b"[]", b"1", b'"a"')
        return self.spoilt(topic, whole, "wrong_type", kind)

    def out_of_range(self, kind: str) -> Message:
        topic = self.any_topic()
        name = self.pick("turn_id", "conversation_id", "tenant", *(["annotator"] if topic == "labels" else []))
        value = {**self.any_value(topic), name: self.pick("", "x" * 129, "\U0001f600" * 129)}
        return self.spoilt(topic, dumps(value), "out_of_range", kind)

    def too_large(self, kind: str) -> Message:
        topic = self.any_topic()
        value = self.any_value(topic)
        if topic == "labels":
            return self.spoilt(topic, dumps({**value, "categories": ["x" * MAX_LABEL_BYTES]}), "label_too_large", kind)
        if self._random.random() < 0.5:
            heavy = {"k": "\x00" * MAX_METADATA_BYTES}
            return self.spoilt(topic, dumps({**value, "metadata": heavy}), "metadata_too_large", kind)
        return self.spoilt(topic, dumps({**value, "text": "é" * (MAX_TEXT_BYTES // 2 + 1)}), "text_too_large", kind)

    def huge(self, kind: str) -> Message:
        """As large as the broker takes."""
        value = {**self.any_value("turns"), "text": ""}
        room = BROKER_MESSAGE_BYTES - 5_000 - len(dumps(value))
        return self.spoilt("turns", dumps({**value, "text": "x" * room}), "text_too_large", kind)

    def reused(self, kind: str) -> Message:
        turn = self.pick(*self._recent)
        value = {**turn.value, "text": f"Another text {self._random.getrandbits(64):x}"}
        return self._of(turn.key, "turns", dumps(value), "turn_id_reused", kind, -1)

    def turn_again(self, kind: str) -> Message:
        turn = self.pick(*self._recent)
        return self._of(turn.key, "turns", dumps(turn.value), REPEATED, kind, turn.number)

    def label_again(self, kind: str) -> Message:
        if not self._labelled or self._labelled[-1].number < self._made - RECENT // 2:
            return self.turn_again("a turn sent again")
        turn = self._labelled[-1]
        return self._of(turn.key, "labels", dumps(self.label(turn.number)), LEARNED_BEFORE, kind, turn.number)

    def of_nobody(self, kind: str) -> Message:
        value = self.any_value("labels")
        return self._of(value["turn_id"].encode(), "labels", dumps(value), EARLY, kind, -1)


FORGED: Final[tuple[Headers, ...]] = (
    [(REASON, b"forged"), (TOPIC, b"elsewhere"), (OFFSET, b"9" * 400)],
    [(TRIED, b"\xff,1,99999999999999999999"), (FIRST, b"-1"), (TRIES, b"9" * 15), (STAMP, b"9" * 15), (REPLAYS, b"x")],
    [("none", None), ("", b""), ("trace", b"\x00" * 200)],
    [("many", b"%d" % n) for n in range(60)],
)
KINDS: Final[dict[str, tuple[float, Callable[[Generator, str], Message], int]]] = {
    "not to be parsed": (30.0, Generator.unparsable, 2_000),
    "a field is missing": (15.0, Generator.incomplete, 1_000),
    "of a wrong type": (20.0, Generator.ill_typed, 2_000),
    "an id out of range": (12.0, Generator.out_of_range, 1_000),
    "larger than allowed": (0.2, Generator.too_large, 100),
    "as large as the broker takes": (0.01, Generator.huge, 2),
    "a turn_id used for another text": (12.0, Generator.reused, 0),
    "a turn sent again": (7.0, Generator.turn_again, 0),
    "a label sent again": (3.0, Generator.label_again, 0),
    "a label of no turn": (0.5, Generator.of_nobody, 0),
}
"""Share in percent, roughly; how one is made; and how many different ones there are, which then come again in other
partitions (0: no two alike): making each anew takes longer than the worker does."""


def dumps(value: Any) -> bytes:
    """As a client's own JSON library writes it."""
    return json.dumps(value, separators=(",", ":")).encode()
