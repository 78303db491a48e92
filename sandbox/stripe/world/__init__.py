"""A deterministic world of course sales behind the Stripe stand-in.

`World` builds and advances it; `actions.ACTIONS` are the things that can be made to happen by hand.
"""

from sandbox.stripe.world.accounts import DEFAULT, IL, US
from sandbox.stripe.world.actions import ACTIONS
from sandbox.stripe.world.model import AccountSpec, Buyer, Course
from sandbox.stripe.world.shop import NotPossible
from sandbox.stripe.world.world import World

__all__ = ["ACTIONS", "DEFAULT", "IL", "US", "AccountSpec", "Buyer", "Course", "NotPossible", "World"]
