//! Engines that are broken in what is no longer shown, and in what a scavenge does with it.

use super::Mutant;

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        does: "shows in reads of everything what the settings of a stream hide",
        file: "src/lifecycle.rs",
        text: "Ok(lifecycle.hides(version, recorded_at, head, newest))",
        by: "Ok(lifecycle.hides(version, recorded_at, head, newest) && false)",
        caught_by: &["deleting::every_way_to_read_shows_what_a_model_shows_before_and_after_reopening"],
    },
    Mutant {
        does: "forgets at the next segment that there are settings",
        file: "src/commit/group.rs",
        text: "self.end.writer.note_settings(last);",
        by: "",
        caught_by: &["deleting::settings_are_found_again_however_long_ago_they_were_made"],
    },
    Mutant {
        does: "forgets where a stream stood whose events were removed",
        file: "src/scavenge/plan.rs",
        text: "self.plan.last_versions.extend(gone.map(|seen| (seen.name, seen.version)));",
        by: "drop(gone.map(|seen| (seen.name, seen.version)));",
        caught_by: &[
            "scavenge::old_segments_are_dropped_and_the_store_remembers_where_its_streams_stood",
            "scavenge::what_is_shown_is_the_same_after_a_scavenge_and_versions_go_on",
        ],
    },
    Mutant {
        does: "puts a rewritten segment in the place of the old one before it is on stable storage",
        file: "src/log/rewrite.rs",
        text: ".and_then(|()| self.file.sync_data())",
        by: "",
        caught_by: &["scavenge::a_crash_at_any_moment_of_a_scavenge_leaves_a_whole_store"],
    },
    Mutant {
        does: "tells a subscriber nothing of what retention took",
        file: "src/subscription/mod.rs",
        text: "self.held_back = Some(delivery);
                Delivery::Skipped { from, to }",
        by: "let _ = (from, to);
                delivery",
        caught_by: &["deleting::a_subscriber_is_told_of_what_it_does_not_get"],
    },
    Mutant {
        does: "lets the retention of the store take the segment of the newest event",
        file: "src/scavenge/mod.rs",
        text: "let last = parts.partition_point(|part| part.first <= visible).saturating_sub(1);",
        by: "let last = parts.len().saturating_sub(usize::from(visible == Position::START));",
        caught_by: &[
            "closing::the_retention_of_the_store_keeps_the_newest_segment_also_when_a_close_has_sealed_it",
        ],
    },
];
