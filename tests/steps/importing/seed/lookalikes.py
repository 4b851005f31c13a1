"""Look-alikes of the field's most used datasets: their documented columns with rows of our own words.

`python tests/steps/importing/seed/lookalikes.py` prints docs/datasets.md, what is read of each.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from selfreward_steps.attempt.progress import ProgressReporter
from selfreward_steps.contract import ImportConfig
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.seed.datasets import import_seed
from selfreward_steps.importing.sources import Place

Row = Mapping[str, Any]
ROLES: Final = ("instructions", "rankings", "prompts")


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def said(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def tree(identifier: str, parent: str | None, role: str, text: str, rank: int | None = None) -> Row:
    return {"message_id": identifier, "parent_id": parent, "role": role, "text": text, "lang": "en", "rank": rank}


ASKED, ANSWERED, MORE = user("Name a river in Spain."), said("The Ebro."), user("How long is it?")
GOOD, BAD = said("About 930 km."), said("It is blue.")
DATASETS: Final[Mapping[str, Sequence[Row]]] = {
    "openbmb/UltraFeedback": [
        {"source": "own", "instruction": "Name a river.", "models": ["a", "b"], "correct_answers": ["None"],
         "completions": [{"model": "a", "response": "A rock.", "overall_score": 2.0, "critique": "No river."},
                         {"model": "b", "response": "The Ebro.", "overall_score": 8.5, "critique": "Right."}]},
    ],
    "HuggingFaceH4/ultrafeedback_binarized": [
        {"prompt": ASKED["content"], "prompt_id": "1", "chosen": [ASKED, ANSWERED], "rejected": [ASKED, BAD],
         "messages": [ASKED, ANSWERED], "score_chosen": 8.0, "score_rejected": 3.0},
        {"prompt": "Say hi.", "prompt_id": "2", "chosen": [user("Say hi."), said("Hi.")], "score_chosen": 7.0,
         "rejected": [user("Say hi."), said("Hello.")], "messages": [user("Say hi."), said("Hi.")],
         "score_rejected": 7.0},
    ],
    "nvidia/HelpSteer2": [
        {"prompt": "Name a river.", "response": text, "helpfulness": score, "correctness": score, "coherence": 4,
         "complexity": 1, "verbosity": 1} for text, score in (("The Ebro.", 4), ("A rock.", 0))
    ],
    "nvidia/HelpSteer2 (preference)": [
        {"split": "train", "prompt": f"Name river {strength}.", "response_1": "The Ebro.", "response_2": "A rock.",
         "preference_strength": strength, "preference_statement": None} for strength in (-2, 0)
    ],
    "nvidia/HelpSteer3": [
        {"domain": "general", "language": "english", "context": [ASKED, ANSWERED, MORE], "response1": BAD["content"],
         "response2": GOOD["content"], "overall_preference": 3, "individual_preference": []},
    ],
    "Anthropic/hh-rlhf": [
        {"chosen": "\n\nHuman: Name a river.\n\nAssistant: The Ebro.\n\nHuman: How long is it?\n\nAssistant: 930 km.",
         "rejected": "\n\nHuman: Name a river.\n\nAssistant: The Ebro.\n\nHuman: How long is it?\n\nAssistant: Blue."},
        {"chosen": "\n\nHuman: Say hi.\n\nAssistant: Hi.", "rejected": "\n\nHuman: Say hi.\n\nAssistant:"},
    ],
    "berkeley-nest/Nectar": [
        {"prompt": "\n\nHuman: Name a river.\n\nAssistant: The Ebro.\n\nHuman: How long is it?\n\nAssistant: ",
         "answers": [{"answer": "930 km.", "model": "a", "rank": 1.0}, {"answer": "Blue.", "model": "b", "rank": 2.0}],
         "turns": 2, "num_responses": 2, "source": ["own"], "good_natured": True},
    ],
    "Intel/orca_dpo_pairs": [
        {"system": "Be brief.", "question": "Name a river.", "chosen": "The Ebro.", "rejected": "A rock."},
    ],
    "argilla/distilabel-intel-orca-dpo-pairs": [
        {"system": "Be brief.", "input": text, "chosen": "The Ebro.", "rejected": "A rock.", "rating": [9.0, 1.0],
         "status": status, "chosen_score": 9.0} for text, status in (("Name a river.", "unchanged"), ("Why?", "tie"))
    ],
    "allenai/llama-3.1-tulu-3-8b-preference-mixture": [
        {"id": "1", "source": "own", "prompt": ASKED["content"], "chosen": [ASKED, ANSWERED], "rejected": [ASKED, BAD]},
    ],
    "mlabonne/orpo-dpo-mix-40k": [
        {"source": "own", "prompt": ASKED["content"], "question": ASKED["content"],
         "chosen": [ASKED, ANSWERED, MORE, GOOD], "rejected": [ASKED, ANSWERED, MORE, BAD]},
    ],
    "stanfordnlp/SHP": [
        {"post_id": post, "domain": "own", "history": f"Name a river, {post}.", "human_ref_A": "The Ebro.",
         "human_ref_B": worse, "labels": 1, "score_A": 9, "score_B": 1}
        for post, worse in (("one", "A rock."), ("one", "Blue."), ("two", "Salt."))
    ],
    "OpenAssistant/oasst1, oasst2": [
        tree("a", None, "prompter", "Name a river."), tree("b", "a", "assistant", "The Ebro.", 0),
        tree("c", "a", "assistant", "A rock.", 1), tree("d", "b", "prompter", "How long is it?"),
        {**tree("e", None, "prompter", "Nenne einen Fluss."), "lang": "de"},
    ],
    "allenai/WildChat": [
        {"conversation_hash": "1", "model": "own", "turn": 2, "language": "English", "toxic": False,
         "conversation": [{**each, "language": "English", "toxic": False} for each in (ASKED, ANSWERED, MORE, GOOD)]},
    ],
    "HuggingFaceH4/no_robots": [
        {"prompt": ASKED["content"], "prompt_id": "1", "category": "Open QA",
         "messages": [{"role": "system", "content": "Be brief."}, ASKED, ANSWERED]},
    ],
    "GAIR/lima": [
        {"conversations": [ASKED["content"], ANSWERED["content"]], "source": "own"},
        {"conversations": [each["content"] for each in (ASKED, ANSWERED, MORE, GOOD)], "source": "multi_turn"},
    ],
    "databricks/databricks-dolly-15k": [
        {"instruction": "How long is the Ebro?", "context": "The Ebro is 930 km long.", "response": "930 km.",
         "category": "closed_qa"},
    ],
    "LDJnr/Capybara": [
        {"source": "own", "conversation": [{"input": ASKED["content"], "output": ANSWERED["content"]},
                                           {"input": MORE["content"], "output": GOOD["content"]}]},
    ],
    "Magpie-Align/Magpie-Pro-300K-Filtered": [
        {"uuid": "1", "instruction": ASKED["content"], "response": ANSWERED["content"],
         "conversations": [{"from": "human", "value": ASKED["content"]},
                           {"from": "gpt", "value": ANSWERED["content"]}]},
    ],
    "teknium/OpenHermes-2.5": [
        {"source": "own", "system_prompt": None, "custom_instruction": None, "conversations": [
            {"from": "system", "value": "Be brief.", "weight": None}, {"from": "human", "value": ASKED["content"]},
            {"from": "gpt", "value": ANSWERED["content"]}]},
    ],
    "Open-Orca/OpenOrca": [
        {"id": "own.1", "system_prompt": "Be brief.", "question": "Name a river.", "response": "The Ebro."},
    ],
    "HuggingFaceTB/smoltalk": [{"messages": [ASKED, ANSWERED, MORE, GOOD], "source": "own"}],
    "tatsu-lab/alpaca": [{"instruction": "Name a river in:", "input": "Spain", "output": "The Ebro.", "text": "…"}],
}  # fmt: skip


def outcome(role: str, rows: Sequence[Row]) -> str:
    """What an import as `role` keeps of `rows` and counts; `refused` when it finds no columns that it knows."""
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "rows.jsonl", Path(folder) / "seed"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        source = {"uri": path.as_uri()}
        chosen = {"promptsSource": {"source": source}} if role == "prompts" else {"seedData": {role: source}}
        config = ImportConfig.model_validate(
            {"run": "r", "store": {"uri": "file:///nowhere"}, "output": "seed", "models": [], **chosen}
        )
        try:
            told = import_seed(config, Place(Path(folder), ProgressReporter(enabled=False)), out, {})
        except PermanentError as error:
            return "refused" if "found columns" in str(error) else str(error)
        kept = [json.loads(line) for line in (out / f"{role}.jsonl").read_text(encoding="utf-8").splitlines()]
    counts = told["counts"]
    assert isinstance(counts, dict)
    left = [f"{count} {name[len(role) + 1 :].replace('_', ' ')}" for name, count in counts.items() if name != role]
    return ", ".join([f"{len(kept)} kept{_conversation(kept)}", *left])


def _conversation(kept: Sequence[Row]) -> str:
    """The turns of the longest conversation and whether there is a system message, where rows have messages."""
    chats = [row["messages"] for row in kept if "messages" in row]
    turns = max((sum(each["role"] != "system" for each in chat) for chat in chats), default=1)
    system = any(each["role"] == "system" for chat in chats for each in chat)
    words = [f"{turns} turns"] * (turns > 1) + ["system"] * system
    return f" ({', '.join(words)})" if words else ""


def as_markdown() -> str:
    """docs/datasets.md."""
    lines = [
        "# Datasets",
        "",
        "What is read of the field's most used datasets, as `seedData.instructions`, as `seedData.rankings` and as",
        "`prompts.source`. Each cell is what the import did with a look-alike of a few rows: the documented columns,",
        "our words. Of the rows kept, it says the turns of the longest conversation (for rankings, those before the",
        "answers) and whether there is a system message; what follows is counted in the manifest, in the words of",
        "[Method](method.md#instructions). *refused* is one line: the columns found and those expected. Generated.",
        "",
        "| dataset | rows | instructions | rankings | prompts |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {name} | {len(rows)} | {' | '.join(outcome(role, rows) for role in ROLES)} |"
              for name, rows in DATASETS.items()]  # fmt: skip
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_markdown())
