"""Classical classifiers over features, fitted with scikit-learn: a head is a model as a network is."""

LEARNING_CURVE = "learning_curve.json"  # in the training report of a head
