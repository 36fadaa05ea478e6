mene report rows.verdicts.jsonl --data rows.jsonl
