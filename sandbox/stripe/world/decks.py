"""A deck of kinds: random order, exact frequencies."""

from collections.abc import Mapping
from random import Random


class Deck:
    """Deals cards from a shuffled pile, and shuffles anew when it is empty; so every kind comes up soon."""

    def __init__(self, random: Random, cards: Mapping[str, int]) -> None:
        self._random = random
        self._cards = [card for card, count in cards.items() for _ in range(count)]
        self._pile: list[str] = []

    def draw(self) -> str:
        if not self._pile:
            self._pile = list(self._cards)
            self._random.shuffle(self._pile)
        return self._pile.pop()
