"""A chat history becomes training data: reply pairs, variants, splits."""
