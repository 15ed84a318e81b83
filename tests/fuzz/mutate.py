"""From sound inputs to others: bytes that are changed, cut, repeated, and mixed with what decoders stumble over."""

from collections.abc import Sequence
from random import Random

TRICKY = [
    b"\0", b"\n", b"\r\n", b'"', b"'", b",", b"\t", b" ", b"-1", b"0", b"1", b"4294967295", b"9223372036854775808",
    b"9" * 25, b"1e400", b"nan", b".inf", b"~", b"null", b"true", b"../", b"/", b"\\", b"C:", b"{", b"}", b"[", b"]",
    b": ", b"- ", b"&a ", b"*a", b"!!int ", b"!!python/name:os.system ", b"<<: ", b"? ", b"|\n", b"%", b"#", b"\x1b[2J",
    b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", "\u202e".encode(), "图".encode(), "图".encode("gbk"), b"=1+1", b"{id}",
    b"**/", b"[" * 60, b"PK\x03\x04", b"2024-13-45", b"0x_", b"1:2:3", b"\x80\x02cos\nsystem\n", b"\xff" * 4,
    b"\x7f\xff",
]  # fmt: skip


def mutated(random: Random, seeds: Sequence[bytes], most: int = 4096) -> bytes:
    """One more input, of at most ``most`` bytes."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 2, 3, 6))):
        place = random.randrange(len(data) + 1)
        end = min(len(data), place + random.choice((1, 1, 2, 4, 8, 32)))
        change = random.randrange(8)
        if change == 0 and data:
            data[place % len(data)] ^= 1 << random.randrange(8)
        elif change == 1 and data:
            data[place % len(data)] = random.randrange(256)
        elif change == 2:
            del data[place:end]
        elif change == 3:
            data[place:place] = data[place:end]
        elif change == 4:
            data[place:end] = random.choice(TRICKY)
        elif change == 5:
            data[place:place] = random.choice(TRICKY)
        elif change == 6:
            other = random.choice(seeds)
            start = random.randrange(len(other) + 1)
            data[place:end] = other[start : start + random.choice((1, 4, 16, 64, 256))]
        else:
            del data[place:]
    return bytes(data[:most])


def random_text(random: Random) -> str:
    """Run lengths of sorts: numbers that are nearly in order, and now and then something else."""
    numbers, position = [], random.randrange(4)
    for _ in range(random.randrange(9)):
        length = random.randrange(1, 6)
        numbers += [position, length]
        position += random.randrange(8) if random.random() < 0.2 else length + random.randrange(4)
    words = [str(number) for number in numbers]
    if words and random.random() < 0.3:
        words[random.randrange(len(words))] = random.choice(TRICKY).decode("utf-8", "replace")
    return random.choice((" ", " ", " ", "  ", ",", "\t")).join(words)
