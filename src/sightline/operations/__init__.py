"""What goes on around finished models: data coming in, predictions, serving, drift, retraining, pages."""
