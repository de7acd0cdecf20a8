"""Versions of models: the gate that decides, the ledger that remembers, and MLflow as their projection."""
