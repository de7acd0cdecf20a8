"""What a retraining needs besides DVC's stages: a reason, programs that end with their starter, a record of it all."""
