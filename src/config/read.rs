//! Reading a configuration file so that every fault is found in one go, with its line and a remedy.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::units;

/// One thing wrong with the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// Where: `nowcast.toml:12`, `NOWCAST_SRT_LISTEN` or `--srt`.
    pub place: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Values that stand above the file: flags, then `NOWCAST_…` variables.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    values: BTreeMap<String, (String, String)>,
}

impl Overrides {
    /// The `NOWCAST_SECTION_KEY` variables of an environment.
    pub fn from_env(vars: impl Iterator<Item = (String, String)>) -> Self {
        let values = vars
            .filter_map(|(name, value)| {
                let key = name.strip_prefix("NOWCAST_")?.to_lowercase().replacen('_', ".", 1);
                Some((key, (value, name)))
            })
            .collect();
        Self { values }
    }

    /// Sets `section.key` by a flag; a flag wins over everything.
    pub fn flag(&mut self, key: &str, value: impl Into<String>, flag: &str) {
        self.values.insert(key.to_owned(), (value.into(), flag.to_owned()));
    }
}

/// Collects faults while a file is read.
pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    text: &'a str,
    overrides: &'a Overrides,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, overrides: &'a Overrides) -> Self {
        Self { file, text, overrides, faults: Vec::new() }
    }

    /// The file as a table; what cannot be read at all becomes faults.
    pub(super) fn parse(&mut self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.fault(error.span(), error.message());
        }
        table.into_inner()
    }

    pub(super) fn fault(&mut self, span: Option<Range<usize>>, message: impl Into<String>) {
        let place = match span {
            Some(span) => {
                let before = self.text.as_bytes().get(..span.start).unwrap_or_default();
                let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
                format!("{}:{line}", self.file)
            }
            None => self.file.to_owned(),
        };
        self.faults.push(Fault { place, message: message.into() });
    }

    /// Takes the section `name` out of the file.
    pub(super) fn section<'r>(
        &'r mut self,
        file: &mut DeTable<'a>,
        name: &'static str,
    ) -> Section<'r, 'a> {
        let table = match file.remove(name) {
            None => DeTable::new(),
            Some(value) => {
                let span = value.span();
                match value.into_inner() {
                    DeValue::Table(table) => table,
                    other => {
                        let message =
                            format!("`{name}` is a {}; write a table: [{name}]", other.type_str());
                        self.fault(Some(span), message);
                        DeTable::new()
                    }
                }
            }
        };
        Section { reader: self, name, table, span: None }
    }

    /// Takes the tables `[[name]]` out of the file, each with where it stands.
    pub(super) fn tables(
        &mut self,
        file: &mut DeTable<'a>,
        name: &str,
    ) -> Vec<(DeTable<'a>, Range<usize>)> {
        let Some(value) = file.remove(name) else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(array) = value.into_inner() else {
            self.fault(
                Some(span),
                format!("write [[{name}]] with two brackets: there can be many"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array {
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => tables.push((table, span)),
                _ => self.fault(Some(span), format!("`{name}` holds tables only: [[{name}]]")),
            }
        }
        tables
    }

    /// Everything still in the file is unknown.
    pub(super) fn unknown(&mut self, rest: &DeTable<'a>, place: &str, known: &[&str]) {
        for key in rest.keys() {
            let message =
                format!("unknown key `{}` {place}; known: {}", key.get_ref(), known.join(", "));
            self.fault(Some(key.span()), message);
        }
    }
}

/// One table of the file; every key is taken out as it is read, what is left is unknown.
pub(super) struct Section<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) name: &'static str,
    pub(super) table: DeTable<'a>,
    pub(super) span: Option<Range<usize>>,
}

/// A value and the place it came from.
pub(super) struct Found<'a> {
    value: Value<'a>,
    place: Option<Range<usize>>,
    origin: Option<String>,
}

enum Value<'a> {
    File(DeValue<'a>),
    Text(String),
}

impl<'a> Section<'_, 'a> {
    /// The value of `key`: override first, then file.
    fn take(&mut self, key: &str) -> Option<Found<'a>> {
        let stored = self.table.remove(key);
        let path = format!("{}.{key}", self.name);
        if let Some((value, origin)) = self.reader.overrides.values.get(&path) {
            return Some(Found {
                value: Value::Text(value.clone()),
                place: None,
                origin: Some(origin.clone()),
            });
        }
        let stored: Spanned<DeValue<'a>> = stored?;
        let place = Some(stored.span());
        Some(Found { value: Value::File(stored.into_inner()), place, origin: None })
    }

    fn complain(&mut self, found: &Found<'_>, message: String) {
        match &found.origin {
            Some(origin) => self.reader.faults.push(Fault { place: origin.clone(), message }),
            None => self.reader.fault(found.place.clone(), message),
        }
    }

    /// A text that `parse` accepts; otherwise a fault that ends in `parse`'s message.
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.take(key)?;
        let text = match &found.value {
            Value::Text(text) => text.as_str(),
            Value::File(DeValue::String(text)) => text,
            Value::File(other) => {
                let message = format!("`{key}` is a {}; write it in quotes", other.type_str());
                self.complain(&found, message);
                return None;
            }
        };
        match parse(text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.complain(&found, format!("`{key}`: {message}"));
                None
            }
        }
    }

    /// A number within `range`, without quotes.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<f64>) -> Option<f64> {
        let found = self.take(key)?;
        let text = match &found.value {
            Value::Text(text) => text.as_str(),
            Value::File(DeValue::Integer(number)) => number.as_str(),
            Value::File(DeValue::Float(number)) => number.as_str(),
            Value::File(_) => "",
        };
        match text.parse().ok().filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => {
                let (least, most) = range.into_inner();
                self.complain(
                    &found,
                    format!("`{key}` is a number from {least} to {most}, without quotes"),
                );
                None
            }
        }
    }

    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let found = self.take(key)?;
        match &found.value {
            Value::File(DeValue::Boolean(value)) => Some(*value),
            Value::Text(text) if text == "true" || text == "false" => Some(text == "true"),
            _ => {
                self.complain(&found, format!("`{key}` is true or false, without quotes"));
                None
            }
        }
    }

    /// A list of texts, each accepted by `parse`.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let found = self.take(key)?;
        let texts: Option<Vec<String>> = match &found.value {
            Value::Text(text) => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
            Value::File(DeValue::Array(items)) => {
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
            }
            Value::File(_) => None,
        };
        let Some(texts) = texts else {
            self.complain(&found, format!("`{key}` is a list of texts: [\"…\", \"…\"]"));
            return None;
        };
        let mut values = Vec::with_capacity(texts.len());
        for text in texts {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(message) => self.complain(&found, format!("`{key}`: {message}")),
            }
        }
        Some(values)
    }

    pub(super) fn address(&mut self, key: &str) -> Option<SocketAddr> {
        self.text(key, |text| {
            text.parse().map_err(|_| {
                format!("\"{text}\" is no address; write \"IP:PORT\", as in \"0.0.0.0:9000\" or \"[::]:9000\"")
            })
        })
    }

    pub(super) fn duration(&mut self, key: &str, range: [&str; 2]) -> Option<Duration> {
        self.text(key, |text| {
            let value = units::duration(text)?;
            let limit = |text| units::duration(text).unwrap_or_default();
            if value < limit(range[0]) || value > limit(range[1]) {
                return Err(format!("\"{text}\" is outside {} to {}", range[0], range[1]));
            }
            Ok(value)
        })
    }

    /// A fault about the whole table.
    pub(super) fn complain_here(&mut self, message: impl Into<String>) {
        let span = self.span.clone();
        self.reader.fault(span, message);
    }

    /// A table of two texts, `{ cert = "…", key = "…" }`, that `parse` accepts together; in a
    /// variable a comma stands between them.
    pub(super) fn pair<T>(
        &mut self,
        key: &str,
        names: [&str; 2],
        parse: impl FnOnce([&str; 2]) -> Result<T, String>,
    ) -> Option<T> {
        let found = self.take(key)?;
        let texts = match &found.value {
            Value::Text(text) => text.split_once(',').map(|(a, b)| [a.trim(), b.trim()]),
            Value::File(DeValue::Table(table)) if table.len() == 2 => {
                let text = |name: &str| table.get(name).and_then(|value| value.get_ref().as_str());
                text(names[0]).zip(text(names[1])).map(Into::into)
            }
            Value::File(_) => None,
        };
        let [a, b] = names;
        let form = || format!("write {{ {a} = \"FILE\", {b} = \"FILE\" }}");
        match texts.ok_or_else(form).and_then(parse) {
            Ok(value) => Some(value),
            Err(message) => {
                self.complain(&found, format!("`{key}`: {message}"));
                None
            }
        }
    }

    /// Ends the section: what was not taken is unknown.
    pub(super) fn finish(self, known: &[&str]) {
        self.reader.unknown(&self.table, &format!("in [{}]", self.name), known);
    }
}
