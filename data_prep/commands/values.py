"""Values of options: text -> numbers, an error for anything else."""

import argparse


def triple(text: str) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in text.split(","))
    return x, y, z


def ratio(text: str) -> tuple[float, float]:
    train, test = (float(part) for part in text.split(":"))
    return train, test


def number_and_name(text: str) -> tuple[int, str]:
    number, _, name = text.partition(",")
    if not (number.isdecimal() and name):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted a number, a comma and a name, such as 501,Lungs")
    return int(number), name
