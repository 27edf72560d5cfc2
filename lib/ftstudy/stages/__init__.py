"""A study as stages: its notebooks, in order, each run again only if what it reads has changed."""
