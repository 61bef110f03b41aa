"""Progress and complaints: a line on standard error, for standard output has the table."""

import sys


def say(what: object):
    print(f"bench-peers: {what}", file=sys.stderr, flush=True)
