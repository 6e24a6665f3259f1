"""Writes events in any form, and reads them in any form: python permits.py URL write|read FORM [LINES]

What is read is printed as the server's own JSON, one event a line, without what the store adds.
"""

import http.client
import json
import sys
from itertools import groupby
from urllib.parse import quote, urlsplit

URL, DOES, FORM = sys.argv[1:4]
CHUNK = 500
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
OWN = ("stream", "id", "type", "timestamp", "source", "data", "metadata")

connection = http.client.HTTPConnection(urlsplit(URL).netloc)


def ask(method, path, body=None, headers=None):
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status not in (200, 201, 202):
        sys.exit(f"{method} {path}: {answer.status} {text}")
    return text


def post(path, body, content_type, headers=None):
    ask("POST", path, body.encode(), {"Content-Type": content_type, **(headers or {})})


def attributes_of(event):
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["source"],
        "type": event["type"],
        "subject": event["stream"],
        "time": event["timestamp"],
        "correlationid": event["metadata"]["correlationId"],
        "version": event["metadata"]["version"],
    }


def cloud(event):
    return {**attributes_of(event), "data": event["data"]}


def native(cloud_event):
    return {
        "stream": cloud_event["subject"],
        "id": cloud_event["id"],
        "type": cloud_event["type"],
        "timestamp": cloud_event["time"],
        "source": cloud_event["source"],
        "data": cloud_event["data"],
        "metadata": {"correlationId": cloud_event["correlationid"], "version": cloud_event["version"]},
    }


def transaction(chunk):
    in_streams = sorted(chunk, key=lambda event: event["stream"])
    writes = groupby(in_streams, key=lambda event: event["stream"])
    return {"writes": [{"stream": stream, "events": list(events)} for stream, events in writes]}


def write(events):
    chunks = [events[at : at + CHUNK] for at in range(0, len(events), CHUNK)]
    lines = lambda some: "".join(json.dumps(event) + "\n" for event in some)
    match FORM:
        case "single":
            for event in events:
                post("/events", json.dumps(event), "application/json")
        case "array":
            for chunk in chunks:
                post("/events", json.dumps(chunk), "application/json")
        case "lines":
            for chunk in chunks:
                post("/events", lines(chunk), "application/x-ndjson")
        case "import":
            post("/import", lines(events), "application/x-ndjson")
        case "transactions":
            for chunk in chunks:
                post("/transactions", json.dumps(transaction(chunk)), "application/json")
        case "cloud-binary":
            for event in events:
                headers = {f"ce-{name}": quote(value, safe=" :/") for name, value in attributes_of(event).items()}
                post("/events", json.dumps(event["data"]), "application/json", headers)
        case "cloud-structured":
            for event in events:
                post("/events", json.dumps(cloud(event)), STRUCTURED)
        case "cloud-batch":
            for chunk in chunks:
                post("/events", json.dumps([cloud(event) for event in chunk]), BATCH)
        case _:
            sys.exit(f"{FORM} is no form")


def blocks(path):
    block = {}
    for line in ask("GET", path, headers={"Accept": "text/event-stream"}).split("\n"):
        name, _, value = line.partition(": ")
        if name:
            block[name] = value
        elif block:
            yield block
            block = {}


def read():
    match FORM:
        case "lines":
            yield from map(json.loads, ask("GET", "/events").splitlines())
        case "pages":
            path = "/events?limit=1000"
            while path:
                page = json.loads(ask("GET", path, headers={"Accept": "application/json"}))
                yield from page["events"]
                path = page["next"]
        case "replays":
            streams = json.loads(ask("GET", "/streams?limit=10000"))["streams"]
            for stream in streams:
                for line in ask("GET", f"/events/{quote(stream['stream'], safe='')}/replay").splitlines():
                    event = json.loads(line)
                    yield {**event, "type": event["event"]}
        case "follow-lines":
            lines = ask("GET", "/events/stream?live=false", headers={"Accept": "application/x-ndjson"}).splitlines()
            yield from map(json.loads, lines[:-1])
        case "blocks":
            for block in blocks("/events/stream?live=false"):
                yield {"type": block["event"], "data": json.loads(block["data"])}
        case "envelopes":
            yield from (json.loads(block["data"]) for block in blocks("/events/stream?live=false&envelope=true"))
        case "cloud-envelopes":
            found = blocks("/events/stream?live=false&envelope=cloudevents")
            yield from (native(json.loads(block["data"])) for block in found)
        case "cloud-batch":
            yield from map(native, json.loads(ask("GET", "/events", headers={"Accept": BATCH})))
        case _:
            sys.exit(f"{FORM} is no form")


if DOES == "write":
    with open(sys.argv[4], encoding="utf-8") as file:
        write([json.loads(line) for line in file])
else:
    for event in read():
        print(json.dumps({name: event[name] for name in OWN if name in event}))
