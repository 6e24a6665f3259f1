//! What tests of a store need and an application does not: a disk that fails and forgets on purpose.
//!
//! [`SimDisk`] keeps files in memory, knows which bytes and names have reached stable storage, and can be crashed:
//! the disk that a crash leaves behind is one that a power cut could leave. With [`Fault`] an operation fails in one
//! of the ways that disks fail. A [`Workload`] draws appends, a [`Model`] says what each must answer, and a [`History`]
//! checks what a crash left. [`Rng`] makes all of it repeatable: print the seed, and the failure comes again. [`simulate`]
//! does all of that at once, for a whole life of a store that is drawn from one seed.
//! [`fuzz`] has the functions that may be given any bytes.
//!
//! ```
//! use std::path::Path;
//!
//! use annals::testkit::SimDisk;
//! use annals::{Disk, OpenMode};
//!
//! let disk = SimDisk::new(1);
//! let file = disk.open(Path::new("notes"), OpenMode::CreateNew)?;
//! file.write_all_at(b"synced", 0)?;
//! file.sync_data()?;
//! assert!(!disk.crash_keeping_nothing().exists(Path::new("notes"))?, "its name was not synced");
//!
//! disk.sync_dir(Path::new(""))?;
//! file.write_all_at(b"s", 0)?;
//! assert_eq!(disk.crash(7).read(Path::new("notes"))?, b"synced");
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod damage;
mod disk;
mod everything;
pub mod fuzz;
mod history;
mod model;
mod rng;
mod simulation;

pub use disk::{Fault, SECTOR_BYTES, SimDisk};
pub use everything::{Misread, check_reads, placed};
pub use history::{History, Observation, Outcome};
pub use model::{Attempt, Condition, Model, Numbered, Placed, Workload, Write};
pub use rng::Rng;
pub use simulation::{Figures, simulate};
