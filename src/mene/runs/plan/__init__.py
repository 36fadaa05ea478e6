"""Forecasting time and cost of judging many rows, from some measured rows and stated assumptions."""
