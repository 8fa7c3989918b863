"""`multipart/form-data` (RFC 7578), as package managers upload: whole parts in memory, read strictly."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser

from functions.http.media import parse_media_type
from shared.domain.kernel.errors import Invalid

FORM = ("multipart/form-data",)
MAX_PARTS = 200
_MAX_HEAD = 8 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """One field of the form. `file_name` is there where the field is a file."""

    name: str
    file_name: str | None
    content: bytes

    @property
    def text(self) -> str:
        """Raises Invalid where the field is no text."""
        try:
            return self.content.decode()
        except UnicodeDecodeError:
            raise Invalid(f"The field {self.name[:80]!r} of the form is not UTF-8.") from None


def parts_of(content_type: str, body: bytes) -> Sequence[Part]:
    """The parts in their order. Raises Invalid with a sentence for what is no such form."""
    boundary = parse_media_type(content_type)[1].get("boundary", "")
    if not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Invalid("The Content-Type of the form has to name its boundary.")
    # What stands before the first boundary is a preamble, which nobody reads; so the first one is made alike.
    _, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    if not pieces or not pieces[-1].startswith(b"--"):
        raise Invalid("The form is cut off: its last boundary is missing. Send it again.")
    if len(pieces) > MAX_PARTS:
        raise Invalid(f"The form has more than {MAX_PARTS} fields.")
    return [_part(piece) for piece in pieces[:-1]]


def _part(piece: bytes) -> Part:
    padding, _, rest = piece.partition(b"\r\n")
    head, ended, content = rest.partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not ended or len(head) > _MAX_HEAD:
        raise Invalid("A part of the form has no headers that can be read.")
    headers = HeaderParser().parsestr(head.decode("utf-8", "replace"))
    name = _parameter(headers, "name")
    if headers.get_content_disposition() != "form-data" or not name:
        raise Invalid("Every part of the form has to say `Content-Disposition: form-data` and its name.")
    return Part(name, headers.get_filename(), content)


def _parameter(headers: Message, name: str) -> str:
    found = headers.get_param(name, header="content-disposition")
    return found if isinstance(found, str) else ""
