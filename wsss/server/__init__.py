"""Local web pages, served on the loopback interface; needs the extra ``wsss[ask]``."""
