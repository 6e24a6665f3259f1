//! The aggregate of the tests: an order with lines, of which nothing can be taken once it is closed.

use std::cell::Cell;

use annals::{Aggregate, EventStore, RecordedEvent, Repository};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) customer: String,
    pub(super) cents: u64,
    pub(super) lines: u64,
    pub(super) closed: bool,
    /// Types of events that were handed out as they are stored.
    pub(super) raw: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum OrderEvent {
    #[serde(rename = "order.created")]
    Created { customer: String },
    #[serde(rename = "order.line-added")]
    LineAdded { cents: u64 },
    #[serde(rename = "order.closed")]
    Closed,
}

/// What an order is asked to do.
pub(super) enum Command<'a> {
    Create(&'a str),
    Add(u64),
    /// Both of one event for each line.
    AddAll(Vec<u64>),
    /// Something happens while it decides, the first time.
    AddAfter(u64, Cell<Option<Box<dyn FnOnce() + 'a>>>),
    /// Something happens every time it decides.
    AddAfterEach(u64, Box<dyn Fn() + 'a>),
    Close,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the order exists already")]
    Exists,
    #[error("the order is closed")]
    Closed,
}

thread_local! {
    /// What happens while an event is applied.
    pub(super) static WHILE_APPLYING: Cell<Option<fn()>> = const { Cell::new(None) };
}

impl Aggregate for Order {
    const CATEGORY: &'static str = "order";
    type Event = OrderEvent;
    type Command = Command<'static>;
    type Error = Refusal;

    fn apply(&mut self, event: OrderEvent) {
        if let Some(work) = WHILE_APPLYING.get() {
            work();
        }
        match event {
            OrderEvent::Created { customer } => self.customer = customer,
            OrderEvent::LineAdded { cents } => {
                self.cents += cents;
                self.lines += 1;
            }
            OrderEvent::Closed => self.closed = true,
        }
    }

    fn decide(&self, command: &Command<'static>) -> Result<Vec<OrderEvent>, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        let added = |cents: &u64| OrderEvent::LineAdded { cents: *cents };
        match command {
            Command::Create(_) if !self.customer.is_empty() => Err(Refusal::Exists),
            Command::Create(customer) => Ok(vec![OrderEvent::Created { customer: (*customer).to_owned() }]),
            Command::Add(cents) => Ok(vec![added(cents)]),
            Command::AddAll(all) => Ok(all.iter().map(added).collect()),
            Command::AddAfter(cents, meanwhile) => {
                if let Some(work) = meanwhile.take() {
                    work();
                }
                Ok(vec![added(cents)])
            }
            Command::AddAfterEach(cents, meanwhile) => {
                meanwhile();
                Ok(vec![added(cents)])
            }
            Command::Close => Ok(vec![OrderEvent::Closed]),
            Command::Nothing => Ok(Vec::new()),
        }
    }

    fn tags(event: &OrderEvent) -> Vec<String> {
        match event {
            OrderEvent::Created { customer } => vec![format!("customer:{customer}")],
            _ => Vec::new(),
        }
    }

    fn apply_raw(&mut self, event: &RecordedEvent) {
        self.raw.push(event.event_type().to_owned());
    }
}

pub(super) fn orders(store: &EventStore) -> Repository<Order> {
    Repository::new(store)
}

/// Creates an order and adds lines of 1, 2, 3 … cents.
pub(super) fn fill(orders: &Repository<Order>, id: &str, lines: u64) {
    orders.execute(id, Command::Create("ann")).expect("a new order");
    for cents in 1..=lines {
        orders.execute(id, Command::Add(cents)).expect("an open order");
    }
}
