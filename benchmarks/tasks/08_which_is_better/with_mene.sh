mene judge pairs.jsonl -c preference --compare both-orders
