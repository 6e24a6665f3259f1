"""CloudEvents by the official Python package, on the other side of a server: python3 python_peer.py URL LINES

LINES holds events as the server's own JSON, one a line, that are in the store already. What is sent here comes back the
same in every mode, and what the server sends is what the package understands.
"""

import json
import sys
import urllib.error
import urllib.request
from datetime import datetime, timezone

from cloudevents.core.bindings.http import (
    HTTPMessage,
    from_binary_event,
    from_http_event,
    from_structured_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent

URL = sys.argv[1]
OWN = {"sequence", "recordedtime"}
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def ask(method, path, headers=None, body=None):
    request = urllib.request.Request(URL + path, data=body, headers=headers or {}, method=method)
    try:
        with urllib.request.urlopen(request) as answer:
            return HTTPMessage({k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as error:
        sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")


def attributes_of(event):
    return {name: value for name, value in event.get_attributes().items() if name not in OWN}


def check(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def data_of(event):
    data = event.get_data()
    return data.encode() if isinstance(data, str) else data


def sent_in_every_mode():
    time = datetime(2024, 7, 15, 14, 32, 22, 500000, tzinfo=timezone.utc)
    kinds = [
        ("application/json", {"total": 99.95, "text": "größe\n"}),
        ("text/plain", "plain, \"text\" of 100%"),
        ("image/png", b"\x00\xff"),
    ]
    for number, (content_type, data) in enumerate(kinds):
        for mode in ("structured", "binary", "batch"):
            subject = f"sent-{mode}-{number}"
            attributes = {
                "specversion": "1.0",
                "id": f"e-{number} €",
                "source": "/shop/ü",
                "type": "order.created",
                "subject": subject,
                "time": time,
                "datacontenttype": content_type,
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "correlationid": "c \"1\"",
                "partitionkey": "p%25",
            }
            event = CloudEvent(dict(attributes), data)
            message = to_binary_event(event) if mode == "binary" else to_structured_event(event)
            headers, body = dict(message.headers), message.body
            if mode == "batch":
                headers, body = {"content-type": BATCH}, b"[" + body + b"]"
            ask("POST", "/events", headers, body)
            for came in back(subject):
                check(f"{subject} attributes", attributes_of(came), attributes)
                wanted = data if isinstance(data, (dict, bytes)) else data.encode()
                check(f"{subject} data", data_of(came), wanted)


def back(stream):
    """The one event of a stream, by every mode."""
    structured = ask("GET", f"/events/{stream}", {"Accept": STRUCTURED})
    yield from_structured_event(structured)
    yield from_http_event(structured)
    binary = ask("GET", f"/events/{stream}?cloudEvents=binary")
    yield from_binary_event(binary)
    yield from_http_event(binary)
    batch = json.loads(ask("GET", f"/events/{stream}", {"Accept": BATCH}).body)
    check(f"{stream} batch", len(batch), 1)
    yield from_structured_event(HTTPMessage({"content-type": STRUCTURED}, json.dumps(batch[0]).encode()))


def what_is_there():
    with open(sys.argv[2], encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    batch = json.loads(ask("GET", "/events?before=" + str(len(lines) + 1), {"Accept": BATCH}).body)
    check("the batch", len(batch), len(lines))
    for member, line in zip(batch, lines):
        event = from_structured_event(HTTPMessage({"content-type": STRUCTURED}, json.dumps(member).encode()))
        name = line["id"]
        check(f"{name} id", event.get_id(), line["id"])
        check(f"{name} type", event.get_type(), line["type"])
        check(f"{name} subject", event.get_subject(), line["stream"])
        check(f"{name} source", event.get_source(), line.get("source", "urn:annals:no-source"))
        if "timestamp" in line:
            check(f"{name} time", event.get_time(), datetime.fromisoformat(line["timestamp"].replace("Z", "+00:00")))
        check(f"{name} data", event.get_data(), line["data"])
        correlation = line.get("metadata", {}).get("correlationId")
        check(f"{name} correlation", event.get_extension("correlationid"), correlation)
    print(f"{len(lines)} events understood")


what_is_there()
sent_in_every_mode()
