"""Turns a chat history into training data: reply pairs, variants, splits."""
