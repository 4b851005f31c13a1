"""How Kubernetes reads `$` in commands and environment values.

Source: kubernetes.io, "Define Dependent Environment Variables": `$(NAME)` is replaced by a variable defined before,
`$$` is a dollar, anything else stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$\$|\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)")


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """`text` as the container sees it; a reference to nothing is left as it is."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else environment.get(found[1], found[0])

    return _REFERENCE.sub(value, text)
