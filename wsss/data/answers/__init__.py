"""People's answers to yes/no questions about tiles or whole images, which need no masks."""
