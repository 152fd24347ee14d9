"""Ways to spoil valid input. Each is a small function (random, seed) -> tree, found by its name in MUTATORS."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from fuzz.seeds import Seed, Tree

Random = random.Random
Apply = Callable[[Random, Seed], Tree]


@dataclass(frozen=True)
class Mutator:
    """said: what comes out must differ from what the valid seed gave by a word at least, or be refused.

    plain: it works on plain seeds only (seeds.Seed).
    """

    name: str
    apply: Apply
    said: bool
    plain: bool


MUTATORS: dict[str, Mutator] = {}


def mutator(said: bool = False, plain: bool = True) -> Callable[[Apply], Apply]:
    """Register a function under its own name."""

    def register(apply: Apply) -> Apply:
        MUTATORS[apply.__name__] = Mutator(apply.__name__, apply, said, plain)
        return apply

    return register


def load_all() -> dict[str, Mutator]:
    """All mutators, from all their files."""
    import fuzz.mutate_bytes
    import fuzz.mutate_headers
    import fuzz.mutate_structs
    import fuzz.mutate_trees  # noqa: F401

    return MUTATORS
