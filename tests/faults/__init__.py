"""Proof of the audit: a matrix of injected faults, and clean runs on which it has to stay silent."""
