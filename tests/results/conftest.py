from support.results import boxes, chest, make_result  # noqa: F401
