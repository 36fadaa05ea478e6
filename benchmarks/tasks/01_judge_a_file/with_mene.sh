mene judge rows.jsonl -c faithfulness
