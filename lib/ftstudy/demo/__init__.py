"""The built-in demo: real conversations of one texter, and a small chat model."""
