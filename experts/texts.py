"""Neutral texts of many lengths and scripts, on which experts are checked: what they say does not matter, that every
expert gets through them does.
"""

from __future__ import annotations

from typing import Final

PARAGRAPH: Final = (
    "The lighthouse keeper wrote the weather down every morning: the wind from the south-west, the sea calm, two "
    "fishing boats on the horizon. In the afternoon he repaired the fence, fed the hens, and read a book about the "
    "history of clocks. His sister came on Sundays with bread and newspapers, and they talked about the garden until "
    "it was dark."
)
SHORT: Final = (
    "Hi",
    "a",
    "?",
    "42",
    "Yes, please.",
    "Good morning!",
    "What time is it?",
    "THE MUSEUM OPENS AT TEN",
    "which bus goes to the station",
    "Thank you very much, that was helpful.",
    "Please translate this sentence into Italian.",
    "How do I grow tomatoes on a north-facing balcony?",
    "Write a haiku about rain on a tin roof.",
    "The recipe needs 200 g flour, 3 eggs, 1/2 tsp salt & a pinch of sugar (optional).",
    "My flight LH-1234 leaves at 07:45 from gate B22; can I still check in online?",
    "for i in range(10):\n    print(i ** 2)",
    "SELECT name, COUNT(*) FROM cities GROUP BY name ORDER BY 2 DESC;",
    "See https://www.example.org/a/b?c=d&e=f#g or write to someone@example.org.",
    '{"key": "value", "list": [1, 2.5, null, true]}',
    "  leading   and    trailing\tblanks \n\n and lines  ",
    "h3ll0 w0rld, th1s 1s l33t",
    "zero\u200bwidth\u200djoiners and a soft\u00adhyphen",
    "ｆｕｌｌ ｗｉｄｔｈ ｌｅｔｔｅｒｓ",
    "naïve café, Übergröße, smørrebrød, żółw, čeština",
    "🌻🚲 see you tomorrow 👋🏽 👩‍👩‍👧",
    "…—“”‘’«»¿¡",
    "∀x∈ℝ: x² ≥ 0 ⇒ √(x²) = |x|",
    "x" * 300,
    "word " * 60,
)
SCRIPTS: Final = (
    "Der Zug nach Wien fährt heute von Gleis sieben ab.",
    "Pourriez-vous me dire où se trouve la bibliothèque municipale ?",
    "Mañana por la tarde vamos a pasear por el parque con los niños.",
    "Завтра утром мы поедем на дачу собирать яблоки.",
    "Το καλοκαίρι η θάλασσα είναι ήρεμη και ζεστή.",
    "غدا سنزور المتحف مع أصدقائنا بعد الظهر.",
    "מחר בבוקר נלך לשוק לקנות ירקות טריים.",
    "कल सुबह हम बाज़ार से ताज़ी सब्ज़ियाँ खरीदेंगे।",
    "明天早上我们去公园散步，然后喝茶。",
    "図書館は何時に閉まりますか？",
    "내일은 비가 올 것 같으니 우산을 가져가세요.",
    "พรุ่งนี้เช้าเราจะไปตลาดน้ำด้วยกัน",
    "Yarın sabah erkenden vapurla adaya gideceğiz.",
    "Ngày mai chúng tôi sẽ đi chợ mua hoa.",
)


def neutral(max_tokens: int) -> list[str]:
    """The texts: from one letter to one longer than `max_tokens`, whatever the tokenizer."""
    sentences = PARAGRAPH.split(". ")
    growing = [". ".join(sentences[: count + 1]) for count in range(len(sentences))]
    # No tokenizer makes fewer tokens than words of several texts joined by blanks.
    longest = " ".join([PARAGRAPH] * (1 + max_tokens // len(PARAGRAPH.split())))
    return [*SHORT, *SCRIPTS, *growing, f"{PARAGRAPH} " * 2, longest]
