"""A client that is made of the OpenAPI document by openapi-python-client: it appends, reads and follows.

python shop.py URL
"""

import sys

import httpx
from annals_client import Client
from annals_client.api.events import append, publish, read_by_id, read_stream, transact
from annals_client.api.server import is_ready, show_version
from annals_client.api.streams import list_streams, show_stream
from annals_client.models import (
    Appended,
    Metadata,
    NewBinaryEvent,
    NewJsonEvent,
    Problem,
    ProblemType,
    PublishedEvent,
    Transaction,
    TransactionWritesItem,
)

URL = sys.argv[1]


def check(holds, what):
    if not holds:
        sys.exit(f"not so: {what}")


def appends(client):
    created = NewJsonEvent(type_="order.created", data={"total": 99.95}, metadata=Metadata(tags=["customer:1"]))
    picture = NewBinaryEvent(type_="order.photographed", data_base_64="AAEC", data_content_type="image/png")
    receipt = append.sync("order-1/ü", client=client, body=[created, picture], expected_version="none")
    check(isinstance(receipt, Appended) and receipt.stream_version == 2, f"appended: {receipt}")
    refused = append.sync("order-1/ü", client=client, body=created, expected_version="none")
    check(isinstance(refused, Problem), f"refused: {refused}")
    check(refused.type_ == ProblemType.URNANNALSPROBLEMVERSION_CONFLICT, refused.type_)
    check(refused.actual_version == 2, "the problem says where the stream stands")
    writes = [
        TransactionWritesItem(stream=stream, events=[NewJsonEvent(type_="moved", data=5, id="t-1")])
        for stream in ("account-1", "account-2")
    ]
    transacted = transact.sync(client=client, body=Transaction(writes=writes))
    check([part.position for part in transacted.streams] == [3, 4], f"transacted: {transacted}")
    published = publish.sync(client=client, body=NewJsonEvent(type_="note.written", data=None))
    check(isinstance(published, PublishedEvent) and published.position == 5, f"published: {published}")


def reads(client):
    client = client.with_headers({"Accept": "application/json"})
    page = read_stream.sync("order-1/ü", client=client)
    check([event.stream_version for event in page.events] == [1, 2], f"read: {page}")
    check(page.events[0].data == {"total": 99.95}, "the data is what was written")
    check(page.events[1].data_base_64 == "AAEC", "bytes too")
    found = read_by_id.sync("t-1", client=client)
    check([event.stream for event in found.events] == ["account-1", "account-2"], f"by id: {found}")
    check(show_stream.sync("order-1/ü", client=client).version == 2, "the stream is known")
    check(len(list_streams.sync(client=client).streams) == 4, "the streams are listed")
    check(is_ready.sync(client=client).status == "ready", "the server is ready")
    check(show_version.sync(client=client).name == "annals", "the server has a name")


def follows():
    """Generated clients know no streams: lines are read by hand, at the place the document names."""
    lines = {"Accept": "application/x-ndjson"}
    with httpx.stream("GET", f"{URL}/events/stream", params={"types": "note.written"}, headers=lines) as answer:
        seen = []
        for line in answer.iter_lines():
            seen.append(line)
            if '"caughtUp":5' in line:
                httpx.post(f"{URL}/events", json={"type": "note.written", "data": "later"}).raise_for_status()
            if '"position":6' in line:
                break
    check('"position":5' in seen[0] and '"later"' in seen[-1], f"followed: {seen}")


with Client(base_url=URL) as generated:
    appends(generated)
    reads(generated)
follows()
print("appended, read and followed")
