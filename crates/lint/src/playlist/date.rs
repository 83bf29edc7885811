/// Microseconds since 1970 of an ISO 8601 date and time; `None` where it is none, the flag tells
/// whether it names its zone.
pub(super) fn parse(text: &str) -> Option<(i64, bool)> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let signs = |at: usize, sign: char| text.get(at..=at).is_some_and(|c| c.starts_with(sign));
    if !(signs(4, '-') && signs(7, '-') && signs(10, 'T') && signs(13, ':') && signs(16, ':')) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 24
        || minute > 59
        || second > 60
    {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        micros = format!("{:0<6}", &fraction[..end])[..6].parse().ok()?;
        rest = &fraction[end..];
    }
    let (offset, zoned) = match rest {
        "" => (0, false),
        "Z" => (0, true),
        zone => (minutes(zone)?, true),
    };
    let seconds =
        days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset * 60;
    Some((seconds * 1_000_000 + micros, zoned))
}

/// `+hh:mm`, `+hhmm` or `+hh`, in minutes.
fn minutes(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = zone.get(1..)?.replace(':', "");
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = match digits.get(2..)? {
        "" => 0,
        minutes => minutes.parse().ok()?,
    };
    Some(sign * (hours * 60 + minutes))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // March is the first month, so that the day a leap year adds is the last of all.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_with_any_zone_are_read() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T12:00:00.5Z", 1_709_208_000_500_000),
            ("2026-11-22T10:00:00.123+02:00", 1_795_334_400_123_000),
            ("2026-11-22T03:00:00.123-0500", 1_795_334_400_123_000),
        ] {
            assert_eq!(parse(text), Some((micros, true)), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01"), Some((1_000_000, false)));
        for broken in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "2026-11-22 10:00:00Z",
            "2026-11-22T10:00:00X",
        ] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
