"""Damage in a JPEG file that decoders pass over without a word, by its markers (ITU-T T.81, B.1)."""

SCAN = 0xDA
LAST = 0xD9
ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a length: TEM, restarts, start and end of the image
MAY_FOLLOW = {
    0xC4,
    0xCC,
    0xDA,
    0xDB,
    0xDC,
    0xDD,
    0xFE,
    *range(0xE0, 0xF0),
}  # between scans, beside restarts and the end


def jpeg_damage(content: bytes) -> str | None:
    """What is wrong with the markers of a JPEG file, or None. What lies behind its end doesn't matter.

    Compressed data hold no byte FF but before 00 or a restart: any other marker among them was not written there.
    Damage that happens to make no such byte is not seen.
    """
    at = 2
    while at + 4 <= len(content):
        if content[at] != 0xFF:
            return "no marker where one should be"
        kind = content[at + 1]
        if kind == 0xFF:  # fill
            at += 1
            continue
        if kind == LAST:
            return None
        at += 2 if kind in ALONE else 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if kind == SCAN:
            at = _end_of_scan(content, at)
            if at >= 0 and content[at + 1] not in MAY_FOLLOW | {LAST}:
                return f"marker {content[at + 1]:02X} among compressed data"
            if at < 0:
                return "no end"
    return None if content[at : at + 2] == b"\xff\xd9" else "no end"


def _end_of_scan(content: bytes, at: int) -> int:
    """Where the next marker but restarts stands, -1 where none does."""
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        following = content[at + 1]
        if following == 0xFF:
            at += 1
        elif following == 0 or 0xD0 <= following <= 0xD7:
            at += 2
        else:
            return at
    return -1
