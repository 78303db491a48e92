"""The Stripe stand-in: a strict server over a deterministic world."""
