"""Who may be greeted, and how. Knows nothing of HTTP."""

LONGEST_NAME = 100


class BadName(ValueError):
    """The name cannot be greeted; the sentence says why."""


def greeting(name: str) -> str:
    """Raises BadName for a name that is blank, too long or not printable."""
    name = name.strip()
    if not name:
        raise BadName("Say whom to greet: /greetings/{name}.")
    if len(name) > LONGEST_NAME:
        raise BadName(f"A name has at most {LONGEST_NAME} characters.")
    if not name.isprintable():
        raise BadName("A name holds printable characters only.")
    return f"Hello, {name}!"
