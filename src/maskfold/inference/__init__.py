"""Prediction: views, sliding windows, merging, post-processing, tuning and submissions."""
