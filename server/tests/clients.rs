//! Clients that others have written, each against the real server: generated ones, a browser, Python, curl.
//!
//! They need what `.ci/clients` installs. It says where in `ANNALS_CLIENTS`; without that, each test says that it is
//! skipped.

mod contract;
mod generated;
mod page;
mod permits;
mod tools;
