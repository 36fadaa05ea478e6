"""Verdicts as OpenTelemetry events, and spans of language models judged as they end.

    from mene.integrations.otel import JudgeSpans, record

The names of events and attributes are those of the semantic conventions for generative AI
(``open-telemetry/semantic-conventions-genai``), which are still in development.
"""

from mene.integrations.otel.events import parent_of, record
from mene.integrations.otel.spans import JudgeSpans, sample_of

__all__ = ["JudgeSpans", "parent_of", "record", "sample_of"]
