"""The tables of the lake, declared once: see model.py for how, registry.py for which."""
