"""What `git archive` makes of a commit, as GitHub hands it out."""

import io
import tarfile

from tests.standins.github.repository import Hosted


def archived(hosted: Hosted, sha: str) -> bytes:
    """Without what .gitattributes marks as export-ignore, by exact path."""
    tree = hosted.tree(sha)
    listed = [row for row in hosted.entries(tree, recursive=True) if row[1] != 0o160000]
    contents = {path: hosted.content(blob) for path, mode, blob in listed if mode != 0o040000}
    lines = contents.get(".gitattributes", b"").decode().splitlines()
    ignored = {line.split()[0] for line in lines if "export-ignore" in line.split()[1:]}
    file = io.BytesIO()
    top = f"{hosted.organization}-{hosted.name}-{sha[:7]}"
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for path, mode, _ in listed:
            if path in ignored:
                continue
            member = tarfile.TarInfo(f"{top}/{path}")
            member.mode = 0o775 if mode in {0o100755, 0o040000} else 0o664
            if mode == 0o040000:
                member.type = tarfile.DIRTYPE
                archive.addfile(member)
            elif mode == 0o120000:
                member.type, member.linkname = tarfile.SYMTYPE, contents[path].decode()
                archive.addfile(member)
            else:
                member.size = len(contents[path])
                archive.addfile(member, io.BytesIO(contents[path]))
    return file.getvalue()
