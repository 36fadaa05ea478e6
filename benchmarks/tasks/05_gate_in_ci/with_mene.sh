mene judge rows.jsonl -c faithfulness --rule "faithfulness: share(Yes) >= 0.5"
