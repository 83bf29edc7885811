//! Attribute lists and values (§4.2).

use super::Units;

/// The attributes of one tag; each must be taken exactly once.
pub(super) struct Attributes<'a> {
    tag: &'a str,
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Attributes<'a> {
    pub(super) fn read(tag: &'a str, list: &'a str) -> Result<Self, String> {
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        let mut rest = list;
        loop {
            let (name, after) =
                rest.split_once('=').ok_or_else(|| format!("{tag}: no value in {rest:?}"))?;
            let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || !name.chars().all(legal) {
                return Err(format!("{tag}: illegal attribute name {name:?}"));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(format!("{tag}: {name} twice"));
            }
            let length = if let Some(quoted) = after.strip_prefix('"') {
                quoted.find('"').ok_or_else(|| format!("{tag}: {name} has no closing quote"))? + 2
            } else {
                after.find(',').unwrap_or(after.len())
            };
            let (value, after) = after.split_at(length);
            if value.is_empty() || (!value.starts_with('"') && value.contains([' ', '"'])) {
                return Err(format!("{tag}: illegal value {value:?} of {name}"));
            }
            pairs.push((name, value));
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(Self { tag, pairs }),
                None => return Err(format!("{tag}: {after:?} after {name}")),
            }
        }
    }

    fn take(&mut self, name: &str) -> Option<&'a str> {
        let index = self.pairs.iter().position(|(other, _)| *other == name)?;
        Some(self.pairs.remove(index).1)
    }

    fn need(&mut self, name: &str) -> Result<&'a str, String> {
        self.take(name).ok_or_else(|| format!("{}: {name} is missing", self.tag))
    }

    pub(super) fn quoted(&mut self, name: &str) -> Result<String, String> {
        let value = self.need(name)?;
        value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .filter(|value| !value.is_empty())
            .map(Into::into)
            .ok_or_else(|| format!("{}: {name}={value} is no quoted string", self.tag))
    }

    pub(super) fn word(&mut self, name: &str) -> Result<&'a str, String> {
        self.need(name)
    }

    pub(super) fn integer(&mut self, name: &str) -> Result<u64, String> {
        integer(self.need(name)?).map_err(|error| format!("{}: {name}: {error}", self.tag))
    }

    pub(super) fn seconds(&mut self, name: &str) -> Result<Units, String> {
        seconds(self.need(name)?).map_err(|error| format!("{}: {name}: {error}", self.tag))
    }

    /// Seconds, if they are there.
    pub(super) fn optional_seconds(&mut self, name: &str) -> Result<Option<Units>, String> {
        let there = self.pairs.iter().any(|(other, _)| *other == name);
        if there { self.seconds(name).map(Some) } else { Ok(None) }
    }

    /// All that are left and begin with `X-`, quoted strings.
    pub(super) fn custom(&mut self) -> Result<Vec<(String, String)>, String> {
        let mut custom = Vec::new();
        while let Some((name, _)) = self.pairs.iter().find(|(name, _)| name.starts_with("X-")) {
            let name = *name;
            custom.push((name.to_owned(), self.quoted(name)?));
        }
        Ok(custom)
    }

    /// `YES`, or absent.
    pub(super) fn yes(&mut self, name: &str) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(false),
            Some("YES") => Ok(true),
            Some(other) => Err(format!("{}: {name}={other}", self.tag)),
        }
    }

    pub(super) fn finish(self) -> Result<(), String> {
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("{}: unexpected {name}", self.tag)),
        }
    }
}

pub(super) fn integer(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| format!("{text:?} is no decimal integer"))
}

/// A decimal with up to 5 digits after the point, exactly.
pub(super) fn seconds(text: &str) -> Result<Units, String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || fraction.len() > 5 {
        return Err(format!("{text:?} has not 1 to 5 decimals"));
    }
    Ok(integer(whole)? * 100_000 + integer(&format!("{fraction:0<5}"))?)
}

/// Milliseconds since 1970 of `YYYY-MM-DDThh:mm:ss.sssZ`.
pub(super) fn date(text: &str) -> Result<i64, String> {
    let fault = || format!("{text:?} is no UTC date with milliseconds");
    let shape = text.bytes().map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    if !shape.eq(*b"0000-00-00T00:00:00.000Z") {
        return Err(fault());
    }
    let field = |from: usize, to: usize| text[from..to].parse::<i64>().map_err(|_| fault());
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month - 1).map_err(|_| fault())?;
    let length = *lengths.get(month).ok_or_else(fault)?;
    if year < 1970 || !(1..=length).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return Err(fault());
    }
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    let days = years + lengths[..month].iter().sum::<i64>() + day - 1;
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + field(20, 23)?)
}
