"""Measure the rows of the speed table, one file each: ours and its peers on the same work, in turn."""
