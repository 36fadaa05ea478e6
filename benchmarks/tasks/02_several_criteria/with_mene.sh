mene judge rows.jsonl -c faithfulness -c tone -c "Is the reply polite?" --wide table.csv
