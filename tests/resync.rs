//! Resync: what an opening finds and shows is made durable first, whatever the syncs before it were worth.

use std::io::ErrorKind;

use annals::testkit::{Fault, SimDisk};
use annals::{AppendError, Error, ExpectedVersion};

use crate::support::*;

#[test]
fn what_a_reopened_store_shows_survives_a_power_cut_at_once() {
    for fault in [Fault::SyncLies, Fault::Error(ErrorKind::Other)] {
        let disk = SimDisk::new(1);
        let store = open(on(&disk));
        append(&store, "s", [event(1)]);
        // The write, then the sync. The event has sectors of its own, which no later append writes again.
        disk.fail_operation(2, fault);
        let failed = store.append_to(&stream("s"), ExpectedVersion::Any, [large_event(2, 5000)]);
        assert!(matches!(failed, Err(AppendError::Store(Error::Failed { .. }))), "{failed:?}");
        drop(store);
        let shown = everything(&open(on(&disk)));
        assert_eq!(shown.len(), 2, "the bytes of a failed sync can be read");
        assert_eq!(everything(&open(on(&disk.crash_keeping_nothing()))), shown, "{fault:?}");
    }
}
