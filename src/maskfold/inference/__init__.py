"""Prediction of whole images: views, sliding windows, merging, decoding."""
