"""`redisu doctor`: is everything in place, and how to mend what is not. It looks and never changes anything."""
