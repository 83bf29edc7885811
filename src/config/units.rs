//! Values with their units written out: `200ms`, `5Mbit`.

use std::time::Duration;

/// Reads a duration: `200ms`, `2s`, `1.5s`, `10min`, `1h`, `30d`.
///
/// # Errors
/// A sentence that says what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    number
        .parse::<f64>()
        .ok()
        .map(|number| number * scale)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("\"{text}\" is no duration; write a number and its unit: \"200ms\", \"2s\", \"10min\", \"1h\", \"30d\""))
}

/// Writes a duration the way [`duration`] reads it.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

/// Reads bits a second: `800kbit`, `2.5Mbit`.
///
/// # Errors
/// A sentence that says what to write.
pub fn bitrate(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "kbit" => 1e3,
        "Mbit" => 1e6,
        _ => f64::NAN,
    };
    let bits = number.parse::<f64>().unwrap_or(f64::NAN) * scale;
    if !(1e3..=1e9).contains(&bits) {
        return Err(format!(
            "\"{text}\" is no bit rate; write a number and its unit: \"800kbit\", \"2.5Mbit\""
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bits.round() as u64)
}

/// Reads an amount of memory or disk: `64MB`, `1.5GB`; decimal, as disks and clouds are sold.
///
/// # Errors
/// A sentence that says what to write.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * scale;
    if !(0.0..=1e18).contains(&bytes) {
        return Err(format!(
            "\"{text}\" is no size; write a number and its unit: \"64MB\", \"1.5GB\""
        ));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes.round() as u64)
}

/// Writes a size the way [`bytes()`] reads it, to a tenth of its unit.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    match bytes as f64 {
        large if large >= 1e9 => format!("{:.1}GB", large / 1e9),
        small => format!("{:.0}MB", small / 1e6),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at =
        text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_written_out() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(bitrate("2.5Mbit"), Ok(2_500_000));
        assert_eq!(bytes("1.5GB"), Ok(1_500_000_000));
        assert_eq!(
            (show_bytes(1_500_000_000), show_bytes(64_000_000)),
            ("1.5GB".into(), "64MB".into())
        );
        for wrong in ["200", "ms", "-1s", "2 parsecs", "", "1e99s", "٣s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
            assert!(bitrate(wrong).is_err(), "{wrong}");
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
