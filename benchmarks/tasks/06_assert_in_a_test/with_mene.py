# run: pytest with_mene.py
def test_opening_hours(expect):
    expect("It opens at nine.", holds=["faithfulness"], context="The shop opens at nine.")
