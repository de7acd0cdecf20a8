"""What a retraining needs beside DVC's stages: a reason, programs that end with their starter, a record of it all."""
