"""What may be refused although a document allows it, each with the reason why no schema can say it. Schemathesis loads it beside its own checks.

A rule is an operation and the kind of problem it answers: one that answers another, or without words, is a failure. What was refused by which
rule is written to a file for fuzz.py, to whom a rule that refuses nothing in a long run is a failure too.
"""
import atexit
import collections
import json
import os
import pathlib

import schemathesis
from schemathesis.specs.openapi.checks import RejectedPositiveData, positive_data_acceptance

LISTS = {"list_trips", "list_stuck_trips", "list_flights", "list_hotels", "list_dead_letters", "list_past_dead_letters"}
SETS = {"set_flights", "set_hotels", "show_flights", "show_hotels"}

# The problem's kind, with the field where it names one: the operations that answer it, and why.
RULES = {
    # A cursor is one that the list has given: a well-formed one that somebody made up is none.
    "cursor": LISTS,
    # The hyphens of an id have their places, and so have what precedes them.
    "unacceptable prefix": {"list_trips"},
    # One schema, `Money`, stands for what trips cost too, and that may be nothing.
    "unacceptable budget": {"book_trip"},
    # A leg is one that has joined, whatever its name, or the name of none: legs come and go.
    "unknown-leg": {"book_trip"},
    # No leg is called as booking is.
    "path": {"retire_leg", "restore_leg"},
    # A leg that an operator (or this run) has retired.
    "leg-retired": {"book_trip"},
    # Of the same key with another body.
    "idempotency-key-reused": {"book_trip"},
    # What is said of the itinerary as a whole: a name of a leg that can be none, numbers that not every reader of JSON can read.
    "unacceptable itinerary": {"book_trip"},
    # The grammar of a string in RFC 9651, quoted or not.
    "idempotency-key": {"book_trip"},
    # The grammar of a list of entity tags.
    "condition": SETS,
    # A currency is one of ISO 4217.
    "inventory": {"set_flights", "set_hotels"},
    "shape": {"book_trip"},
    # It is not as `If-Match` or `If-None-Match` want it.
    "inventory-changed": {"set_flights", "set_hotels"},
    # What is a CSV with such a header, no schema says.
    "import": {"import_flights", "import_hotels"},
    # Either `all`, or the beginning of a reason or a type that is not empty.
    "which": {"replay_dead_letters", "discard_dead_letters"},
}

# Of these kinds only what has these words in it.
WORDS = {"inventory": "is not an ISO 4217 c", "shape": "is not an ISO 4217 c"}

USED = collections.Counter()


def kind_of(response):
    """The problem's kind, and the field where it names one, if it says in words what is wrong."""
    try:
        problem = response.json()
        kind = problem["detail"] and problem["type"].rsplit(":", 1)[1]
        if WORDS.get(kind, "") not in problem["detail"]:
            return None
        return f"{kind} {problem['field']}" if "field" in problem else kind
    except (ValueError, TypeError, KeyError, IndexError):
        return None


@schemathesis.check
def accepted_or_explained(ctx, response, case):
    try:
        return positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        operation, kind = case.operation.definition.raw["operationId"], kind_of(response)
        if operation not in RULES.get(kind, ()):
            raise
        USED[kind] += 1
        return None


@atexit.register
def tell():
    explained = ", ".join(f"{kind} {count}" for kind, count in sorted(USED.items()))
    print(f"explained by rules.py: {explained or 'nothing'}")
    unused = sorted(RULES.keys() - USED)
    pathlib.Path(os.environ["RULES_UNUSED"]).write_text(json.dumps(unused))
