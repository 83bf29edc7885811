//! The query of a playlist request: read, and what was read holds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nowcast_hls::Directives;

fuzz_target!(|query: &str| {
    if let Ok(directives) = Directives::parse(Some(query)) {
        assert!(directives.part.is_none() || directives.msn.is_some(), "a part is counted in a segment");
        let text = [
            directives.msn.map(|msn| format!("_HLS_msn={msn}")),
            directives.part.map(|part| format!("_HLS_part={part}")),
            directives.skip.then(|| "_HLS_skip=YES".to_owned()),
        ];
        let text = text.into_iter().flatten().collect::<Vec<_>>().join("&");
        assert_eq!(Directives::parse(Some(&text)), Ok(directives), "{query} reads as {text}");
    }
});
