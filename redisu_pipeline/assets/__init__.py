"""The lake as Dagster sees it: thin assets over ``extract``, what is shown of them, and checks of what is on disk."""
