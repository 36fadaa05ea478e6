# run: pytest with_mene.py
from mene.integrations.pytest import expect


def test_opening_hours():
    expect("It opens at nine.", holds=["faithfulness"], context="The shop opens at nine.")
