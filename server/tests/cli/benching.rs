//! `annals bench`: it measures all it names, and leaves nothing behind.

use super::command::Place;

#[test]
fn each_kind_of_work_is_measured_and_the_directory_is_gone_afterwards() {
    let place = Place::new();
    let told = place.run(&["bench", "--appends", "20", "--json"]).ok();
    let figures: Vec<serde_json::Value> =
        told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let whats: Vec<&str> = figures.iter().filter_map(|figures| figures["what"].as_str()).collect();
    assert_eq!(figures.len(), 15, "{whats:?}");
    for figures in &figures {
        let of = |name: &str| figures[name].as_f64().expect("a number");
        assert!(of("p50Us") > 0.0 && of("p50Us") <= of("p99Us") && of("p99Us") <= of("p999Us"), "{figures}");
        assert!(of("perSecond") > 0.0, "{figures}");
    }
    let beside_raw = figures.iter().filter(|figures| figures["ofRaw"].is_number()).count();
    assert_eq!(beside_raw, 5, "{whats:?}");
    let load = figures.iter().find(|figures| figures["bytesPerEvent"].is_number()).expect("a load");
    assert!(load["bytesPerEvent"].as_f64().is_some_and(|bytes| bytes > 320.0), "{load}");
    assert_eq!(load["anonymousMegabytes"].is_number(), cfg!(target_os = "linux"), "{load}");
    let left = std::fs::read_dir(place.path(".")).expect("listable");
    let names: Vec<String> =
        left.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("bench")), "{names:?}");
}
