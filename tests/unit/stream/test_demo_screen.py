import io
import math
import threading
from typing import Any

import pytest
from rich.console import Console

from stream.demo.screen import TEXTS, Screen
from stream.demo.screen_parts import bar, figure, leader, plain_text, regret_share, sparkline


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Show:
    """A screen on a console of memory, with a clock that only the test moves."""

    def __init__(self, plain: bool = True, width: int = 130, height: int = 40) -> None:
        self.out = io.StringIO()
        self.clock = Clock()
        self.console = Console(
            file=self.out,
            width=width,
            height=height,
            force_terminal=not plain,
            color_system=None,
            _environ={"TERM": "xterm"},
        )
        self.screen = Screen(plain, self.console, self.clock)

    @property
    def lines(self) -> list[str]:
        return self.out.getvalue().splitlines()

    def drawn(self) -> str:
        with self.console.capture() as capture:
            self.console.print(self.screen)
        return capture.get()


def turn(turn_id: str = "t1", text: str = "You are a moron.") -> dict[str, Any]:
    return {"turn_id": turn_id, "conversation_id": "c1", "role": "user", "text": text}


def verdict(turn_id: str = "t1", label: str = "unsafe", score: float | None = 0.91) -> dict[str, Any]:
    experts = [
        {"name": "lexical", "version": "1", "score": 0.88, "weight": 0.4, "status": "ok"},
        {"name": "semantic", "version": "1", "score": None, "weight": 0.0, "status": "timeout"},
    ]
    return {"turn_id": turn_id, "label": label, "score": score, "context": "acme/user", "experts": experts}


def weights(lexical: float, regret: float = 0.5, **more: Any) -> dict[str, Any]:
    experts = [
        {"id": "lexical@1.0", "weight": lexical, "loss": 3.0, "regret": -1.0},
        {"id": "semantic@1.0", "weight": 1 - lexical, "loss": 2.0, "regret": regret},
    ]
    return {"context": "acme/user", "rounds": 7, "experts": experts, "bound": 2.0, "alarm": False, **more}


def test_the_screen_shows_verdicts_beside_their_text_and_experts() -> None:
    show = Show(plain=False)
    show.screen.turn(turn())
    show.screen.verdict(verdict())
    drawn = show.drawn()
    row = next(line for line in drawn.splitlines() if "0.91" in line)
    for cell in ("unsafe", "acme/user", "0.88", "timeout", "You are a moron."):
        assert cell in row


def test_the_screen_counts_what_happened() -> None:
    show = Show(plain=False)
    show.screen.turn(turn())
    show.screen.verdict(verdict())
    for kind in ("late", "late", "early", "twice", "corrected"):
        show.screen.label(kind, {"turn_id": "t1", "label": "safe"})
    show.screen.dead_letter("not_json")
    show.clock.now += 12
    drawn = show.drawn()
    assert "turns 1  verdicts 1  0 safe  0 needs caution  1 unsafe" in drawn
    assert "labels 5 (2 late, 1 early, 1 twice, 1 corrected)  dead letters 1  12 s" in drawn


def test_the_screen_shows_weights_their_movement_and_regret_against_the_bound() -> None:
    show = Show(plain=False)
    for share in (0.1, 0.5, 0.99):
        show.screen.weights(weights(share))
    drawn = show.drawn()
    assert "acme/user · 7 labelled" in drawn
    assert "0.99 ▁▅█" in drawn
    assert "2.00 25% of the bound" in drawn


def test_the_busiest_contexts_are_shown_where_not_all_fit() -> None:
    show = Show(plain=False, width=80, height=24)
    for rounds in range(1, 9):
        show.screen.weights(weights(0.5, context=f"tenant{rounds}/user", rounds=rounds))
    drawn = show.drawn()
    assert "tenant8/user" in drawn
    assert "tenant1/user" not in drawn


@pytest.mark.parametrize(("width", "height"), [(40, 10), (80, 24), (130, 40), (240, 70)])
def test_the_screen_fits_any_terminal(width: int, height: int) -> None:
    show = Show(plain=False, width=width, height=height)
    for number in range(100):
        show.screen.turn(turn(f"t{number}", "a long text " * 20))
        show.screen.verdict(verdict(f"t{number}"))
        show.screen.weights(weights(number / 100, context=f"tenant{number % 5}/user"))
        show.screen.note("a note")
    lines = show.drawn().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_before_anything_happens_the_screen_says_so() -> None:
    assert "no label has been learned yet" in Show(plain=False).drawn()


def test_records_that_hold_markup_or_control_characters_are_shown_harmless() -> None:
    show = Show(plain=False)
    show.screen.turn(turn(text="\x1b[2J[red]boo[/red]\x07\nnext"))
    show.screen.verdict(verdict())
    drawn = show.drawn()
    assert "\x1b" not in drawn
    assert "\x07" not in drawn
    assert "[red]boo[/red]" in drawn


def test_plain_lines_come_at_most_about_two_a_second() -> None:
    show = Show()
    with show.screen as screen:
        for number in range(200):
            screen.verdict(verdict(f"t{number}"))
            show.clock.now += 0.05
    told = [line for line in show.lines if line.startswith("verdict")]
    assert 15 <= len(told) <= 20


def test_plain_lines_tell_of_unsafe_turns_and_not_of_safe_ones() -> None:
    show = Show()
    show.screen.turn(turn("t1", "Hello there."))
    show.screen.verdict(verdict("t1", "safe", 0.02))
    show.clock.now += 1
    show.screen.turn(turn("t2"))
    show.screen.verdict(verdict("t2"))
    told = [line for line in show.lines if line.startswith("verdict")]
    assert told == ["verdict  unsafe        0.91  acme/user  You are a moron."]


def test_plain_lines_tell_when_another_expert_leads_and_only_then() -> None:
    show = Show()
    for share in (0.6, 0.7, 0.4, 0.3):
        show.clock.now += 1
        show.screen.weights(weights(share))
    assert show.lines == [
        "weights  acme/user: lexical@1.0 leads with 0.60, regret 25% of its bound",
        "weights  acme/user: semantic@1.0 leads with 0.60, regret 25% of its bound",
    ]


def test_plain_lines_tell_of_labels_out_of_the_ordinary() -> None:
    show = Show()
    for kind in ("late", "corrected"):
        show.clock.now += 1
        show.screen.label(kind, {"turn_id": "t1", "label": "safe"})
    assert [line for line in show.lines if line.startswith("label")] == ["label    corrected     t1: safe"]


def test_counters_are_told_every_few_seconds() -> None:
    show = Show()
    for number in range(11):
        show.screen.verdict(verdict(f"t{number}", "safe"))
        show.clock.now += 1
    counters = [line for line in show.lines if line.endswith("dead letters")]
    assert counters == [f"{s:4} s   0 turns, {s + 1} verdicts, 0 labels, 0 dead letters" for s in (0, 5, 10)]


def test_notes_and_alarms_are_never_left_out() -> None:
    show = Show()
    for number in range(5):
        show.screen.note(f"note {number}")
    show.screen.weights(weights(0.5, regret=3.0, alarm=True))
    assert show.lines[:5] == [f"note {number}" for number in range(5)]
    assert show.lines[5].startswith("ALARM: regret is above its bound in acme/user")


def test_an_alarm_stands_out_on_the_screen() -> None:
    show = Show(plain=False)
    show.screen.weights(weights(0.5, regret=3.0, alarm=True))
    assert "2.00 ALARM" in show.drawn()


@pytest.mark.parametrize("plain", [True, False])
def test_the_summary_stays_after_the_screen_and_keeps_commands_whole(plain: bool) -> None:
    show = Show(plain=plain)
    command = "aegis tail verdicts --from-beginning " + "x" * 150
    with show.screen as screen:
        screen.summary([("turns", "12"), ("dead letters", "2")], [(command, "every verdict")])
    lines = show.out.getvalue().split("\x1b[?1049l")[-1].splitlines()
    for line in ("turns         12", "dead letters  2", "Where to look next", f"  {command}", "      every verdict"):
        assert line in lines


def test_an_unfinished_live_screen_gives_the_terminal_back() -> None:
    show = Show(plain=False)
    with pytest.raises(KeyboardInterrupt), show.screen:
        raise KeyboardInterrupt
    assert show.out.getvalue().rindex("\x1b[?1049l") > show.out.getvalue().rindex("\x1b[?1049h")
    assert "\x1b[?25h" in show.out.getvalue()


def test_events_may_come_while_the_screen_is_drawn() -> None:
    show = Show(plain=False)
    errors: list[BaseException] = []

    def send() -> None:
        try:
            for number in range(300):
                show.screen.turn(turn(f"t{number}"))
                show.screen.verdict(verdict(f"t{number}"))
                show.screen.weights(weights(0.5, context=f"tenant{number}"))
        except Exception as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    while sender.is_alive():
        show.drawn()
    sender.join()
    assert errors == []
    assert show.screen.counts["verdicts"] == 300


def test_texts_that_no_verdict_asks_for_are_forgotten() -> None:
    show = Show(plain=False)
    for number in range(TEXTS + 1):
        show.screen.turn(turn(f"t{number}"))
    for turn_id, text in (("t0", ""), (f"t{TEXTS}", "You are a moron.")):
        show.screen.verdict(verdict(turn_id))
        row = [line for line in show.drawn().splitlines() if "0.91" in line][-1]
        assert ("You are a moron." in row) == bool(text)


def test_a_verdict_without_a_score_is_shown_with_a_dash() -> None:
    show = Show()
    show.screen.verdict(verdict(score=None))
    assert show.lines[0] == "verdict  unsafe        –  acme/user  "


@pytest.mark.parametrize(("share", "shown"), [(0.0, "░░░░"), (0.5, "██░░"), (7.0, "████"), (math.nan, "░░░░")])
def test_a_bar_is_filled_by_its_share(share: float, shown: str) -> None:
    assert bar(share, 4) == shown


def test_a_sparkline_has_a_level_a_value_and_a_blank_for_none() -> None:
    assert sparkline([0.0, 0.5, 1.0, math.nan, -3.0, 9.0]) == "▁▅█ ▁█"


def test_text_is_one_short_printable_line() -> None:
    assert plain_text("a\tb\n c\x00d") == "a b c d"
    assert plain_text("x" * 61) == "x" * 59 + "…"


def test_regret_is_told_as_a_share_of_its_bound_where_both_are_known() -> None:
    assert regret_share(weights(0.5, regret=1.0)) == pytest.approx(0.5)
    assert math.isnan(regret_share(weights(0.5, bound=None)))
    assert math.isnan(regret_share({"experts": [], "bound": 1.0}))


def test_the_leader_has_the_largest_weight_that_is_known() -> None:
    assert leader({"experts": [{"id": "a", "weight": None}, {"id": "b", "weight": 0.2}]}) == {"id": "b", "weight": 0.2}
    assert leader({}) is None
    assert figure(None) == "–"
