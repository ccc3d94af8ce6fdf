"""Make the example files: logits and labels of a real classifier on handwritten digits it has not seen.

Promises: logistic regression trained on one half of scikit-learn's digits (fixed split, no other randomness), its
logits on the other half as float32, and the labels as uint8, row for row. It checks that the logits are those the
classifier's own probabilities come from. Leaves what to do with them to the reader.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import tempsoft


def main() -> None:
    """Train, check and write the two files beside this script."""
    pixels, digits = load_digits(return_X_y=True)
    train, test, train_labels, labels = train_test_split(pixels, digits, test_size=0.5, stratify=digits, random_state=0)
    # Pixels stay 0..16 and the penalty at its default: the classifier is then overconfident, as trained networks
    # often are, so a temperature above 1 has something to mend.
    # This solver, run to the end, gives the same float32 logits whatever the linear algebra library and its threads.
    classifier = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit(train, train_labels)
    logits = classifier.decision_function(test).astype(np.float32)
    np.testing.assert_array_equal(classifier.classes_, np.arange(10))  # so a category is its digit
    np.testing.assert_allclose(tempsoft.softmax(logits), classifier.predict_proba(test), rtol=1e-4, atol=1e-7)

    here = Path(__file__).parent
    np.save(here / "digits_logits.npy", logits)
    np.save(here / "digits_labels.npy", labels.astype(np.uint8))

    right = np.arange(len(labels)), labels
    print(f"numpy {np.__version__}, scikit-learn {sklearn.__version__}")
    print(f"{len(labels)} rows, held-out accuracy {np.mean(logits.argmax(axis=1) == labels):.4f}")
    for temperature in (0.5, 1.0, 1.5, 2.0, 4.0):
        loss = -np.mean(tempsoft.log_softmax(logits, temperature)[right])
        print(f"temperature {temperature}: mean negative log-likelihood {loss:.4f} nats")


if __name__ == "__main__":
    main()
