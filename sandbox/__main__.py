"""`python -m sandbox`: the stand-ins for Stripe and FlockJay, for playing by hand and for `sandbox.run.start`."""

import argparse
import sys

from sandbox import run


def main() -> int:
    """Serve until interrupted; 2 when a port is taken."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=12111, help="Stripe's; FlockJay takes the next (0: free ports)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--months", type=int, default=3, help="whole months before the running one")
    parser.add_argument("--checkouts", type=int, default=60, help="per month and account")
    parser.add_argument("--start", default="", help="first day (ISO) instead of --months")
    parser.add_argument("--child", action="store_true", help="one line of JSON instead of text; end when stdin closes")
    given = parser.parse_args()
    if given.child:
        run.end_with_parent()
    size = run.Size(given.seed, given.months, given.checkouts, given.start)
    try:
        run.serve(given.port, size, lambda started: say(told(started, as_json=given.child)))
    except OSError as fault:
        sys.stderr.write(f"sandbox: port {given.port}: {fault.strerror or fault}; choose another with --port\n")
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def told(started: run.Started, *, as_json: bool) -> str:
    """Where the stand-ins are and how to talk to them."""
    return run.announced(started) if as_json else run.described(started)


if __name__ == "__main__":
    sys.exit(main())
