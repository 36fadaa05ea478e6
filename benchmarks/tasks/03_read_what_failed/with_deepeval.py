import json

run = json.load(open(".deepeval/.latest_run_full.json"))  # as task 1 writes it
cases = [
    (m["score"], c["actualOutput"], m["reason"]) for c in run["testCases"] for m in c["metricsData"]
]
for case in sorted(cases, key=lambda case: case[0]):
    print(*case)
