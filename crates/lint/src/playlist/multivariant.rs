use std::collections::BTreeSet;

use url::Url;

use super::attributes::{Attributes, integer};
use super::faults::{MISSING_ATTRIBUTE, URI};
use super::reader::text_faults;
use super::{Fault, Tagged};

/// A multivariant playlist.
#[derive(Clone, Debug, Default)]
pub struct Multivariant {
    /// EXT-X-VERSION.
    pub version: Option<Tagged<u64>>,
    /// Whether EXT-X-INDEPENDENT-SEGMENTS is there.
    pub independent_segments: bool,
    /// EXT-X-STREAM-INF, in order.
    pub variants: Vec<Variant>,
    /// EXT-X-MEDIA, in order.
    pub renditions: Vec<Rendition>,
    /// What could not be read.
    pub faults: Vec<Fault>,
}

/// EXT-X-STREAM-INF and its URI.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The line of the tag.
    pub line: usize,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its media playlist.
    pub url: Url,
}

/// EXT-X-MEDIA.
#[derive(Clone, Debug)]
pub struct Rendition {
    /// The line it stands on.
    pub line: usize,
    /// Its attributes.
    pub attributes: Attributes,
    /// Its media playlist; `None` where it is in the variant's.
    pub url: Option<Url>,
}

impl Variant {
    /// A number among its attributes.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.attributes.text(name).and_then(integer)
    }

    /// The codecs it names.
    #[must_use]
    pub fn codecs(&self) -> Vec<&str> {
        let text = self.attributes.text("CODECS").unwrap_or_default();
        text.split(',').map(str::trim).filter(|codec| !codec.is_empty()).collect()
    }
}

impl Multivariant {
    /// Reads a multivariant playlist that was fetched from `base`.
    #[must_use]
    pub fn read(text: &str, base: &Url) -> Self {
        let mut out = Self::default();
        text_faults(text, &mut out.faults);
        let mut pending: Option<Attributes> = None;
        for (index, text) in text.lines().enumerate() {
            let line = index + 1;
            if let Some(value) = text.strip_prefix("#EXT-X-STREAM-INF:") {
                let attributes = Attributes::read(value, line, &mut out.faults);
                out.require(&attributes, &["BANDWIDTH"]);
                pending = Some(attributes);
            } else if let Some(value) = text.strip_prefix("#EXT-X-MEDIA:") {
                out.media(value, line, base);
            } else if let Some(value) = text.strip_prefix("#EXT-X-VERSION:") {
                out.version = integer(value).map(|value| Tagged { value, line });
            } else if text.starts_with("#EXT-X-INDEPENDENT-SEGMENTS") {
                out.independent_segments = true;
            } else if !text.is_empty() && !text.starts_with('#') {
                match (pending.take(), base.join(text)) {
                    (Some(attributes), Ok(url)) => {
                        out.variants.push(Variant { line: attributes.line, attributes, url });
                    }
                    (None, _) => {
                        out.faults.push(Fault::new(
                            &URI,
                            line,
                            "no EXT-X-STREAM-INF precedes the URI.",
                        ));
                    }
                    (_, Err(error)) => {
                        out.faults.push(Fault::new(
                            &URI,
                            line,
                            format!("this is no URI: {error}."),
                        ));
                    }
                }
            }
        }
        out
    }

    fn media(&mut self, value: &str, line: usize, base: &Url) {
        let attributes = Attributes::read(value, line, &mut self.faults);
        self.require(&attributes, &["TYPE", "GROUP-ID", "NAME"]);
        let url = attributes.text("URI").and_then(|uri| base.join(uri).ok());
        self.renditions.push(Rendition { line, attributes, url });
    }

    fn require(&mut self, attributes: &Attributes, names: &[&str]) {
        for name in names.iter().filter(|name| attributes.text(name).is_none()) {
            let message = format!("{name} is missing: it is required.");
            self.faults.push(Fault::new(&MISSING_ATTRIBUTE, attributes.line, message));
        }
    }

    /// All media playlists, each once.
    #[must_use]
    pub fn playlists(&self) -> Vec<Url> {
        let mut seen = BTreeSet::new();
        let variants = self.variants.iter().map(|variant| &variant.url);
        let renditions = self.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
        variants.chain(renditions).filter(|url| seen.insert(*url)).cloned().collect()
    }
}
