"""What models wrote, as a page lets one read it: candidates, comparisons, the judge's scores beside people's ranks.

Read from the artifacts, sampled evenly where there is more than opens quickly, and packed.
"""
