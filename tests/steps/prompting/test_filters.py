"""What is cut out of a completion, and why a text is dropped."""

import pytest
from selfreward_steps.contract import PromptSettings
from selfreward_steps.prompting.filters import Draft, Pool, Rejection, new_prompt, rejection


@pytest.mark.parametrize(
    ("completion", "prompt"),
    [
        ("Explain why the sky is blue.", "Explain why the sky is blue."),
        ("  \n Explain why.\n ", "Explain why."),
        ("Task 9: Explain why.", "Explain why."),
        ("\n\nTask 9: Explain why.\n\nTask 10: Sing.", "Explain why."),
        ("**Task 9:** Explain why.", "Explain why."),
        ("Task: Explain why.", "Explain why."),
        ("New task: Explain why.", "Explain why."),
        ("Instruction: Explain why.", "Explain why."),
        ("9. Explain why.", "Explain why."),
        ("1) Explain why.", "Explain why."),
        ("Sure! Here is a new task for the assistant:\n\nExplain why.", "Explain why."),
        ("Here's one:\nExplain why.", "Explain why."),
        ('"Explain why."', "Explain why."),
        ("“Explain why.”", "Explain why."),
        ("**Explain why.**", "**Explain why.**"),
        ('"Yes" and "no"', '"Yes" and "no"'),
        ("Sort this list:\n1. pear\n2. apple", "Sort this list:\n1. pear\n2. apple"),
        ("Here is a list of words: pear, apple. Sort them.", "Here is a list of words: pear, apple. Sort them."),
        ("Write a task: list for my week", "Write a task: list for my week"),
        ("3 apples and 4 pears are how many?", "3 apples and 4 pears are how many?"),
        ("I'll create a new task for you. Here it is:\nExplain why.", "Explain why."),
        ("1. Explain why.\n2. Explain how.\n3. Expl", "Explain why."),
        ("Here are some tasks:\n\n1. Explain why.\n\nThis is a task that needs patience.", "Explain why."),
        ("Task 1: Explain why.\n\nI'm an AI designed to assist users.", "Explain why."),
        ("Task 1: How much is 3 + 4?\n\nA: 7\nA: 7", "How much is 3 + 4?"),
        ("Explain why.\nAnswer: because.", "Explain why."),
        ("I'll be in Rome for a day. What should I see?", "I'll be in Rome for a day. What should I see?"),
        ("I'm ill. Draft a message to my boss.", "I'm ill. Draft a message to my boss."),
        ("", ""),
        ("Task 9:", "Task 9:"),
        ("Task 9：解释天空为什么是蓝色的。", "解释天空为什么是蓝色的。"),
        ("1、解释天空为什么是蓝色的。\n2、唱歌。", "解释天空为什么是蓝色的。"),
        ("「空が青い理由を説明してください。」", "空が青い理由を説明してください。"),
        ("«Explique pourquoi le ciel est bleu.»", "Explique pourquoi le ciel est bleu."),
    ],
)
def test_one_prompt_of_a_completion(completion: str, prompt: str) -> None:
    assert new_prompt(completion).text == prompt


POOL = Pool()
POOL.add("Write a short poem about the sea.")


@pytest.mark.parametrize(
    ("prompt", "cut_off", "reason"),
    [
        ("Explain how bread is made at home.", False, None),
        ("", False, Rejection.EMPTY),
        ("Explain how bread is", True, Rejection.CUT_OFF),
        ("Explain this now", False, Rejection.TOO_SHORT),
        ("Explain this right now", False, None),
        ("word " * 150, False, None),
        ("word " * 151, False, Rejection.TOO_LONG),
        ("- explain how bread is made", False, Rejection.PUNCTUATION),
        ("🙂 explain how bread is made", False, Rejection.PUNCTUATION),
        ("。请写一首关于大海和风的短诗", False, Rejection.PUNCTUATION),
        ("Écris un poème sur la mer", False, None),
        ("¿Cómo se prepara una tortilla sin cebolla?", False, None),
        ("Напиши короткое стихотворение о море и ветре.", False, None),
        ("请写一首关于大海和风的短诗，不超过四行。", False, None),
        ("海と風についての短い詩を書いてください。", False, None),
        ("เขียนบทกวีสั้นๆ เกี่ยวกับทะเลและสายลม", False, None),
        ("바다와 바람에 대한 짧은 시를 써 주세요.", False, None),
        ("समुद्र और हवा पर एक छोटी कविता लिखो।", False, None),
        ("اكتب قصيدة قصيرة عن البحر والريح.", False, None),
        ("你好", False, Rejection.TOO_SHORT),
        ("สวัสดี", False, Rejection.TOO_SHORT),
        ("写" * 225, False, None),
        ("写" * 226, False, Rejection.TOO_LONG),
        ("เขียน" * 200, False, Rejection.TOO_LONG),
        ("The task is on another subject than those above.", False, Rejection.TALK),
        ("I'm ready to help. What is the task?", False, Rejection.TALK),
        ("This is a challenge for a writer.", False, Rejection.TALK),
        ("This is my letter. Make it polite.", False, None),
        ("Describe what is in this image please", False, Rejection.KEYWORD),
        ("Open the Files and count them", False, Rejection.KEYWORD),
        ("Describe what a profile of a client is", False, None),
        ("write a short   poem about the SEA.", False, Rejection.DUPLICATE),
        ("Write a short poem about the old sea.", False, Rejection.SIMILAR),
    ],
)
def test_why_a_text_is_dropped(prompt: str, cut_off: bool, reason: Rejection | None) -> None:
    assert rejection(Draft(prompt.strip(), cut_off), settings=PromptSettings(), pool=POOL) == reason


def test_the_settings_move_the_limits() -> None:
    settings = PromptSettings(min_words=2, max_words=3, rouge_l_max=1)
    assert rejection(Draft("Explain this"), settings=settings, pool=POOL) is None
    assert rejection(Draft("Explain this right now"), settings=settings, pool=POOL) is Rejection.TOO_LONG
    near = Draft("Write a short poem about the old sea.")
    assert rejection(near, settings=PromptSettings(rouge_l_max=1), pool=POOL) is None


def test_a_prompt_that_is_twice_in_the_data_counts_once() -> None:
    pool = Pool()
    pool.add("One and two.")
    pool.add("one AND two.")
    assert len(pool) == 1


@pytest.mark.parametrize(
    ("completion", "whole"),
    [
        ("Explain why the", False),
        ("1. Explain why the", False),
        ("1. Explain why.\n2. Expl", True),
        ("Explain why.\n\nTask 2: Expl", True),
        ("Explain why.\nA: Becau", True),
    ],
)
def test_what_is_followed_by_something_was_not_cut_off(completion: str, whole: bool) -> None:
    assert new_prompt(completion, cut_off=True).cut_off is not whole
    assert new_prompt(completion, cut_off=False).cut_off is False


@pytest.mark.parametrize(
    ("known", "near", "other"),
    [
        ("5 способов сварить яйцо всмятку на завтрак", "5 способов сварить яйцо вкрутую на завтрак",
         "5 причин полюбить долгую холодную зиму"),
        ("请写一首关于大海和风的短诗，不超过四行。", "请写一首关于大海和雨的短诗，不超过四行。",
         "解释一下天空为什么是蓝色的，不超过四行。"),
        ("เขียนบทกวีสั้นเกี่ยวกับทะเลและสายลม", "เขียนบทกวีสั้นเกี่ยวกับทะเลและสายฝน",
         "อธิบายว่าทำไมท้องฟ้าจึงเป็นสีฟ้า"),
        ("समुद्र और हवा पर एक छोटी कविता लिखो", "समुद्र और पहाड़ पर एक छोटी कविता लिखो",
         "बताओ कि आकाश नीला क्यों दिखाई देता है"),
    ],
    ids=["russian", "chinese", "thai", "hindi"],
)  # fmt: skip
def test_similarity_is_of_words_in_any_language(known: str, near: str, other: str) -> None:
    pool = Pool()
    pool.add(known)
    assert rejection(Draft(near), settings=PromptSettings(), pool=pool) is Rejection.SIMILAR
    assert rejection(Draft(other), settings=PromptSettings(), pool=pool) is None
