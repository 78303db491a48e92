"""Revenue earned over time (event 23): whole days of access, in integer minor units, the last day takes the rest.

A refund ends the schedule of what is refunded: its unearned part never becomes revenue (netsuite-journals.md §2.3, 4).
Days are days of the books; the day of the sale is the first day of access.
"""


def unearned(net: int, days: int, elapsed: int) -> int:
    """Return what of ``net`` minor units is not earned once ``elapsed`` of ``days`` days have passed."""
    if elapsed >= days:
        return 0
    return net - net * max(elapsed, 0) // days


def split_return(net_before: int, returned: int, days: int, elapsed: int) -> tuple[int, int]:
    """Return (unearned, earned) of ``returned`` minor units that go back from ``net_before``.

    What is left goes on as if it had been sold alone, so that its schedule needs no history.
    """
    never = unearned(net_before, days, elapsed) - unearned(net_before - returned, days, elapsed)
    return never, returned - never
