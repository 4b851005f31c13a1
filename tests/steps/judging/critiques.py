"""Critiques as judges write them, each with the score (of 0 to 5) that a person reads in it; None where nobody could.

Written for these tests, in the manner of models of many families and sizes: what they get right is the layout of the
last lines, which differs more between models than what they say.
"""

from __future__ import annotations

CRITIQUES: dict[str, tuple[str, float | None]] = {
    "as asked": (
        "The response names the right river and its length, and gives the source of both. It leaves out the delta, "
        "which was asked for, so one point is missing.\n\nScore: 4",
        4,
    ),
    "bold label": ("It is short but answers what was asked, in plain words.\n\n**Score:** 3", 3),
    "bold line with scale": ("Accurate, friendly and complete.\n\n**Score: 5/5**", 5),
    "heading": (
        "### Assessment\n\nThe steps are in the right order, yet the second one is missing a unit.\n\n"
        "### Final Score\n\n4/5",
        4,
    ),
    "score first, then points as a list": (
        "Score: 4\n- 1 point for relevance: it stays on soil and water.\n- 1 point for covering most of the question.\n"
        "- 1 point for being usable.\n- 1 point for its tone.\n- 0 points for the last criterion.",
        4,
    ),
    "score first, then a numbered list": (
        "**Score:** 3\n\n1. Relevant to the question.\n2. Covers the main part.\n3. Useful, but has no example.",
        3,
    ),
    "a list, and no score": (
        "Score:\n\n1. The response is relevant.\n2. It covers half of the question.\n3. It is not organised.",
        None,
    ),
    "label on one line, number on the next": ("A good start that misses the second question.\n\nScore:\n**2**", 2),
    "label on one line, number with scale on the next": ("Nothing to add.\n\n**Score**:\n\n5 out of 5\n", 5),
    "sum with reasons": (
        "Score: 1 (relevant) + 1 (covers most of it) + 1 (useful to a beginner) + 0 (no assistant's tone) = 3",
        3,
    ),
    "sum in words": ("Score: 1 point for relevance + 1 point for coverage = 2 points", 2),
    "sum in bold": ("Adding up the five criteria:\n\nScore: 1 + 1 + 1 + 1 + 0 = **4**", 4),
    "sum in brackets after the score": ("All criteria but the last are met.\n\nScore: 4 (1 + 1 + 1 + 1 + 0)", 4),
    "sum without its total": ("Relevant, substantial, useful.\n\nScore: 1 + 1 + 1", None),
    "deduction": ("Everything is there, but it is three times too long.\n\nScore: 5 - 1 = 4", 4),
    "points in a table": (
        "| Criterion | Points |\n| --- | --- |\n| Relevance | 1 |\n| Coverage | 1 |\n| Usefulness | 1 |\n| Score | 3 |",
        3,
    ),
    "out of another scale": ("A solid answer that a teacher would accept.\n\nScore: 8/10", None),
    "out of another scale in brackets": ("It does what was asked and little else.\n\nScore: 4 (out of 10)", None),
    "out of the scale in brackets": ("Right, if dry.\n\nScore: 4 (out of 5)", 4),
    "N of M": ("Most of the criteria are met.\n\nScore: 4 of 5", 4),
    "in words": ("The poem scans and rhymes, and keeps to the subject.\n\nScore: four out of five", 4),
    "percentage": ("The response covers most of it.\n\nScore: 80%", None),
    "percentage beside the score": ("The response covers most of it.\n\nScore: 4/5 (80%)", 4),
    "range": ("Depending on the reader this is helpful or very helpful.\n\nScore: 3-4", None),
    "half points": ("Between useful and excellent.\n\nScore: 3.5/5", 3.5),
    "full width": ("回答清楚，步骤完整，只是没有举例。\n\nScore：４", 4),
    "Chinese label": ("回答切题，内容准确，但缺少最后一步。\n\n评分：4分", 4),
    "JSON": ('```json\n{"reason": "It names both causes.", "score": 4}\n```', 4),
    "XML": ("<critique>\nShort and right.\n</critique>\n<score>4</score>", 4),
    "LaTeX": ("The derivation holds.\n\nScore: $\\boxed{5}$", 5),
    "judge model": ("Feedback: the answer addresses the question but cites nothing. [RESULT] 3", 3),
    "capitals": ("CLEAR, COMPLETE, CORRECT.\n\nSCORE: 5", 5),
    "total points": ("Relevant: yes. Substantial: yes. The rest: no.\n\nTotal points: 2", 2),
    "criteria with scores of their own": (
        "Relevance score: 1\nCoverage score: 1\nUsefulness score: 1\nTotal score: 3\n\nIt would help a beginner.",
        3,
    ),
    "in a sentence": (
        "The response explains why leaves change colour. I would give it 4 out of 5 points, as it says nothing of "
        "evergreens.",
        4,
    ),
    "in a sentence, with what is missing": (
        "This deserves a score of 4. To reach a score of 5 it would have to give an example.",
        4,
    ),
    "only what it does not deserve": ("It is friendly. It is not worth a score of 5, though.", None),
    "changes its mind": (
        "At first sight the dates are right. Score: 4\n\nThe second date is wrong, however.\n\nScore: 2",
        2,
    ),
    "changes its mind to nothing readable": ("Well written.\nScore: 4\n\nNo, that is too much. Score: 9", None),
    "says the form again": (
        'Score: 3\n\nI concluded with the score in the format "Score: <total points>", as you asked.',
        3,
    ),
    "the form and nothing else": ("The response is fine.\n\nScore: <total points>", None),
    "polite ending": (
        "Thank you for the question! The response is warm and to the point.\n\nScore: 5! Let me know if you want more.",
        5,
    ),
    "goes on after the score": (
        "Score: 2\n\nUser: What is the capital of the second country?\n\nThe response gives 3 capitals of 10.",
        2,
    ),
    "arithmetic of the answer": ("It adds up wrongly.\n\nScore: 1, since 2 + 3 = 5 and not 6", 1),
    "number alone": ("4", 4),
    "stars": ("Pleasant to read.\n\nScore: 4 stars", 4),
    "praise without a number": ("An excellent response, without anything superfluous. Score: very high", None),
}
