//! An order as an aggregate: commands, snapshots, an old shape of an event, and the order as it was.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use annals::{
    Aggregate, AsOf, Context, Data, EventStore, EventType, ExecuteError, ExpectedVersion, NewEvent, Options,
    Repository, Schema, SnapshotPolicy, StreamName, StreamVersion,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

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
    lines: Vec<String>,
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
    #[error("there is nothing to ship")]
    Empty,
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    type Command = OrderCommand;
    type Error = OrderError;

    fn apply(&mut self, event: OrderEvent) {
        match event {
            OrderEvent::Placed { customer } => self.customer = Some(customer),
            OrderEvent::LineAdded { item, cents } => {
                self.lines.push(item);
                self.cents += cents;
            }
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
            OrderCommand::Ship if self.lines.is_empty() => Err(OrderError::Empty),
            OrderCommand::Ship => Ok(vec![OrderEvent::Shipped]),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = EventStore::open(Options::new(dir.path()))?;
    let orders = Repository::<Order>::new(&store)
        .schema(Schema::new().rename("order.opened", "order.placed").change(
            "order.opened",
            1,
            |old: serde_json::Value| json!({"customer": old["by"]}),
        ))
        .snapshots(SnapshotPolicy::Every(20));

    println!("Commands lead to events:");
    orders.execute("1", OrderCommand::Place { customer: "ann".to_owned() })?;
    for n in 1..=50 {
        orders.execute("1", OrderCommand::AddLine { item: format!("item {n}"), cents: 100 * n })?;
    }
    let context = Context::default().command_id("ship-1").with("user", "bob");
    let shipped = orders.execute_with("1", OrderCommand::Ship, context.clone())?;
    let order = &shipped.state;
    println!(
        "  order-1 stands at version {}: {} lines, {} cents",
        shipped.version,
        order.lines.len(),
        order.cents
    );

    println!("A command with an id is executed once, however often it is sent:");
    let again = orders.execute_with("1", OrderCommand::Ship, context)?;
    let repeated = again.receipt.is_some_and(|receipt| receipt.repeated);
    println!("  ship-1 again: still version {}, answered as the first time: {repeated}", again.version);

    println!("What the state does not allow is refused:");
    match orders.execute("1", OrderCommand::Ship) {
        Err(ExecuteError::Refused(error)) => println!("  {error}"),
        other => println!("  this does not happen: {other:?}"),
    }

    println!("A snapshot shortens the replay:");
    let loaded = orders.load("1")?;
    println!(
        "  from version {:?}, {} events were read",
        loaded.snapshot.map(StreamVersion::get),
        loaded.replayed
    );

    println!("The past is still there:");
    let then = orders.load_at("1", AsOf::Version(StreamVersion::new(11)))?.state;
    println!("  at version 11 it had {} lines, {} cents", then.lines.len(), then.cents);

    println!("An event of an older version of the application is read as one of today:");
    let opened = NewEvent::new(EventType::parse("order.opened")?, Data::json(&json!({"by": "eve"}))?);
    store.append_to(&StreamName::parse("order-2")?, ExpectedVersion::None, [opened])?;
    println!("  order-2: {:?}", orders.load("2")?.state);
    Ok(())
}
