//! `http`, as small as it goes: both servers do everything that is measured of them, or the command fails.
#![cfg(feature = "http")]

use std::process::Command;

#[test]
fn both_servers_do_every_workload_and_leave_nothing_behind() {
    let dir = std::env::temp_dir().join(format!("annals-bench-compare-test-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_annals-bench-compare"))
        .args(["http", "--rounds", "1", "--slices", "1", "--events", "1000", "--dir"])
        .arg(&dir)
        .output()
        .unwrap();
    let left = std::fs::read_dir(&dir).unwrap().count();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table = String::from_utf8(out.stdout).unwrap();
    let rows: Vec<&str> =
        table.lines().filter(|line| line.contains(" | at least") || line.contains("at most")).collect();
    assert_eq!(rows.len(), 14, "{table}");
    for row in rows.iter().filter(|row| !row.contains("after a kill")) {
        let share = row.rsplit(" | ").nth(1).unwrap();
        assert!(share.parse::<f64>().unwrap() > 0.0, "{row}");
    }
    assert_eq!(left, 0);
}
