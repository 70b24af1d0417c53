//! Texts in little memory: the list entries of containers of one image say nearly the same in nearly the same words.
//!
//! An entry is kept as what it has in common with another one, its model, and what it has not. Putting it together again
//! is copying from a model that thousands of them share, which is faster than fetching as many bytes for each.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A text in two parts.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    model: Arc<str>,
    cuts: Box<[Cut]>,
    /// How many of the cuts make up the first part.
    first: usize,
    /// What the cuts take that is not in the model, in their order.
    own: Box<str>,
}

/// Some bytes of its own, then some of the model's.
#[derive(Clone, Copy, Debug)]
struct Cut {
    own: u16,
    from: u16,
    length: u16,
}

/// Less in common is not worth a cut.
const WORTH: usize = 10;
/// So much text is looked for in the model when it does not go on where it should.
const SOUGHT: usize = 16;
/// How often that is done for one text.
const SEARCHES: usize = 8;

impl Packed {
    /// The text as it is.
    pub(super) fn plain(first: &str, second: &str) -> Self {
        Self::like(&Arc::from(""), first, second)
    }

    /// The text as far as it differs from `model`.
    fn like(model: &Arc<str>, first: &str, second: &str) -> Self {
        let mut packer = Packer {
            model,
            at: 0,
            searches: SEARCHES,
            cuts: Vec::new(),
            own: String::new(),
            pending: 0,
        };
        packer.take(first);
        let first = packer.cuts.len();
        packer.take(second);
        Self {
            first,
            cuts: packer.cuts.into(),
            own: packer.own.into(),
            model: Arc::clone(model),
        }
    }

    /// Writes the first part, whatever `between` does, and the second part.
    pub(super) fn write(&self, out: &mut String, between: impl FnOnce(&mut String)) {
        let (first, second) = self.cuts.split_at_checked(self.first).unwrap_or_default();
        let mut own = &*self.own;
        self.write_cuts(first, &mut own, out);
        between(out);
        self.write_cuts(second, &mut own, out);
    }

    fn write_cuts(&self, cuts: &[Cut], own: &mut &str, out: &mut String) {
        for cut in cuts {
            let (text, rest) = own.split_at_checked(cut.own.into()).unwrap_or_default();
            out.push_str(text);
            *own = rest;
            let from = usize::from(cut.from);
            let common = self.model.get(from..from + usize::from(cut.length));
            out.push_str(common.unwrap_or_default());
        }
    }

    /// Reads a little of it, for the memory to be there soon.
    pub(super) fn touch(&self) -> u8 {
        let own = self.own.as_bytes();
        let own = [0, 64, 128, 192, 256].iter().filter_map(|at| own.get(*at));
        let cut = self.cuts.first().map_or(0, |cut| cut.own.to_ne_bytes()[0]);
        own.fold(cut, |sum, byte| sum.wrapping_add(*byte))
    }

    fn parts(&self) -> (String, String) {
        let (mut first, mut whole) = (String::new(), String::new());
        self.write(&mut whole, |out| first = std::mem::take(out));
        (first, whole)
    }

    fn size(&self) -> usize {
        self.own.len() + size_of_val(&*self.cuts)
    }
}

/// Texts that others are like, by what they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    known: BTreeMap<Arc<str>, Arc<str>>,
    /// When there are as many, those that no text refers to any more are dropped.
    sweep_at: usize,
}

const SWEEP_MIN: usize = 1024;

impl Models {
    /// Packs a text about `topic`. It becomes the model of those that follow if it is not like the one there is.
    pub(super) fn pack(&mut self, topic: &Arc<str>, text: &mut Packed) {
        let (first, second) = text.parts();
        if let Some(model) = self.known.get(topic) {
            let packed = Packed::like(model, &first, &second);
            if packed.size() * 2 < first.len() + second.len() {
                *text = packed;
                return;
            }
        }
        if first.len() + second.len() > usize::from(u16::MAX) {
            return;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, model| Arc::strong_count(model) > 1);
            self.sweep_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        let model: Arc<str> = format!("{first}{second}").into();
        *text = Packed::like(&model, &first, &second);
        self.known.insert(topic.clone(), model);
    }
}

struct Packer<'a> {
    model: &'a str,
    /// Where the text goes on in the model.
    at: usize,
    searches: usize,
    cuts: Vec<Cut>,
    own: String,
    /// Bytes of `own` that no cut takes yet.
    pending: usize,
}

impl Packer<'_> {
    fn take(&mut self, mut text: &str) {
        while !text.is_empty() {
            let common = common(text, self.rest());
            if common >= WORTH || common == text.len() {
                text = text.get(common..).unwrap_or_default();
                self.cut(common);
                continue;
            }
            // A value that differs: both go on at its end.
            let mut end = common + value_end(text, common);
            self.at += common + value_end(self.rest(), common);
            if end == 0 {
                end = text.chars().next().map_or(text.len(), char::len_utf8);
            }
            let (own, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            self.own.push_str(own);
            self.pending += own.len();
            text = rest;
            self.search(text);
        }
        self.flush();
    }

    fn rest(&self) -> &str {
        self.model.get(self.at..).unwrap_or_default()
    }

    /// Finds where the model has what follows, if it is not where it was expected.
    fn search(&mut self, text: &str) {
        let sought = text.get(..SOUGHT).unwrap_or_default();
        if sought.is_empty() || self.searches == 0 || common(text, self.rest()) >= WORTH {
            return;
        }
        self.searches -= 1;
        if let Some(found) = self.model.find(sought) {
            self.at = found;
        }
    }

    fn cut(&mut self, length: usize) {
        self.shorten_pending();
        let number = |size: usize| u16::try_from(size).unwrap_or(u16::MAX);
        self.cuts.push(Cut {
            own: number(self.pending),
            from: number(self.at),
            length: number(length),
        });
        self.pending = 0;
        self.at += length;
    }

    fn flush(&mut self) {
        if self.pending > 0 {
            self.cut(0);
        }
    }

    /// Takes what does not fit into one cut.
    fn shorten_pending(&mut self) {
        while self.pending > usize::from(u16::MAX) {
            let from = self.own.len() - self.pending;
            let mut own = u16::MAX;
            while own > 0 && !self.own.is_char_boundary(from + usize::from(own)) {
                own -= 1;
            }
            self.cuts.push(Cut {
                own,
                from: 0,
                length: 0,
            });
            self.pending -= usize::from(own);
        }
    }
}

/// How many bytes both begin with, whole characters only.
fn common(text: &str, model: &str) -> usize {
    let pairs = text.as_bytes().iter().zip(model.as_bytes());
    let mut common = pairs.take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(common) {
        common -= 1;
    }
    common
}

/// How far it is from there to the end of a value.
fn value_end(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find(['"', ',', '}', ']']).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(models: &mut Models, topic: &str, first: &str, second: &str) -> Packed {
        let mut packed = Packed::plain(first, second);
        models.pack(&topic.into(), &mut packed);
        assert_eq!(packed.parts(), (first.to_owned(), second.to_owned()));
        packed
    }

    fn entry(id: &str, name: &str, mounts: &str) -> (String, String) {
        let first = format!(
            r#"{{"Id":"{id}","Names":["/{name}"],"Image":"registry.example.com/shop/web:1.27.3","Command":"run","Mounts":[{mounts}],"Status":"#
        );
        let second = format!(
            r#","HostConfig":{{"NetworkMode":"bridge"}},"NetworkSettings":{{"Networks":{{"bridge":{{"EndpointID":"{id}","Gateway":"172.17.0.1","IPPrefixLen":16}}}}}}}}"#
        );
        (first, second)
    }

    #[test]
    fn an_entry_like_another_one_takes_little() {
        let mut models = Models::default();
        let (first, second) = entry("aaaaaaaaaaaaaaaaaaaaaaaa", "web-1", "");
        packed(&mut models, "web", &first, &second);
        for mounts in ["", r#"{"Type":"bind","Source":"/data"}"#] {
            let (first, second) = entry("bbbbbbbbbbbbbbbbbbbbbbbb", "db-with-long-name", mounts);
            let size = packed(&mut models, "web", &first, &second).size();
            assert!(size < 2 * 24 + 20 + mounts.len() + 8 * 6, "{size}");
        }
    }

    #[test]
    fn an_entry_with_less_than_its_model_meets_it_again() {
        let mut models = Models::default();
        let mounts = r#"{"Type":"bind","Source":"/data","Destination":"/d"},{"Type":"volume"}"#;
        let (first, second) = entry("aaaaaaaaaaaaaaaaaaaaaaaa", "web-1", mounts);
        packed(&mut models, "web", &first, &second);
        let (first, second) = entry("bbbbbbbbbbbbbbbbbbbbbbbb", "web-2", "");
        let size = packed(&mut models, "web", &first, &second).size();
        assert!(size < 2 * 24 + 20 + 8 * 6, "{size}");
    }

    #[test]
    fn what_is_unlike_its_model_becomes_the_model() {
        let mut models = Models::default();
        packed(&mut models, "web", "short", "");
        let (first, second) = entry("aaaaaaaaaaaaaaaaaaaaaaaa", "web-1", "");
        packed(&mut models, "web", &first, &second);
        let (first, second) = entry("bbbbbbbbbbbbbbbbbbbbbbbb", "web-2", "");
        let size = packed(&mut models, "web", &first, &second).size();
        assert!(size * 2 < first.len() + second.len(), "{size}");
    }

    #[test]
    fn models_nobody_refers_to_are_dropped() {
        let mut models = Models::default();
        for topic in 0..10 * SWEEP_MIN {
            packed(&mut models, &topic.to_string(), "text", "");
        }
        assert!(models.known.len() <= SWEEP_MIN + 1);
    }

    #[test]
    fn a_very_long_text_stays_whole() {
        let long = "\u{20ac}".repeat(60_000);
        packed(&mut Models::default(), "web", &long, "end");
    }

    proptest! {
        #[test]
        fn what_is_packed_can_be_read_again(
            model in "[\"a-c,\u{20ac}\u{20ad}]{0,80}",
            texts in prop::collection::vec(("[\"a-c,\u{20ac}\u{20ad}]{0,60}", "[\"a-c,}\u{20ac}]{0,60}"), 1..4),
        ) {
            let model = Arc::from(model.repeat(2));
            for (first, second) in texts {
                // What they have in common, too.
                let first = format!("{first}{model}{first}");
                let packed = Packed::like(&model, &first, &second);
                prop_assert_eq!(packed.parts(), (first, second));
            }
        }
    }
}
