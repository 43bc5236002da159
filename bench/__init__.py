"""``make bench``: ratios against named peers and limits, in one run on one machine."""
