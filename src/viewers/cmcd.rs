//! Common Media Client Data: what players say of themselves, with requests (CTA-5004, version 1) and in
//! event reports (CTA-5004-B, version 2).
//!
//! Both write a list of keys and values in the manner of RFC 8941: `bl=2100,bs,cid="live",ltc=1480`. Version 2 puts
//! numbers into inner lists, `bl=(2100;v 1900;a)`. Keys that nothing is made of are passed over.

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use serde_json::Value as Json;

/// The header fields of version 1.
const HEADERS: [&str; 4] = ["cmcd-session", "cmcd-request", "cmcd-object", "cmcd-status"];
/// The longest session or content id (CTA-5004: 64 characters) or address that is looked at, in bytes.
const LONGEST: usize = 4096;

/// What one request or event says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report<'a> {
    /// `sid`: the playback session.
    pub(super) session: Option<Cow<'a, str>>,
    /// `cid`: what is played.
    pub(super) content: Option<Cow<'a, str>>,
    /// `url`: what was asked for.
    pub(super) url: Option<Cow<'a, str>>,
    /// `ltc`: how far behind live, in milliseconds.
    pub(super) latency_ms: Option<u32>,
    /// `bl`: what is buffered, in milliseconds; the least of all tracks.
    pub(super) buffer_ms: Option<u32>,
    /// `br`: kbit/s of what plays.
    pub(super) kbps: Option<u32>,
    /// `bs`: the buffer ran dry since the last request.
    pub(super) starved: bool,
    /// `bsa`: how often it ran dry since the session began.
    pub(super) starvations: Option<u32>,
    /// `sta` says that the session is over: ended, quit or failed.
    pub(super) over: bool,
    /// `live.nowcast-sample`: how many sessions this one stands for; 0: it only asks how many it shall.
    pub(super) sample: Option<u32>,
}

/// What is wrong with a report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'a> Report<'a> {
    /// Reads one record: a list of keys and values.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        let mut report = Self::default();
        report.read(text)?;
        Ok(report)
    }

    /// Reads the four header fields; `None` where they say nothing, or nothing that can be read.
    pub(super) fn of_headers(headers: &'a HeaderMap) -> Option<Self> {
        let mut report = Self::default();
        for name in HEADERS {
            if let Some(value) = headers.get(name) {
                report.read(value.to_str().ok()?).ok()?;
            }
        }
        (report != Self::default()).then_some(report)
    }

    /// Reads a record written as a JSON object.
    pub(super) fn of_json(record: &Json) -> Result<Report<'static>, Fault> {
        let Json::Object(members) = record else {
            return Err(Fault(
                "a report in JSON is an object: {\"sid\":\"…\",\"ltc\":1480}".into(),
            ));
        };
        let mut report = Report::default();
        for (key, value) in members {
            let first = value.as_array().and_then(|list| list.first()).unwrap_or(value);
            match first {
                Json::String(text) => report.take_text(key, Cow::Owned(text.clone())),
                Json::Number(number) => report.take_number(key, number.as_f64().unwrap_or(-1.0)),
                Json::Bool(true) => report.take_flag(key),
                Json::Bool(false) | Json::Null | Json::Array(_) | Json::Object(_) => {}
            }
        }
        Ok(report)
    }

    fn read(&mut self, text: &'a str) -> Result<(), Fault> {
        for member in split(text, ',')? {
            let (key, value) = match member.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (member, None),
            };
            let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._*".contains(&byte);
            if key.is_empty() || !key.bytes().all(legal) {
                let shown: String = key.chars().take(20).collect();
                return Err(Fault(format!("{shown:?} is no key: write key=value,key=value")));
            }
            match value {
                None | Some("?1") => self.take_flag(key),
                Some(value) => self.take(key, value)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, key: &str, value: &'a str) -> Result<(), Fault> {
        let fault = || Fault(format!("the value of {key} cannot be read"));
        if let Some(list) = value.strip_prefix('(') {
            let list = list.strip_suffix(')').ok_or_else(fault)?;
            for item in list.split(' ').filter(|item| !item.is_empty()) {
                // What tells the tracks apart is passed over.
                let number = item.split(';').next().unwrap_or(item);
                match number.parse() {
                    Ok(number) => self.take_number(key, number),
                    // Lists of texts, as `nor` is one, are of no use here.
                    Err(_) => break,
                }
            }
            return Ok(());
        }
        if value.starts_with('"') {
            self.take_text(key, unquote(value).ok_or_else(fault)?);
        } else if let Ok(number) = value.parse() {
            self.take_number(key, number);
        } else if value.is_empty() || value.contains([' ', '"', '(', ')']) {
            return Err(fault());
        } else {
            self.take_text(key, Cow::Borrowed(value));
        }
        Ok(())
    }

    fn take_flag(&mut self, key: &str) {
        self.starved |= key == "bs";
    }

    fn take_number(&mut self, key: &str, number: f64) {
        // A conversion that ends at the type's limits: what is beyond them is no latency.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let value = Some(number as u32).filter(|_| (0.0..1e9).contains(&number));
        match key {
            "ltc" => self.latency_ms = value,
            "bl" => self.buffer_ms = self.buffer_ms.into_iter().chain(value).min(),
            "br" => self.kbps = self.kbps.or(value),
            "bsa" => self.starvations = Some(self.starvations.unwrap_or(0) + value.unwrap_or(0)),
            "live.nowcast-sample" => self.sample = value,
            _ => {}
        }
    }

    fn take_text(&mut self, key: &str, text: Cow<'a, str>) {
        match key {
            _ if text.len() > LONGEST => {}
            "sid" => self.session = Some(text),
            "cid" => self.content = Some(text),
            "url" => self.url = Some(text),
            "sta" => self.over = matches!(&*text, "e" | "q" | "f"),
            // A custom key has to be a text.
            "live.nowcast-sample" => self.sample = text.parse().ok(),
            _ => {}
        }
    }
}

/// The members of a list, split where `separator` stands outside of quotes and brackets.
fn split(text: &str, separator: char) -> Result<Vec<&str>, Fault> {
    let (mut members, mut from) = (Vec::new(), 0);
    let (mut quoted, mut escaped, mut listed) = (false, false, false);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => listed = true,
            ')' => listed = false,
            letter if letter == separator && !listed => {
                members.push(text[from..at].trim());
                from = at + letter.len_utf8();
            }
            letter if letter.is_control() => {
                return Err(Fault("there is a control character in it".into()));
            }
            _ => {}
        }
    }
    if quoted || listed {
        return Err(Fault("it ends within a quoted text or a list".into()));
    }
    members.push(text[from..].trim());
    Ok(members)
}

fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let inner = value.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner)).filter(|inner| !inner.contains('"'));
    }
    let (mut text, mut letters) = (String::with_capacity(inner.len()), inner.chars());
    while let Some(letter) = letters.next() {
        text.push(if letter == '\\' { letters.next()? } else { letter });
    }
    Some(Cow::Owned(text))
}

/// The text of the query parameter `CMCD`, decoded.
pub(super) fn of_query(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|parameter| parameter.strip_prefix("CMCD="))?;
    let (mut decoded, mut bytes) = (Vec::with_capacity(value.len()), value.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(report: &Report<'_>) -> [Option<u32>; 4] {
        [report.latency_ms, report.buffer_ms, report.kbps, report.starvations]
    }

    /// Lines that `encodeCmcd` of @svta/cml-cmcd 2.7.0 wrote.
    #[test]
    fn both_versions_are_read_as_the_reference_library_writes_them() {
        let first = "bl=2100,br=3200,bs,cid=\"live\",d=4004,dl=1200,mtp=25400,nor=\"p12.m4s\",ot=v,rtp=15000,\
            sf=h,sid=\"6e2fb550-c457-11e9-bb97-0800200c9a66\",st=ll,su,tb=6000";
        let report = Report::parse(first).unwrap();
        assert_eq!(report.session.as_deref(), Some("6e2fb550-c457-11e9-bb97-0800200c9a66"));
        assert_eq!((report.content.as_deref(), report.starved), (Some("live"), true));
        assert_eq!(number(&report), [None, Some(2100), Some(3200), None]);

        let second = "bl=(2100;v 1900;a),br=(2500),bs,bsa=(2),cid=\"li\\\"ve\",e=t,live.nowcast-sample=\"4\",ltc=1480,\
            pt=1200,sf=h,sid=\"6e2f\",st=ll,sta=p,ts=1760000000123,v=2";
        let report = Report::parse(second).unwrap();
        assert_eq!((report.content.as_deref(), report.over), (Some("li\"ve"), false));
        assert_eq!(number(&report), [Some(1480), Some(1900), Some(2500), Some(2)]);
        assert_eq!(report.sample, Some(4));
        assert!(Report::parse("e=ps,sid=\"a\",sta=e").unwrap().over);
        let decoded = of_query("_HLS_msn=3&CMCD=bl%3D2100%2Ccid%3D%22live%22&x=y").unwrap();
        assert_eq!(decoded, "bl=2100,cid=\"live\"");
        let json = serde_json::json!({"sid": "a", "ltc": 1480, "bl": [1900], "bs": true, "nor": [{}], "sta": "q"});
        let report = Report::of_json(&json).unwrap();
        assert_eq!(number(&report), [Some(1480), Some(1900), None, None]);
        assert!(report.starved && report.over);
    }

    #[test]
    fn what_is_no_report_is_named() {
        for (text, words) in [
            ("", "is no key"),
            ("<html>", "is no key"),
            ("sid=\"a", "ends within"),
            ("bl=(1 2", "ends within"),
            ("sid=\"a\"b", "value of sid"),
            ("ltc=", "value of ltc"),
            ("a,,b", "is no key"),
            ("sid=\"a\tb\",\u{1}", "control"),
        ] {
            let fault = Report::parse(text).unwrap_err().to_string();
            assert!(fault.contains(words), "{text:?}: {fault}");
        }
        for wrong in ["ltc=-5", "ltc=1e99", "ltc=(x)", "ltc=NaN"] {
            assert_eq!(Report::parse(wrong).unwrap().latency_ms, None, "{wrong}");
        }
        assert_eq!(of_query("CMCD=%f"), None);
        assert_eq!(of_query("CMCD=%ff"), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-z,=\"\\\\();0-9 %é]{0,60}") {
            drop(Report::parse(&text));
            drop(of_query(&format!("CMCD={text}")));
        }

        #[test]
        fn any_session_id_survives_quoting(id in "\\PC{1,40}") {
            let quoted = id.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("a=1,sid=\"{quoted}\",ltc=7");
            let report = Report::parse(&text).unwrap();
            prop_assert_eq!(report.session.as_deref(), Some(&*id));
            prop_assert_eq!(report.latency_ms, Some(7));
        }
    }
}
