"""The webhook service: from a click on a course to an unlocked course. `app.create_app` is the way in."""
