mene judge before.jsonl -c faithfulness
mene judge after.jsonl -c faithfulness
mene compare before.verdicts.jsonl after.verdicts.jsonl -o changes.html
