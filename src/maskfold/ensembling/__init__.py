"""From the checkpoints of runs to a submission: out-of-fold maps, tuning, prediction of the test images."""
