"""The one exception for bad input; everything else that is raised is a defect."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what was expected, what came and what to do."""
