import csv

rows = list(csv.DictReader(open("scores.csv")))  # as task 2 writes it
for row in sorted(rows, key=lambda row: float(row["faithfulness"])):
    print(row["id"], row["faithfulness"], row["response"])
