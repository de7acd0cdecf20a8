"""Classical classifiers over features, fitted with scikit-learn: a head is a model as a network is."""
