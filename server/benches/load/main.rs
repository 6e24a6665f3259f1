//! The server under load, measured from outside: many who follow, many who wait, and a long replay.
//!
//! `cargo bench -p annals-server --bench load` does all of it; `-- followers 1000 10000`, `-- idle 10000` or
//! `-- replay 1000000` one, with other numbers. Linux only: it reads the memory of the server from `/proc`.
#![expect(clippy::print_stdout, reason = "what it measures is printed")]

mod followers;
mod reading;
mod replay;
mod server;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let what = args.next();
    let mut number = |default: u64| args.next().map_or(Ok(default), |text| text.parse());
    let all = what.is_none();
    if all || what.as_deref() == Some("followers") {
        followers::live(number(1_000)?, number(2_000)?)?;
    }
    if all || what.as_deref() == Some("idle") {
        followers::idle(number(10_000)?)?;
    }
    if all || what.as_deref() == Some("replay") {
        replay::replay(number(1_000_000)?)?;
    }
    Ok(())
}
