"""Import of a judge template that the user keeps in a ConfigMap or a file: once, then the same for the whole run.

A template that changed half way would make the scores of two iterations incomparable, and the judge would be asked
otherwise than it was taught. So it is an artifact, and the steps that judge read that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from selfreward_steps.contract import TEMPLATE_VARIABLE, CustomTemplate, JudgeMode, JudgeSettings
from selfreward_steps.errors import PermanentError
from selfreward_steps.importing.sources import Place, in_users_words, locate
from selfreward_steps.judging.custom_template import FILE
from selfreward_steps.judging.templates import judge_template

_FIELD: Final = "judge.customTemplate"


def import_template(template: CustomTemplate, place: Place, folder: Path, mode: JudgeMode = JudgeMode.COT) -> Path:
    """Write the text into `folder`, made for it. Raises PermanentError BadTemplate when no judge could use it."""
    text = _text(template, place)
    own = template.model_copy(update={"text": text})
    judge_template(JudgeSettings(template="custom", custom_template=own, mode=mode))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, encoding="utf-8")
    return folder


def _text(template: CustomTemplate, place: Place) -> str:
    if template.uri is None:
        text = os.environ.get(TEMPLATE_VARIABLE, "")
        where = f"{_FIELD}.configMapRef"
    else:
        path = locate(template.uri, _FIELD, place)
        where = f"{_FIELD}.uri: {template.uri}"
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = in_users_words(str(error), {path: template.uri})
            raise PermanentError("BadTemplate", f"{where}: is no text file ({why}): name one in UTF-8") from error
    if not text.strip():
        raise PermanentError("BadTemplate", f"{where}: is empty: put the judge's prompt there")
    return text
