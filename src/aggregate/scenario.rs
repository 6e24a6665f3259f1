//! Scenarios: tests of an aggregate without a store. Given what has happened, when this is asked, then that happens.
//!
//! Every event goes through its stored form on the way, so that one that cannot be stored or read again fails the test.

use std::fmt::Debug;

use super::Aggregate;
use crate::schema;

/// What has happened to an aggregate.
///
/// ```
/// # use annals::Aggregate;
/// # #[derive(Debug, Default)]
/// # struct Door { open: bool }
/// # #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
/// # enum DoorEvent { Opened }
/// # #[derive(Debug)]
/// # enum Command { Open }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # #[error("it is open")]
/// # struct IsOpen;
/// # impl Aggregate for Door {
/// #     const CATEGORY: &'static str = "door";
/// #     type Event = DoorEvent;
/// #     type Command = Command;
/// #     type Error = IsOpen;
/// #     fn apply(&mut self, _: DoorEvent) { self.open = true }
/// #     fn decide(&self, _: &Command) -> Result<Vec<DoorEvent>, IsOpen> {
/// #         if self.open { Err(IsOpen) } else { Ok(vec![DoorEvent::Opened]) }
/// #     }
/// # }
/// use annals::Scenario;
///
/// Scenario::<Door>::given([]).when(Command::Open).then([DoorEvent::Opened]).then_state(|door| assert!(door.open));
/// Scenario::<Door>::given([DoorEvent::Opened]).when(Command::Open).then_refused(IsOpen);
/// ```
#[derive(Debug)]
pub struct Scenario<A> {
    state: A,
}

/// What an aggregate has answered.
#[derive(Debug)]
pub struct Decided<A: Aggregate> {
    state: A,
    answer: Result<Vec<A::Event>, A::Error>,
}

impl<A: Aggregate> Scenario<A> {
    /// After these events.
    ///
    /// # Panics
    ///
    /// When one of them cannot be stored and read again.
    #[track_caller]
    pub fn given(events: impl IntoIterator<Item = A::Event>) -> Scenario<A> {
        let mut state = A::default();
        for event in events {
            state.apply(stored_and_read(&event));
        }
        Scenario { state }
    }

    /// The command is decided.
    #[must_use = "say what happens then"]
    pub fn when(self, command: A::Command) -> Decided<A> {
        let answer = self.state.decide(&command);
        Decided { state: self.state, answer }
    }
}

impl<A: Aggregate> Decided<A> {
    /// Exactly these events come of it, in this order.
    ///
    /// # Panics
    ///
    /// When others do, when it was refused, and when one of them is not the same after it was stored and read.
    #[track_caller]
    pub fn then(mut self, wanted: impl IntoIterator<Item = A::Event>) -> Decided<A>
    where
        A::Event: PartialEq + Debug,
    {
        let wanted: Vec<A::Event> = wanted.into_iter().collect();
        match &self.answer {
            Ok(events) => assert_eq!(*events, wanted, "other events came of it"),
            Err(error) => panic!("it was refused: {error}"),
        }
        for event in wanted {
            let read = stored_and_read(&event);
            assert_eq!(read, event, "the event is another one when it was stored and read");
            self.state.apply(read);
        }
        self
    }

    /// It is refused for this reason.
    ///
    /// # Panics
    ///
    /// When it is not, or for another one.
    #[track_caller]
    pub fn then_refused(self, wanted: A::Error) -> Decided<A>
    where
        A::Error: PartialEq,
        A::Event: Debug,
    {
        match &self.answer {
            Ok(events) => panic!("it was not refused: {events:?} came of it"),
            Err(error) => assert_eq!(*error, wanted, "it was refused for another reason"),
        }
        self
    }

    /// The state after it is looked at.
    #[track_caller]
    pub fn then_state(self, check: impl FnOnce(&A)) -> Decided<A> {
        check(&self.state);
        self
    }
}

#[track_caller]
fn stored_and_read<E: serde::Serialize + serde::de::DeserializeOwned>(event: &E) -> E {
    match schema::stored_and_read(event) {
        Ok(read) => read,
        Err(error) => panic!("the event cannot be stored and read again: {error}"),
    }
}
