"""Makes evaluation/tests/data/classify.json: vectors, and what scikit-learn says of them.

    pip install scikit-learn    (made with 1.9.1)
    python classify_cases.py evaluation/tests/data/classify.json

Vectors are rounded to two decimals, so that the file holds exactly what scikit-learn was given.
"""

import json
import sys

import numpy as np
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics import r2_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import Normalizer, StandardScaler

TEMPERATURE = 0.07


def main():
    rng = np.random.default_rng(11)
    centres = rng.normal(0, 1, (4, 6))

    def draw(count):
        labels = rng.integers(0, 4, count)
        rows = centres[labels] + rng.normal(0, 0.9, (count, 6))
        rows[:, 5] = 3.0  # a feature that is constant
        return np.round(rows, 2), labels

    (train, train_labels), (test, test_labels) = draw(90), draw(70)
    cosine = Normalizer().fit(train)

    def votes(distances):
        # Squared distances of unit vectors are 2 - 2 cosine.
        return np.exp((1 - distances**2 / 2) / TEMPERATURE)

    knn = {}
    for k in (1, 5, 20):
        model = KNeighborsClassifier(k, weights=votes).fit(cosine.transform(train), train_labels)
        knn[k] = model.predict(cosine.transform(test)).tolist()

    scaled = StandardScaler().fit(train)
    penalty = 0.01
    classifier = RidgeClassifier(alpha=penalty * len(train))
    classifier.fit(scaled.transform(train), train_labels)
    scores = classifier.decision_function(scaled.transform(test))
    targets = np.round(train @ rng.normal(0, 1, (6, 2)) + rng.normal(0, 0.5, (90, 2)), 3)
    regression = Ridge(alpha=penalty * len(train)).fit(scaled.transform(train), targets)
    # R² for each penalty that may be chosen.
    known = np.round(train[:, :1] + rng.normal(0, 0.3, (90, 1)), 3)
    truth = np.round(test[:, :1] + rng.normal(0, 0.3, (70, 1)), 3)
    scores_of = {}
    for it in (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0):
        fit = Ridge(alpha=it * len(train)).fit(scaled.transform(train), known)
        scores_of[it] = r2_score(truth, fit.predict(scaled.transform(test)))
    case = {
        "train": train.tolist(), "train_labels": train_labels.tolist(),
        "test": test.tolist(), "test_labels": test_labels.tolist(),
        "knn": knn, "penalty": penalty,
        "ridge_scores": scores.tolist(), "targets": targets.tolist(),
        "regression": regression.predict(scaled.transform(test)).tolist(),
        "r2": {"known": known.tolist(), "truth": truth.tolist(), "scores": list(scores_of.values())},
    }
    with open(sys.argv[1], "w") as file:
        json.dump(case, file)


main()
