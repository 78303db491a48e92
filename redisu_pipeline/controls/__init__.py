"""The equations that a closed month must satisfy (netsuite-journals.md §3), as data with both of their sides."""
