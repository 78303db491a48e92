"""The pages as Jinja templates; a package, so that they are installed with the code."""
