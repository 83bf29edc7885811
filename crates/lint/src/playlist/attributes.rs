use std::time::Duration;

use super::Fault;
use super::faults::{ATTRIBUTE, DUPLICATE_ATTRIBUTE};

/// An attribute list (§4.2), as it stands on a line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    pairs: Vec<(String, Value)>,
    pub(crate) line: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Value {
    text: String,
    quoted: bool,
}

impl Attributes {
    pub(super) fn read(text: &str, line: usize, faults: &mut Vec<Fault>) -> Self {
        let mut found = Self { pairs: Vec::new(), line };
        let mut rest = text;
        while !rest.is_empty() {
            let Some((name, after)) = rest.split_once('=') else {
                faults.push(Fault::new(
                    &ATTRIBUTE,
                    line,
                    format!(
                        "after \"{rest}\" a = is missing: write NAME=value, divided by commas."
                    ),
                ));
                break;
            };
            let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(legal) {
                faults.push(Fault::new(&ATTRIBUTE, line, format!("\"{name}\" is no attribute name: use A-Z, 0-9 and -, without spaces around , and =.")));
            }
            let (text, quoted, after) = match after.strip_prefix('"') {
                Some(inside) => {
                    let Some((text, after)) = inside.split_once('"') else {
                        faults.push(Fault::new(
                            &ATTRIBUTE,
                            line,
                            format!("the value of {name} has no closing quotation mark."),
                        ));
                        break;
                    };
                    (text, true, after)
                }
                None => {
                    let end = after.find(',').unwrap_or(after.len());
                    (&after[..end], false, &after[end..])
                }
            };
            if !quoted
                && (text.is_empty() || text.contains(|c: char| c.is_whitespace() || c == '"'))
            {
                faults.push(Fault::new(&ATTRIBUTE, line, format!("the value of {name} is empty, or holds a space or a quotation mark: quote strings, write numbers bare.")));
            }
            let name = name.trim();
            if found.get(name).is_some() {
                faults.push(Fault::new(
                    &DUPLICATE_ATTRIBUTE,
                    line,
                    format!("{name} stands twice: a list names an attribute once."),
                ));
            } else {
                found.pairs.push((name.to_owned(), Value { text: text.to_owned(), quoted }));
            }
            rest = match after.strip_prefix(',') {
                Some(following) => following,
                None if after.is_empty() => "",
                None => {
                    faults.push(Fault::new(&ATTRIBUTE, line, format!("after the value of {name} comes \"{after}\": divide attributes by commas.")));
                    ""
                }
            };
        }
        found
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The value of an attribute, quoted or not.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).map(|value| value.text.as_str())
    }

    /// The names of all attributes, with their values, without quotation marks.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.text.as_str()))
    }

    /// A client attribute whose value is no quoted string, no hexadecimal sequence and no decimal
    /// number, which is all it may be (§4.4.5.1).
    pub(super) fn bare_text(&self) -> Option<&str> {
        let number = |text: &str| {
            let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
            decimal(text.strip_prefix('-').unwrap_or(text)).is_some()
                || hex.is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
        };
        let bare = |(name, value): &&(String, Value)| {
            name.starts_with("X-") && !value.quoted && !number(&value.text)
        };
        self.pairs.iter().find(bare).map(|(name, _)| name.as_str())
    }

    /// Whether an enumerated attribute says YES.
    #[must_use]
    pub fn yes(&self, name: &str) -> bool {
        self.text(name) == Some("YES")
    }

    /// A quoted string.
    pub(super) fn quoted(&self, name: &str, faults: &mut Vec<Fault>) -> Option<&str> {
        let value = self.get(name)?;
        if !value.quoted {
            faults.push(Fault::new(
                &ATTRIBUTE,
                self.line,
                format!("{name} is a quoted string: put it in quotation marks."),
            ));
        }
        Some(&value.text)
    }

    /// A decimal number of seconds.
    pub(super) fn seconds(&self, name: &str, faults: &mut Vec<Fault>) -> Option<Duration> {
        let value = self.get(name)?;
        let seconds = decimal(&value.text).filter(|_| !value.quoted);
        if seconds.is_none() {
            faults.push(Fault::new(
                &ATTRIBUTE,
                self.line,
                format!("{name} is no bare decimal number of seconds."),
            ));
        }
        seconds
    }

    /// A decimal integer.
    pub(super) fn integer(&self, name: &str, faults: &mut Vec<Fault>) -> Option<u64> {
        let value = self.get(name)?;
        let number = integer(&value.text).filter(|_| !value.quoted);
        if number.is_none() {
            faults.push(Fault::new(
                &ATTRIBUTE,
                self.line,
                format!("{name} is no bare decimal integer."),
            ));
        }
        number
    }
}

/// A decimal integer, digits alone.
pub(super) fn integer(text: &str) -> Option<u64> {
    Some(text).filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()
}

/// Unsigned decimal seconds, exact to the nanosecond.
pub(super) fn decimal(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_and_nothing_else_is_read() {
        assert_eq!(decimal("0.33334"), Some(Duration::from_nanos(333_340_000)));
        assert_eq!(decimal("2"), Some(Duration::from_secs(2)));
        for broken in ["", ".5", "1.", "-1", "1e3", " 1", "1,5", "99999999999999999999"] {
            assert_eq!(decimal(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_list_is_read_whatever_is_wrong_with_it() {
        let mut faults = Vec::new();
        let list = Attributes::read("URI=\"a,b=c\",DURATION=0.5", 1, &mut faults);
        assert_eq!((list.text("URI"), list.text("DURATION")), (Some("a,b=c"), Some("0.5")));
        assert_eq!(faults, []);
        for broken in ["A", "A=1, B=2", "a=1", "A=\"1", "A=1,A=2", "A=\"1\"B=2", "A=", "A = 1"] {
            Attributes::read(broken, 1, &mut faults);
            assert!(!faults.is_empty(), "{broken}");
            faults.clear();
        }
    }
}
