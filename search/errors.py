"""What a user can get wrong: every class is a `SearchError`, itself a ValueError."""


class SearchError(ValueError):
    """A search cannot be run as asked, or cannot go on."""


class ConstraintError(SearchError):
    """A constraint is malformed, or no architecture meets it."""


class StoreError(SearchError):
    """A file is no store, belongs to another search space, or cannot be read or written."""
