"""The debug report, and the tables and charts that it shares with the notebooks."""
