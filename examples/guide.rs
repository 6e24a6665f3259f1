//! The code of `docs/guide.md`, in its order. A test holds the two against each other.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;
use std::time::Duration;

use annals::{
    Aggregate, Append, AppendError, AsOf, Context, Data, Delivery, EventStore, EventType, ExecuteError,
    ExpectedVersion, Failure, InMemory, NewEvent, OnFailure, Options, Position, Projection, Projector, Query,
    QueryItem, Read, RecordedEvent, Repository, Scenario, Schema, SnapshotPolicy, StreamName, StreamVersion,
    Subscribe, Table, Timestamp, UnknownTypes,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome {
    let dir = tempfile::tempdir()?;
    let store = open(dir.path())?;
    append(&store)?;
    read(&store)?;
    subscribe(&store)?;
    expect_versions(&store)?;
    conditions(&store)?;
    scenarios();
    aggregates(&store)?;
    snapshots(&store)?;
    old_shapes(&store)?;
    the_past(&store)?;
    read_models(&store)?;
    tables(&store)?;
    store.close()?;
    Ok(())
}

fn open(dir: &Path) -> Result<EventStore, Box<dyn std::error::Error + Send + Sync>> {
    let store = EventStore::open(Options::new(dir))?;
    println!("the store holds {} events", store.head());
    Ok(store)
}

fn append(store: &EventStore) -> Outcome {
    let stream = StreamName::parse("order-1")?;
    let placed = EventType::parse("order.placed")?;
    let event = NewEvent::new(placed, Data::json(&json!({"customer": "ann"}))?);

    let receipt = store.append_to(&stream, ExpectedVersion::None, [event])?;
    println!("on stable storage at position {}", receipt.position);
    Ok(())
}

fn read(store: &EventStore) -> Outcome {
    let stream = StreamName::parse("order-1")?;
    for event in store.read(Read::stream(stream))? {
        let event = event?;
        println!("version {}: {}", event.stream_version(), event.event_type());
    }

    let placed = QueryItem { types: vec!["order.placed".to_owned()], ..QueryItem::default() };
    let newest = store.read(Read::all().query(placed.into()).backward().limit(10))?;
    println!("{} of the newest orders", newest.count());
    Ok(())
}

fn subscribe(store: &EventStore) -> Outcome {
    for delivery in store.subscribe(Subscribe::all().after(Position::START))? {
        match delivery? {
            Delivery::Event(event) => println!("{} at {}", event.event_type(), event.position()),
            Delivery::CaughtUp(position) => {
                println!("everything up to {position} is known; what follows is new");
                break;
            }
            _ => {}
        }
    }
    Ok(())
}

fn expect_versions(store: &EventStore) -> Outcome {
    let stream = StreamName::parse("order-1")?;
    let line = Data::json(&json!({"item": "book", "cents": 1200}))?;
    let added = NewEvent::new(EventType::parse("order.line-added")?, line);

    match store.append_to(&stream, StreamVersion::new(7).into(), [added.clone()]) {
        Err(AppendError::Conflict { actual, .. }) => println!("the stream is at version {actual}"),
        other => println!("this does not happen: {other:?}"),
    }
    store.append_to(&stream, StreamVersion::new(1).into(), [added])?;
    Ok(())
}

fn conditions(store: &EventStore) -> Outcome {
    let registered = NewEvent::new(EventType::parse("user.registered")?, Data::json(&())?);
    let taken = QueryItem { tags: vec!["email:ann@example.org".to_owned()], ..QueryItem::default() };
    let append = Append::to(StreamName::parse("user-1")?, ExpectedVersion::None, [registered])
        .fail_if_events_match(taken, Position::START);
    store.append(append)?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum OrderEvent {
    #[serde(rename = "order.placed")]
    Placed { customer: String },
    #[serde(rename = "order.line-added")]
    LineAdded { item: String, cents: u64 },
    #[serde(rename = "order.shipped")]
    Shipped,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Order {
    customer: Option<String>,
    cents: u64,
    shipped: bool,
}

enum OrderCommand {
    Place { customer: String },
    AddLine { item: String, cents: u64 },
    Ship,
}

#[derive(Debug, PartialEq, thiserror::Error)]
enum OrderError {
    #[error("there is no such order")]
    Unknown,
    #[error("the order is there already")]
    Placed,
    #[error("the order is shipped")]
    Shipped,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    type Command = OrderCommand;
    type Error = OrderError;

    fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::Placed { customer } => self.customer = Some(customer),
            OrderEvent::LineAdded { cents, .. } => self.cents += cents,
            OrderEvent::Shipped => self.shipped = true,
        }
    }

    fn decide(&self, command: &OrderCommand) -> Result<Vec<OrderEvent>, OrderError> {
        match command {
            OrderCommand::Place { .. } if self.customer.is_some() => Err(OrderError::Placed),
            OrderCommand::Place { customer } => Ok(vec![OrderEvent::Placed { customer: customer.clone() }]),
            _ if self.customer.is_none() => Err(OrderError::Unknown),
            _ if self.shipped => Err(OrderError::Shipped),
            OrderCommand::AddLine { item, cents } => {
                Ok(vec![OrderEvent::LineAdded { item: item.clone(), cents: *cents }])
            }
            OrderCommand::Ship => Ok(vec![OrderEvent::Shipped]),
        }
    }
}

fn aggregates(store: &EventStore) -> Outcome {
    let orders = Repository::<Order>::new(store);
    let executed = orders.execute("1", OrderCommand::AddLine { item: "pen".to_owned(), cents: 300 })?;
    println!("order-1 costs {} cents at version {}", executed.state.cents, executed.version);

    orders.execute("2", OrderCommand::Place { customer: "bob".to_owned() })?;
    orders.execute("2", OrderCommand::Ship)?;
    match orders.execute("2", OrderCommand::Ship) {
        Err(ExecuteError::Refused(OrderError::Shipped)) => println!("an order is shipped once"),
        other => println!("this does not happen: {other:?}"),
    }

    let cause = store.read(Read::all().backward())?.next().ok_or("there are events")??;
    let context = Context::caused_by(&cause).command_id("place-3").with("user", "bob");
    orders.execute_with("3", OrderCommand::Place { customer: "eve".to_owned() }, context)?;
    Ok(())
}

fn snapshots(store: &EventStore) -> Outcome {
    let orders = Repository::<Order>::new(store).snapshots(SnapshotPolicy::Every(50));
    for n in 0..120 {
        orders.execute("1", OrderCommand::AddLine { item: format!("item {n}"), cents: 10 })?;
    }
    let loaded = orders.load("1")?;
    println!("version {} from a snapshot and {} events", loaded.version, loaded.replayed);
    Ok(())
}

fn old_shapes(store: &EventStore) -> Outcome {
    #[derive(Deserialize)]
    struct LineAddedV1 {
        item: String,
        euros: f64,
    }

    #[derive(Deserialize)]
    struct Completed {
        customer: String,
        cents: u64,
    }

    let schema = Schema::new()
        .rename("order.item-added", "order.line-added")
        .change(
            "order.item-added",
            1,
            |old: LineAddedV1| json!({"item": old.item, "cents": (old.euros * 100.0).round() as u64}),
        )
        .split("order.completed", 1, |old: Completed| {
            vec![
                OrderEvent::Placed { customer: old.customer },
                OrderEvent::LineAdded { item: "all of it".to_owned(), cents: old.cents },
                OrderEvent::Shipped,
            ]
        })
        .unknown(UnknownTypes::Skip);

    let completed = Data::json(&json!({"customer": "dan", "cents": 4200}))?;
    let completed = NewEvent::new(EventType::parse("order.completed")?, completed);
    store.append_to(&StreamName::parse("order-4")?, ExpectedVersion::None, [completed])?;
    let orders = Repository::<Order>::new(store).schema(schema);
    println!("order-4: {:?}", orders.load("4")?.state);
    Ok(())
}

fn the_past(store: &EventStore) -> Outcome {
    let orders = Repository::<Order>::new(store);
    let at_version = orders.load_at("1", AsOf::Version(StreamVersion::new(2)))?;
    let at_position = orders.load_at("1", AsOf::Position(Position::new(3)))?;
    let in_2020 = orders.load_at("1", AsOf::Recorded(Timestamp::parse("2020-01-01T00:00:00Z")?))?;
    println!(
        "{} cents, {} cents, {:?}",
        at_version.state.cents, at_position.state.cents, in_2020.state.customer
    );
    Ok(())
}

struct Revenue;

impl Projection for Revenue {
    type Model = InMemory<u64>;
    const NAME: &'static str = "revenue";

    fn query(&self) -> Query {
        QueryItem { types: vec!["order.line-added".to_owned()], ..QueryItem::default() }.into()
    }

    fn project(&self, cents: &mut InMemory<u64>, event: &RecordedEvent) -> Result<(), Failure> {
        for event in Schema::new().decode::<OrderEvent>(event)? {
            if let OrderEvent::LineAdded { cents: more, .. } = event {
                **cents += more;
            }
        }
        Ok(())
    }
}

fn read_models(store: &EventStore) -> Outcome {
    let revenue = Projector::start(store, Revenue, InMemory::default())?;

    let orders = Repository::<Order>::new(store);
    let executed = orders.execute("1", OrderCommand::AddLine { item: "ink".to_owned(), cents: 700 })?;
    if let Some(position) = executed.position() {
        revenue.wait_for(position, Duration::from_secs(5))?;
    }
    println!("{} cents so far", revenue.read(|cents| **cents));
    Ok(())
}

struct OrdersByCustomer;

impl Projection for OrdersByCustomer {
    type Model = Table;
    const NAME: &'static str = "orders-by-customer";

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        let schema = Schema::new().unknown(UnknownTypes::Skip);
        for event in schema.decode::<OrderEvent>(event)? {
            if let OrderEvent::Placed { customer } = event {
                let orders: u64 = table.get(&customer)?.unwrap_or(0);
                table.put(&customer, &(orders + 1))?;
            }
        }
        Ok(())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Park
    }
}

fn tables(store: &EventStore) -> Outcome {
    let table = Table::open(store, "orders-by-customer")?;
    let customers = Projector::start(store, OrdersByCustomer, table)?;
    customers.wait_for(store.head(), Duration::from_secs(5))?;
    let of_ann: Option<u64> = customers.read(|table| table.get("ann"))?;
    println!("orders of ann: {}", of_ann.unwrap_or(0));

    customers.rebuild(Table::beside(store, "orders-by-customer")?)?;
    println!("rebuilt up to position {}", customers.status().seen);
    Ok(())
}

fn scenarios() {
    let placed = || OrderEvent::Placed { customer: "ann".to_owned() };

    Scenario::<Order>::given([placed()])
        .when(OrderCommand::Ship)
        .then([OrderEvent::Shipped])
        .then_state(|order| assert!(order.shipped));

    Scenario::<Order>::given([placed(), OrderEvent::Shipped])
        .when(OrderCommand::Ship)
        .then_refused(OrderError::Shipped);
}
