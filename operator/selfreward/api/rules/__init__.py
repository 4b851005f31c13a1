"""Rules that one field's schema cannot say, written once, in CEL.

The API server enforces them from the CRD; on one machine :func:`violations` evaluates the very same
expressions, so that `selfreward validate` and `kubectl apply` agree. Expressions see what the API server sees:
camelCase names, defaults filled in, absent values absent.
"""

from __future__ import annotations

from selfreward.api.rules.evaluation import RULES, Violation, violations
from selfreward.api.rules.rule import Rule
from selfreward.api.rules.spec import DATA_SOURCES, MODEL_SOURCES

__all__ = ["DATA_SOURCES", "MODEL_SOURCES", "RULES", "Rule", "Violation", "violations"]
