from support.pairs import pairs, tree, write_pair  # noqa: F401
