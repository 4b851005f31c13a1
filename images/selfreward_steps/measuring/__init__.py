"""Statistics of scores and rankings: intervals, histograms, and how good a judge is."""
