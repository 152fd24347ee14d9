"""Values of options: text -> numbers, ValueError for anything else."""


def triple(text: str) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in text.split(","))
    return x, y, z


def ratio(text: str) -> tuple[float, float]:
    train, test = (float(part) for part in text.split(":"))
    return train, test


def number_and_name(text: str) -> tuple[int, str]:
    number, name = text.split(",", 1)
    return int(number), name
