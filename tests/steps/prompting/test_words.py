"""Words and lengths of texts in any language."""

import pytest
from selfreward_steps.prompting.words import length_in_words, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop: 3x!", ["don", "t", "stop", "3x"]),
        ("Über naïve Cafés", ["über", "naïve", "cafés"]),
        ("cafe\u0301", ["café"]),
        ("Короткое стихотворение", ["короткое", "стихотворение"]),
        ("写 Python 程序。", ["写", "python", "程", "序"]),
        ("Python程序", ["python", "程", "序"]),
        ("छोटी कविता", ["छोटी", "कविता"]),
        ("ทะเล", ["ท", "ะ", "เ", "ล"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("٣ أسباب", ["٣", "أسباب"]),
        ("— … !", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("Don't stop - now", 4),
        ("Напиши стихи о море.", 4),
        ("짧은 시를 써 주세요.", 4),
        ("请写一首短诗。", 4),
        ("用 Python 写一个程序。", 5),
        ("ทะเลสีฟ้า", 2),
        ("", 0),
    ],
)
def test_lengths(text: str, length: int) -> None:
    assert length_in_words(text) == length
