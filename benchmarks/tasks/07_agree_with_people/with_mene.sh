mene align labelled.jsonl -c faithfulness
