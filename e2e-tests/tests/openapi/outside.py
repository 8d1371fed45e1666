#!/usr/bin/env python3
"""The services' APIs as other people's tools see them: their OpenAPI documents go through a validator, a client is generated of each, and
booking's books, lists, shows and cancels a trip.

  outside.py FOLDER DAY BOOKING_URL FLIGHT_URL HOTEL_URL

Flight RT100 has seats on DAY. The tools come from PyPI, pinned, into FOLDER. Exits 1 when something is wrong with an API, 3 when the tools cannot be had.
"""
import datetime
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import tools

SERVICES = ["booking", "flight", "hotel"]


def document(url):
    with urllib.request.urlopen(f"{url}/openapi.json", timeout=10) as answer:
        return json.load(answer)


def validate(name, said):
    import openapi_spec_validator

    openapi_spec_validator.validate(said)
    ids = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    if len(ids) != len(set(ids)):
        sys.exit(f"{name}: an operationId stands twice among {sorted(ids)}")


def generate(name, said, folder):
    file = folder / f"{name}.json"
    file.write_text(json.dumps(said))
    command = ["openapi-python-client", "generate", "--path", file, "--output-path", folder / f"{name}_client", "--meta", "none"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    # It exits with 0 when it has left something out. It knows no CSV, which is how inventories are imported.
    warnings = done.stdout.count("WARNING") - done.stdout.count("Unsupported content type text/csv")
    if done.returncode or warnings:
        sys.exit(f"no whole client of {name} can be generated:\n{done.stdout}{done.stderr}")


def travel(url, day):
    """A trip from the beginning to the end, by the generated client alone."""
    from booking_client import Client
    from booking_client.api.bookings import book_trip, cancel_trip, list_legs, list_trips, show_trip
    from booking_client.models import Booking, BookingRequest, CancelRequest, FlightLeg, ListBooking, Money, Problem, State

    client = Client(base_url=url)
    assert {leg.leg for leg in list_legs.sync(client=client)} >= {"flight", "hotel"}
    leg = FlightLeg(leg="flight", date=datetime.date.fromisoformat(day), seats=1)
    leg["flight"] = "RT100"
    asked = BookingRequest(itinerary=[leg], traveller="Ada", budget=Money(amount_minor=1_000_000, currency="EUR"))

    booked = book_trip.sync_detailed(client=client, body=asked, idempotency_key="outside", prefer="wait=20")
    assert (booked.status_code, booked.parsed.state) == (200, State.CONFIRMED), booked
    trip = booked.parsed
    assert isinstance(trip, Booking) and booked.headers["location"] == f"/bookings/{trip.trip}", booked
    again = book_trip.sync(client=client, body=asked, idempotency_key='"outside"', prefer="wait=20")
    assert again.trip == trip.trip, "the same key, with quotes and without, is one trip"

    listed = list_trips.sync(client=client, state=State.CONFIRMED, limit=10)
    assert isinstance(listed, ListBooking) and trip.trip in [one.trip for one in listed.items], listed
    shown = show_trip.sync(client=client, trip=trip.trip)
    assert shown.itinerary[0] == leg and isinstance(shown.created, datetime.datetime), shown

    cancelled = cancel_trip.sync(client=client, trip=trip.trip, body=CancelRequest(reason="no more"), prefer="wait=20")
    assert cancelled.state == State.CLOSED and cancelled.reason.message == "no more", cancelled
    nowhere = show_trip.sync_detailed(client=client, trip="018f0000-0000-7000-8000-000000000000")
    assert nowhere.status_code == 404 and isinstance(nowhere.parsed, Problem), nowhere


def main():
    _, folder, day, *urls = sys.argv
    tools.within(folder, "requirements.txt")
    with tempfile.TemporaryDirectory() as folder:
        for name, url in zip(SERVICES, urls, strict=True):
            said = document(url)
            validate(name, said)
            generate(name, said, pathlib.Path(folder))
        sys.path.insert(0, folder)
        travel(urls[0], day)


main()
