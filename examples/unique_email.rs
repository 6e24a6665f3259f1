//! A rule over all streams: no two users have one address. The append itself carries the condition, as a query.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use annals::{
    Append, AppendError, Data, EventStore, EventType, ExpectedVersion, Metadata, NewEvent, Options, Position,
    QueryItem, StreamName,
};
use serde_json::json;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let store = EventStore::open(Options::new(dir.path()))?;

    for (user, email) in [("1", "ann@example.org"), ("2", "bob@example.org"), ("3", "ann@example.org")] {
        match register(&store, user, email) {
            Ok(()) => println!("user {user} has registered {email}"),
            Err(AppendError::Matched { stream, position, .. }) => {
                println!("user {user} cannot register {email}: {stream} has it since position {position}");
            }
            Err(error) => return Err(error.into()),
        }
    }

    // However many try at once, one of them succeeds.
    let registered: usize = std::thread::scope(|scope| {
        let try_it = |user: usize| register(&store, &format!("{}", 10 + user), "eve@example.org").is_ok();
        let tries: Vec<_> = (0..8).map(|user| scope.spawn(move || usize::from(try_it(user)))).collect();
        tries.into_iter().map(|one| one.join().unwrap_or(0)).sum()
    });
    println!("of 8 who wanted eve@example.org at once, {registered} got it");
    Ok(())
}

fn register(store: &EventStore, user: &str, email: &str) -> Result<(), AppendError> {
    let tag = format!("email:{email}");
    let invalid = |error: &dyn std::fmt::Display| AppendError::Invalid { what: error.to_string() };
    let data = Data::json(&json!({"email": email})).map_err(|error| invalid(&error))?;
    let metadata = Metadata::default().with("tags", &[&tag]).map_err(|error| invalid(&error))?;
    let registered = NewEvent::new(EventType::parse("user.registered")?, data).metadata(metadata);

    // Nobody has ever registered this address: no event with this tag behind position 0.
    let taken = QueryItem { tags: vec![tag], ..QueryItem::default() };
    let append = Append::to(StreamName::parse(&format!("user-{user}"))?, ExpectedVersion::None, [registered])
        .fail_if_events_match(taken, Position::START);
    store.append(append).map(drop)
}
