mene judge agents.jsonl -c tool-call-correctness -c goal-completion
