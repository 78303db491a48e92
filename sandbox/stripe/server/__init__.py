"""The HTTP side of the Stripe stand-in: as strict as api.stripe.com, for version 2026-10-28.endive."""
