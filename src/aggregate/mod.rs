//! Aggregates: state that is rebuilt from one stream, and decisions that add to it.
//!
//! An application says how an event changes the state and which events a command leads to. Loading, appending at the
//! expected version, deciding again after a conflict, snapshots and old shapes of events are the [`Repository`]'s.

mod as_of;
mod backoff;
mod context;
mod error;
mod repository;
mod saved;
mod scenario;

pub use as_of::AsOf;
pub use context::Context;
pub use error::{ExecuteError, LoadError, SaveError};
pub use repository::{Executed, Loaded, Repository};
pub use saved::SnapshotPolicy;
pub use scenario::{Decided, Scenario};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::RecordedEvent;

/// State that is rebuilt from the events of one stream, and what may be added to it.
///
/// ```
/// use annals::{Aggregate, EventStore, Options, Repository};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default)]
/// struct Account {
///     cents: u64,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// enum AccountEvent {
///     #[serde(rename = "account.deposited")]
///     Deposited { cents: u64 },
///     #[serde(rename = "account.withdrawn")]
///     Withdrawn { cents: u64 },
/// }
///
/// enum Command {
///     Deposit(u64),
///     Withdraw(u64),
/// }
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("only {left} cents are left")]
/// struct TooLittle {
///     left: u64,
/// }
///
/// impl Aggregate for Account {
///     const CATEGORY: &'static str = "account";
///     type Event = AccountEvent;
///     type Command = Command;
///     type Error = TooLittle;
///
///     fn apply(&mut self, event: AccountEvent) {
///         match event {
///             AccountEvent::Deposited { cents } => self.cents += cents,
///             AccountEvent::Withdrawn { cents } => self.cents -= cents,
///         }
///     }
///
///     fn decide(&self, command: &Command) -> Result<Vec<AccountEvent>, TooLittle> {
///         match *command {
///             Command::Deposit(cents) => Ok(vec![AccountEvent::Deposited { cents }]),
///             Command::Withdraw(cents) if cents > self.cents => Err(TooLittle { left: self.cents }),
///             Command::Withdraw(cents) => Ok(vec![AccountEvent::Withdrawn { cents }]),
///         }
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// let store = EventStore::open(Options::new(dir.path()))?;
/// let accounts = Repository::<Account>::new(&store);
/// accounts.execute("7", Command::Deposit(500))?;
/// let executed = accounts.execute("7", Command::Withdraw(120))?;
/// assert_eq!(executed.state.cents, 380);
/// assert!(accounts.execute("7", Command::Withdraw(1000)).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Aggregate: Default {
    /// The category of its streams: `order` for `order-7`. It has no `-`.
    const CATEGORY: &'static str;

    /// The version of the state and of what `apply` makes of events. Raise it when either changes: older snapshots are then
    /// passed over.
    const STATE_VERSION: u32 = 1;

    /// The events: an enum with derived `Serialize` and `Deserialize`. See [`Schema`](crate::Schema).
    type Event: Serialize + DeserializeOwned;

    /// What it is asked to do.
    type Command;

    /// Why it does not do it.
    type Error: std::error::Error + 'static;

    /// What an event changes. It does not fail: the event has happened.
    fn apply(&mut self, event: Self::Event);

    /// The events that a command leads to; none when there is nothing to do. It is asked again when somebody else was first.
    ///
    /// # Errors
    ///
    /// When the state does not allow it. Nothing is appended then.
    fn decide(&self, command: &Self::Command) -> Result<Vec<Self::Event>, Self::Error>;

    /// The tags, `key:value`, under which an event is found. Default: none.
    fn tags(_event: &Self::Event) -> Vec<String> {
        Vec::new()
    }

    /// What an event of an unknown type changes, where the schema hands such events out
    /// ([`UnknownTypes::Raw`](crate::UnknownTypes::Raw)). Default: nothing.
    fn apply_raw(&mut self, _event: &RecordedEvent) {}
}
