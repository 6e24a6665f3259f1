//! Engines that are broken on purpose: each breaks one promise in one place, and tests of `tests/` must notice.
//!
//! `tests/mutants.rs` checks in every run that each mutant still has its place in the source, and `cargo hunt mutants`
//! breaks the engine with each in turn. What a mutant replaces stands in its file exactly once.

#[path = "list/retention.rs"]
mod retention;

/// One break of the engine.
pub(crate) struct Mutant {
    /// What the broken engine does.
    pub(crate) does: &'static str,
    /// The file that is changed.
    pub(crate) file: &'static str,
    /// The text that is replaced.
    pub(crate) text: &'static str,
    /// What is put there.
    pub(crate) by: &'static str,
    /// The tests that fail then, each of them: module and function in `tests/`.
    pub(crate) caught_by: &'static [&'static str],
}

const CRASH: &str =
    "crash::what_was_acknowledged_survives_a_crash_at_every_operation_and_one_during_recovery";
const FAULTS: &str = "faults::whichever_operation_fails_nothing_acknowledged_is_lost";
const FLIPPED_HEADER: &str = "damage::every_flipped_bit_of_a_header_is_harmless_or_told";
const FLIPPED: &str = "damage::a_flipped_bit_anywhere_is_harmless_or_told";
const MACHINE: &str = "machine::whatever_is_done_to_it_the_store_answers_as_its_model";
const RACING: &str =
    "racing::what_racing_writers_and_readers_were_told_holds_on_every_disk_that_a_power_cut_leaves";

/// Every mutant.
pub(crate) fn mutants() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().chain(retention::MUTANTS)
}

/// By the promise that each breaks.
const MUTANTS: &[Mutant] = &[
    // Acknowledged means on stable storage.
    Mutant {
        does: "acknowledges without a sync",
        file: "src/log/writer.rs",
        text: r#"file.sync_data().map_err(|error| Error::io("sync", path, error))?;"#,
        by: "",
        caught_by: &[CRASH],
    },
    Mutant {
        does: "acknowledges what could not be written or synced",
        file: "src/commit/group.rs",
        text: "let admitted = self.admitted.into_iter().map(|admitted| admitted.pending);
            self.outcomes.fail(admitted.chain(batch), failure);",
        by: "self.outcomes.acknowledged.append(&mut self.admitted);
            self.outcomes.fail(batch, failure);",
        caught_by: &[FAULTS],
    },
    Mutant {
        does: "skips the sync of the directory when it names a segment",
        file: "src/log/blank.rs",
        text: r#"disk.sync_dir(log_dir).map_err(|error| Error::io("sync", log_dir, error))?;"#,
        by: "",
        caught_by: &[CRASH],
    },
    Mutant {
        does: "names a segment whose header was not synced",
        file: "src/log/blank.rs",
        text: r#"file.sync_data().map_err(|error| Error::io("sync", path, error))?;"#,
        by: "",
        caught_by: &[CRASH],
    },
    Mutant {
        does: "writes into the next segment before the seal is synced",
        file: "src/log/writer.rs",
        text: "self.stage_control(FrameKind::Seal, &body);
                self.flush()?;",
        by: r#"self.stage_control(FrameKind::Seal, &body);
                let path = &self.segment.path;
                let sealed = self.segment.file()?.write_all_at(&self.staged, self.written);
                sealed.map_err(|error| Error::io("write", path, error))?;
                self.staged.clear();"#,
        caught_by: &[CRASH],
    },
    Mutant {
        does: "does not write again what a failed sync may have left in memory",
        file: "src/log/recovery.rs",
        text: "write_again(&active, unproven_from, scanned.end)?;",
        by: "",
        caught_by: &["resync::what_a_reopened_store_shows_survives_a_power_cut_at_once"],
    },
    Mutant {
        does: "refuses an append by what is not durable yet",
        file: "src/commit/group.rs",
        text: "self.outcomes.refused.push((pending, refusal));",
        by: "pending.refuse(refusal);",
        caught_by: &["groups::a_refusal_is_told_only_when_what_it_rests_on_is_durable"],
    },
    // Damage is told, never returned, never taken for the end.
    Mutant {
        does: "ignores the checksum of an event that is read",
        file: "src/read/reader.rs",
        text: "event::check(&record).map_err(damaged)?;",
        by: "",
        caught_by: &[FLIPPED],
    },
    Mutant {
        does: "ignores the checksums of the events of a frame",
        file: "src/format/frame.rs",
        text: "super::event::check(record)
            .and_then(|()| super::event::check_terms(record))",
        by: "super::event::check_terms(record)",
        caught_by: &[CRASH],
    },
    Mutant {
        does: "ignores the checksum of a frame header",
        file: "src/format/frame.rs",
        text: "if found != wanted {",
        by: "if false {",
        caught_by: &[FLIPPED_HEADER],
    },
    Mutant {
        does: "cuts the log at the first bad frame, whatever was acknowledged behind it",
        file: "src/log/recovery.rs",
        text: "let lost = if *durable > readable {",
        by: "let lost = if false {",
        caught_by: &[FLIPPED, FLIPPED_HEADER],
    },
    Mutant {
        does: "does not look for acknowledged frames behind a bad one",
        file: "src/log/recovery.rs",
        text: "fold(here, Position::max);",
        by: "fold(here, Position::max).min(Position::START);",
        caught_by: &[FLIPPED],
    },
    Mutant {
        does: "does not ask STATE what was acknowledged",
        file: "src/log/recovery.rs",
        text: "let durable = known(scanned.open.history).max(scanned.durable).max(beyond);",
        by: "let _ = known;
    let durable = scanned.durable.max(beyond);",
        caught_by: &[FLIPPED],
    },
    Mutant {
        does: "believes the blocks of an index without their checksums",
        file: "src/index/file.rs",
        text: "self.check(block)?;
        }
        Ok(start)",
        by: "let _ = block;
        }
        Ok(start)",
        caught_by: &[FLIPPED],
    },
    Mutant {
        does: "takes any index file for that of its segment",
        file: "src/index/file.rs",
        text: "let fits = header.is_about(wanted) && ",
        by: "let fits = ",
        caught_by: &["damage::swapped_files_are_harmless_or_told"],
    },
    Mutant {
        does: "does not tell where a damaged segment ends that an index is built of",
        file: "src/index/build.rs",
        text: "match scanned.sealed {
        Some(_) => Ok(()),
        None => {",
        by: "match Some(()) {
        Some(_) => Ok(()),
        None => {",
        caught_by: &["segments::a_reader_of_a_damaged_segment_without_index_is_told_instead_of_given_less"],
    },
    Mutant {
        does: "joins frames that do not follow each other",
        file: "src/log/scan.rs",
        text: "if header.chain != self.chain {",
        by: "if false {",
        caught_by: &["lineage::frames_of_two_continuations_are_not_joined"],
    },
    Mutant {
        does: "joins segments that do not follow each other",
        file: "src/log/recovery/find.rs",
        text: "wanted.is_none_or(|crc| crc == frame.header_crc)",
        by: "wanted.is_none_or(|_| true)",
        caught_by: &["lineage::segments_of_two_continuations_are_not_joined"],
    },
    // A torn tail always opens, and its bytes do not come back.
    Mutant {
        does: "leaves the bytes of a torn tail where they are",
        file: "src/log/recovery/mend.rs",
        text: "write(&zeros[..zeros.len().min((to - at) as usize)], at)?;",
        by: "let _ = (&write, at);",
        caught_by: &["locking::a_torn_tail_is_kept_and_told"],
    },
    Mutant {
        does: "does not raise the epoch",
        file: "src/log/recovery.rs",
        text: "epoch: next_epoch(scanned.epoch, &roll),",
        by: "epoch: scanned.epoch,",
        caught_by: &["lineage::each_opening_for_writing_raises_the_epoch_of_its_frames"],
    },
    Mutant {
        does: "believes the STATE of another store",
        file: "src/log/recovery.rs",
        text: ".filter(|state| state.store == active.header.store && state.history == open)",
        by: ".filter(|_| open == open)",
        caught_by: &["lineage::the_state_of_another_store_is_not_believed"],
    },
    Mutant {
        does: "calls durable in a frame what is synced together with it",
        file: "src/log/writer.rs",
        text: "durable: self.durable,
            commit_time",
        by: "durable: self.next.previous(),
            commit_time",
        caught_by: &["lineage::a_group_that_was_torn_anywhere_opens"],
    },
    // Versions, conflicts, visibility, order.
    Mutant {
        does: "checks expected versions without the appends of the same group",
        file: "src/commit/group.rs",
        text: "if let Some(head) = self.heads.get(&stream.hash) {",
        by: "if let Some(head) = self.heads.get(&stream.hash).filter(|_| false) {",
        caught_by: &["groups::a_refusal_in_a_group_does_not_touch_its_neighbours_and_all_share_one_sync"],
    },
    Mutant {
        does: "begins the versions of a stream anew in each segment",
        file: "src/commit/committer.rs",
        text: "here.is_none() && !sealed.is_empty()",
        by: "here.is_none() && sealed.is_empty()",
        caught_by: &[CRASH],
    },
    Mutant {
        does: "makes events visible before they are indexed",
        file: "src/commit/group.rs",
        text: "self.end.writer.flush()?;
        self.count(begun);",
        by: "self.end.writer.flush()?;
        self.shared.visible.publish(self.end.writer.next().previous(), [].iter());",
        caught_by: &["waking::whoever_is_woken_by_an_event_can_read_it"],
    },
    Mutant {
        does: "acknowledges before the events are visible",
        file: "src/commit/group.rs",
        text: "let records = self.admitted.iter().flat_map(|admitted| &admitted.pending.prepared.records);
        self.shared.visible.publish(last, records.map(|record| &record.terms));",
        by: "self.admitted.drain(..).for_each(Admitted::acknowledge);
        self.shared.visible.publish(last, [].iter());",
        caught_by: &["waking::whoever_has_a_receipt_can_read_the_event_at_once"],
    },
    Mutant {
        does: "shows a reader beside it what was written and not synced",
        file: "src/log/recovery.rs",
        text: "let visible = readable.min(*durable);",
        by: "let visible = readable;",
        caught_by: &["locking::a_reader_does_not_see_what_was_written_and_not_synced"],
    },
    Mutant {
        does: "lets a subscriber go on from the head instead of from what it has read",
        file: "src/subscription/mod.rs",
        text: "self.scanned = self.scanned.max(head);",
        by: "self.scanned = self.reader.visible().get();",
        caught_by: &["waking::a_subscriber_skips_nothing_that_comes_while_it_reads"],
    },
    Mutant {
        does: "wakes who waits for a term only by the first event of an append",
        file: "src/commit/group.rs",
        text: "self.shared.visible.publish(last, records.map(|record| &record.terms));",
        by: "self.shared.visible.publish(last, records.map(|record| &record.terms).take(1));",
        caught_by: &["waking::an_append_wakes_the_subscribers_whom_its_events_concern_and_no_others"],
    },
    Mutant {
        does: "tells that the log failed before it is known to have",
        file: "src/commit/group.rs",
        text: "let failure = self.shared.fail(failure);",
        by: "let failure = Error::Failed { reason: failure.to_string() };",
        caught_by: &["waking::whoever_is_told_that_the_log_failed_is_told_why_and_finds_it_failed"],
    },
    Mutant {
        does: "lets commit times follow a clock that goes back",
        file: "src/commit/group.rs",
        text: "let now = now.max(end.writer.last_time());",
        by: "",
        caught_by: &["locking::commit_times_never_decrease_whatever_the_clock_does"],
    },
    Mutant {
        does: "believes a clock that is years ahead",
        file: "src/store/open.rs",
        text: "if fresh || options.read_only",
        by: "if true || fresh || options.read_only",
        caught_by: &["locking::a_clock_that_is_years_ahead_is_refused_unless_it_is_allowed"],
    },
    // Failure latches, and one process writes.
    Mutant {
        does: "goes on after a failed write or sync",
        file: "src/commit/committer.rs",
        text: "*lock(&self.failed) = Some(reason.clone());",
        by: "",
        caught_by: &[FAULTS],
    },
    Mutant {
        does: "writes without the lock",
        file: "src/log/lock.rs",
        text: "if !file.try_lock()",
        by: "if false && !file.try_lock()",
        caught_by: &["locking::a_second_writer_is_refused_and_told_who_the_first_is"],
    },
    Mutant {
        does: "writes files in a store that is only read",
        file: "src/index/part.rs",
        text: "if self.indexing.read_only || keep == Keep::InMemory {",
        by: "if keep == Keep::InMemory {",
        caught_by: &["fuzz::a_damaged_directory_gives_an_error_or_what_was_there"],
    },
    Mutant {
        does: "checks a condition only up to what is visible when the append is prepared",
        file: "src/commit/group.rs",
        text: "before.find_map(|earlier| condition.check_admitted(number, &earlier.pending.prepared))",
        by: "before.find_map(|_| None)",
        caught_by: &["conditions::of_appends_in_one_group_the_first_breaks_the_condition_of_the_others"],
    },
    Mutant {
        does: "takes the filter's perhaps for a no",
        file: "src/format/index/filter.rs",
        text: "all & (u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & bit != 0)",
        by: "all & (u32::from_le_bytes([word[0], word[1], word[2], word[3]]) & bit.rotate_left(1) != 0)",
        caught_by: &["query::every_query_finds_what_a_look_at_every_event_finds"],
    },
    Mutant {
        does: "loses the last event of each run of a posting",
        file: "src/index/file.rs",
        text: "let count = (row.count - run * RUN).min(RUN);",
        by: "let count = (row.count - run * RUN).min(RUN - 1);",
        caught_by: &["query::every_query_finds_what_a_look_at_every_event_finds"],
    },
    Mutant {
        does: "tells of a damaged event without its place",
        file: "src/read/reader.rs",
        text: "let damaged = |fault: event::EventFault| segment.damaged(at, fault);",
        by: "let damaged = |fault: event::EventFault| segment.damaged(0, fault);",
        caught_by: &[FLIPPED],
    },
    Mutant {
        does: "saves events out of damaged frames without their checksums",
        file: "src/log/records.rs",
        text: "event::check(record).and_then(|()| event::check_terms(record))?;",
        by: "event::check_terms(record)?;",
        caught_by: &["fuzz::of_a_damaged_directory_events_are_saved_as_they_were"],
    },
    Mutant {
        does: "does not look for what breaks a condition between the caller's look and its group",
        file: "src/commit/group.rs",
        text: "condition.check(number, &self.parts, visible, &self.shared.lifecycles)?;",
        by: "condition.check(number, &self.parts, visible, &self.shared.lifecycles)?.filter(|_| false);",
        caught_by: &[MACHINE],
    },
    Mutant {
        does: "ignores what an append expects of streams that it does not write to",
        file: "src/commit/group.rs",
        text: "prepared.streams.iter_mut().chain(&mut prepared.expected) {",
        by: "prepared.streams.iter_mut().chain(prepared.expected.iter_mut().take(0)) {",
        caught_by: &[MACHINE, "conditions::a_stream_that_is_not_written_can_be_expected"],
    },
    Mutant {
        does: "commits what waits in another order than it came in",
        file: "src/commit/queue.rs",
        text: "Some(std::mem::take(&mut state.waiting))",
        by: "Some(std::mem::take(&mut state.waiting).into_iter().rev().collect())",
        caught_by: &[MACHINE],
    },
    Mutant {
        does: "forgets the segments that were sealed since a caller looked where its streams stand",
        file: "src/commit/group.rs",
        text: "self.parts.iter().rev().take_while(|part| part.number() > stream.warmed.through)",
        by: "self.parts.iter().rev().take(1).take_while(|part| part.number() > stream.warmed.through)",
        caught_by: &[MACHINE, RACING],
    },
    Mutant {
        does: "writes an append again that was sent again while it was under way",
        file: "src/commit/group.rs",
        text: "self.check_ids(prepared)\n    }",
        by: "self.check_ids(prepared).map(|_| None)\n    }",
        caught_by: &["repeats::of_the_same_append_sent_several_times_at_once_one_is_written"],
    },
    Mutant {
        does: "makes an append again that was made under its key while it was under way",
        file: "src/commit/group.rs",
        text: "if let Some(refusal) = self.check_key(prepared)? {",
        by: "if let Some(refusal) = self.check_key(prepared)?.filter(|_| false) {",
        caught_by: &["keys::appends_under_one_key_in_one_group_are_told_apart"],
    },
    Mutant {
        does: "answers an append with the receipt of another under its key",
        file: "src/commit/repeat.rs",
        text: "|| !event::repeats(self.bytes_of(record), &stored, compared)",
        by: "",
        caught_by: &["keys::another_append_under_the_same_key_is_refused_and_another_key_is_another_append"],
    },
    Mutant {
        does: "answers an event with the receipt of another that has its id",
        file: "src/format/event.rs",
        text: "&& said(new, labels_at) == said(stored, labels_at)",
        by: "",
        caught_by: &["repeats::an_event_that_says_something_else_cannot_have_the_id_of_another"],
    },
    Mutant {
        does: "reads an event at a place that a wrong length led to",
        file: "src/index/walk.rs",
        text: "event::check(&segment.slice(offset, len as usize)?)",
        by: "event::check(&segment.slice(offset, len as usize)?).or_else(|fault| if true { Ok(()) } else { Err(fault) })",
        caught_by: &[FLIPPED],
    },
];
