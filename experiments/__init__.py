"""Long runs whose tables the book prints: `python -m experiments.NAME` writes `experiments/results/NAME.csv`."""
