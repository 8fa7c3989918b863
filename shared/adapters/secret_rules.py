"""What a secret's name and value may be, alike in every adapter. Must not quote a value, nor part of one."""

import re

from shared.domain.kernel.errors import Invalid

VALUE_BYTES = 25 * 1024
"""As Key Vault's."""
_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")


def check_name(name: str) -> None:
    """Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid("A secret's name is 1 to 127 letters, digits and dashes; choose another name.")


def checked_value(value: str) -> bytes:
    """The value as it is kept. Raises Invalid."""
    try:
        plain = value.encode()
    except UnicodeEncodeError:  # its own text would quote the value
        raise Invalid("A secret's value must be proper Unicode text.") from None
    if len(plain) > VALUE_BYTES:
        raise Invalid(f"A secret's value may have at most {VALUE_BYTES} bytes; keep larger things elsewhere.")
    return plain
