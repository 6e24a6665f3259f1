//! A projection: a read model that follows the log, is asked right after a write, and is made again while it is in use.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use annals::{
    Data, EventStore, EventType, ExpectedVersion, Failure, NewEvent, Options, Projection, Projector, Query,
    QueryItem, Receipt, RecordedEvent, Schema, StreamName, Table,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum OrderEvent {
    #[serde(rename = "order.placed")]
    Placed { customer: String },
    #[serde(rename = "order.paid")]
    Paid { customer: String, cents: u64 },
}

/// What a customer has ordered and paid.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Customer {
    orders: u64,
    cents: u64,
}

/// One row for each customer.
struct Customers {
    schema: Schema,
}

impl Projection for Customers {
    type Model = Table;
    const NAME: &'static str = "customers";

    fn query(&self) -> Query {
        QueryItem { categories: vec!["order".to_owned()], ..QueryItem::default() }.into()
    }

    fn project(&self, table: &mut Table, event: &RecordedEvent) -> Result<(), Failure> {
        for event in self.schema.decode::<OrderEvent>(event)? {
            let (OrderEvent::Placed { customer } | OrderEvent::Paid { customer, .. }) = &event;
            let mut row: Customer = table.get(customer)?.unwrap_or_default();
            match &event {
                OrderEvent::Placed { .. } => row.orders += 1,
                OrderEvent::Paid { cents, .. } => row.cents += cents,
            }
            table.put(customer, &row)?;
        }
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let store = EventStore::open(Options::new(dir.path()))?;
    let schema = Schema::new();
    let order = |number: u64, customer: &str, cents: u64| -> Result<Receipt, Failure> {
        let customer = customer.to_owned();
        let events = [
            schema.encode(&OrderEvent::Placed { customer: customer.clone() })?,
            schema.encode(&OrderEvent::Paid { customer, cents })?,
        ];
        Ok(store.append_to(&StreamName::parse(&format!("order-{number}"))?, ExpectedVersion::None, events)?)
    };
    for number in 0..1_000 {
        order(number, ["ann", "bob", "eve"][number as usize % 3], 100 + number)?;
    }

    let customers = || Customers { schema: schema.clone() };
    let projector = Projector::start(&store, customers(), Table::open(&store, "customers")?)?;
    let receipt = order(1_000, "dan", 4_200)?;
    projector.wait_for(receipt.position, Duration::from_secs(60))?;
    println!("What was just written is in the model:");
    print_rows(&projector)?;

    println!("It is made again from position 0, while orders come in and the old one is read:");
    std::thread::scope(|scope| {
        let rebuild = scope.spawn(|| projector.rebuild(Table::beside(&store, "customers")?));
        for number in 1_001..1_101 {
            order(number, "dan", 100)?;
        }
        rebuild.join().map_err(|_| "the rebuild panicked")??;
        Ok::<_, Failure>(())
    })?;
    projector.wait_for(store.head(), Duration::from_secs(60))?;
    print_rows(&projector)?;
    projector.stop()?;

    // Other events do not concern it, and are passed over.
    let other = NewEvent::new(EventType::parse("invoice.sent")?, Data::json(&())?);
    store.append_to(&StreamName::parse("invoice-1")?, ExpectedVersion::None, [other])?;
    let projector = Projector::start(&store, customers(), Table::open(&store, "customers")?)?;
    let status = projector.status();
    println!("Started again, it goes on from position {}, {} behind the head.", status.seen, status.behind);
    Ok(())
}

fn print_rows(projector: &Projector<Customers>) -> Result<(), Failure> {
    projector.read(|table| {
        for row in table.rows::<Customer>("") {
            let (name, customer) = row?;
            println!("  {name}: {} orders, {} cents", customer.orders, customer.cents);
        }
        Ok(())
    })
}
