"""Losses of a batch of pairs of views: one file each."""
