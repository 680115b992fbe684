"""Answers of people to yes/no questions about tiles or whole images, which need no masks."""
