"""The compiled core: padded images, keys, filtrations, union-find."""
