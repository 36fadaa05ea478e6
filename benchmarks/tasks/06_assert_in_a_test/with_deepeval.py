# run: deepeval test run with_deepeval.py
from deepeval import assert_test
from deepeval.metrics import FaithfulnessMetric
from deepeval.test_case import LLMTestCase


def test_opening_hours():
    case = LLMTestCase(
        input="When does it open?",
        actual_output="It opens at nine.",
        retrieval_context=["The shop opens at nine."],
    )
    assert_test(case, [FaithfulnessMetric()])
