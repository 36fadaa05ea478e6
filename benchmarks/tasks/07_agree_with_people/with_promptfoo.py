# run: promptfoo eval -c 01.yaml -o results.json; python with_promptfoo.py
import json
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

results = json.load(open("results.json"))["results"]["results"]
golds = [r["vars"]["label"] for r in results]
labels = ["Yes" if r["success"] else "No" for r in results]
right = sum(gold == label for gold, label in zip(golds, labels))
print(balanced_accuracy_score(golds, labels), cohen_kappa_score(golds, labels))
print(right, "of", len(golds), binomtest(right, len(golds)).proportion_ci())
