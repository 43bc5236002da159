"""The API's schemas, problems and validation rules, shared by the registry and its clients."""


class ValidatorDeferral:
    """Whether schemas that are imported from now on build their validators at their first use. Pydantic's default: no.

    A command that prints a list uses three of the hundred schemas that its imports define. The server builds all at its
    start, so that no request waits for it; programs with threads do too, since older releases of pydantic build a
    validator twice at once in two threads.
    """

    is_on = False
