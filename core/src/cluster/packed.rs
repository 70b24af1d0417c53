//! Texts in little memory: the list entries of containers of one image say nearly the same in nearly the same words.
//!
//! An entry is kept as what it has in common with another one, its model, and what it has not. Putting it together again
//! is copying from a model that thousands of them share, which is faster than fetching as many bytes for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::common::Known;

/// A text with gaps.
#[derive(Clone, Debug)]
pub(super) struct Packed {
    pattern: Arc<Pattern>,
    /// What the cuts take that is not in the model, in their order.
    own: Box<str>,
}

/// What stands in a text and is not kept with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// The container's full ID, which is kept anyway.
    Id,
    /// The status, which changes by itself.
    Status,
}

/// A piece of a text, and the gap after it.
pub(super) type Part = (String, Option<Gap>);

/// How texts are put together; many are in the same way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    cuts: Box<[Cut]>,
    model: Arc<str>,
}

/// Some bytes of the text's own, then some of the model's, then perhaps a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cut {
    own: u16,
    from: u16,
    length: u16,
    gap: Option<Gap>,
}

/// Less in common is not worth a cut.
const WORTH: usize = 10;
/// So much text is looked for in the model when it does not go on where it should.
const SOUGHT: usize = 16;
/// How often that is done for one text.
const SEARCHES: usize = 8;

impl Packed {
    /// The text as it is.
    pub(super) fn plain(parts: &[Part]) -> Self {
        let model = Arc::from("");
        let mut packer = Packer::new(&model);
        for (text, gap) in parts {
            packer.keep(text);
            packer.end(*gap);
        }
        packer.pack()
    }

    /// The text as far as it differs from `model`.
    fn like(model: &Arc<str>, parts: &[Part]) -> Self {
        let mut packer = Packer::new(model);
        for (text, gap) in parts {
            packer.take(text);
            packer.end(*gap);
        }
        packer.pack()
    }

    /// Writes the text; `fill` writes what belongs into a gap.
    pub(super) fn write(&self, out: &mut String, mut fill: impl FnMut(Gap, &mut String)) {
        let mut own = &*self.own;
        for cut in &self.pattern.cuts {
            let (text, rest) = own.split_at_checked(cut.own.into()).unwrap_or_default();
            out.push_str(text);
            own = rest;
            let from = usize::from(cut.from);
            let common = self.pattern.model.get(from..from + usize::from(cut.length));
            out.push_str(common.unwrap_or_default());
            if let Some(gap) = cut.gap {
                fill(gap, out);
            }
        }
    }

    /// Reads a little of it, for the memory to be there soon.
    pub(super) fn touch(&self) -> u8 {
        let own = self.own.as_bytes();
        let own = [0, 64, 128, 192, 256].iter().filter_map(|at| own.get(*at));
        own.fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn parts(&self) -> Vec<Part> {
        let (mut parts, mut rest) = (Vec::new(), String::new());
        self.write(&mut rest, |gap, out| {
            parts.push((std::mem::take(out), Some(gap)));
        });
        parts.push((rest, None));
        parts
    }

    fn size(&self) -> usize {
        self.own.len() + size_of_val(&*self.pattern.cuts)
    }
}

/// Texts that others are like, by what they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Models {
    known: BTreeMap<Arc<str>, Model>,
    /// When there are as many, those that no text refers to any more are dropped.
    sweep_at: usize,
}

#[derive(Clone, Debug)]
struct Model {
    text: Arc<str>,
    patterns: Known<Pattern>,
}

const SWEEP_MIN: usize = 1024;

impl Models {
    /// Packs a text about `topic`. It becomes the model of those that follow if it is not like the one there is.
    pub(super) fn pack(&mut self, topic: &Arc<str>, text: &mut Packed) {
        let parts = text.parts();
        let length: usize = parts.iter().map(|(part, _)| part.len()).sum();
        if let Some(model) = self.known.get_mut(topic) {
            let packed = Packed::like(&model.text, &parts);
            if packed.size() * 2 < length {
                *text = packed;
                model.patterns.share(&mut text.pattern);
                return;
            }
        }
        if length > usize::from(u16::MAX) {
            return;
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|_, model| !model.patterns.sweep());
            self.sweep_at = (self.known.len() * 2).max(SWEEP_MIN);
        }
        let whole: String = parts.iter().map(|(part, _)| part.as_str()).collect();
        let mut model = Model {
            text: whole.into(),
            patterns: Known::default(),
        };
        *text = Packed::like(&model.text, &parts);
        model.patterns.share(&mut text.pattern);
        self.known.insert(topic.clone(), model);
    }
}

struct Packer<'a> {
    model: &'a Arc<str>,
    /// Where the text goes on in the model.
    at: usize,
    searches: usize,
    cuts: Vec<Cut>,
    own: String,
    /// Bytes of `own` that no cut takes yet.
    pending: usize,
}

impl<'a> Packer<'a> {
    fn new(model: &'a Arc<str>) -> Self {
        Self {
            model,
            at: 0,
            searches: SEARCHES,
            cuts: Vec::new(),
            own: String::new(),
            pending: 0,
        }
    }

    fn pack(self) -> Packed {
        let pattern = Pattern {
            cuts: self.cuts.into(),
            model: Arc::clone(self.model),
        };
        Packed {
            pattern: Arc::new(pattern),
            // Copied, because an allocator may leave what shrinks where it is, with all its room.
            own: self.own.as_str().into(),
        }
    }

    fn keep(&mut self, own: &str) {
        self.own.push_str(own);
        self.pending += own.len();
    }

    fn take(&mut self, mut text: &str) {
        while !text.is_empty() {
            let common = whole(text, common(text, self.rest()));
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
            self.keep(own);
            text = rest;
            self.search(text);
        }
    }

    /// Ends a part: what was taken so far is before the gap.
    fn end(&mut self, gap: Option<Gap>) {
        let is_open = self.cuts.last().is_some_and(|cut| cut.gap.is_none());
        if self.pending > 0 || (gap.is_some() && !is_open) {
            self.cut(0);
        }
        if let Some(last) = self.cuts.last_mut() {
            last.gap = last.gap.or(gap);
        }
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
            gap: None,
        });
        self.pending = 0;
        self.at += length;
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
                gap: None,
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

/// So much of what is in common as ends with a word. That numbers begin with the same digits must not make patterns differ.
fn whole(text: &str, common: usize) -> usize {
    match text.get(..common) {
        Some(part) if part.len() < text.len() => {
            let word = |letter: char| letter.is_ascii_alphanumeric();
            part.trim_end_matches(word).len()
        }
        Some(_) | None => common,
    }
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

    fn packed(models: &mut Models, topic: &str, parts: &[Part]) -> Packed {
        let mut packed = Packed::plain(parts);
        models.pack(&topic.into(), &mut packed);
        assert_eq!(packed.parts(), parts);
        packed
    }

    fn text(text: &str) -> Vec<Part> {
        vec![(text.to_owned(), None)]
    }

    fn entry(endpoint: &str, name: &str, mounts: &str) -> Vec<Part> {
        let first = r#"{"Id":"#.to_owned();
        let second = format!(
            r#","Names":["/{name}"],"Image":"registry.example.com/shop/web:1.27.3","Command":"run","Mounts":[{mounts}],"Status":"#
        );
        let third = format!(
            r#","HostConfig":{{"NetworkMode":"bridge"}},"NetworkSettings":{{"Networks":{{"bridge":{{"EndpointID":"{endpoint}","Gateway":"172.17.0.1","IPPrefixLen":16}}}}}}}}"#
        );
        vec![
            (first, Some(Gap::Id)),
            (second, Some(Gap::Status)),
            (third, None),
        ]
    }

    #[test]
    fn an_entry_like_another_one_takes_little() {
        let mut models = Models::default();
        packed(&mut models, "web", &entry("aaaaaaaaaaaaaaaa", "web-1", ""));
        for mounts in ["", r#"{"Type":"bind","Source":"/data"}"#] {
            let entry = entry("bbbbbbbbbbbbbbbb", "db-with-long-name", mounts);
            let own = packed(&mut models, "web", &entry).own;
            assert!(own.len() < 16 + 20 + mounts.len(), "{own}");
        }
    }

    #[test]
    fn entries_that_differ_in_values_only_share_their_pattern() {
        let mut models = Models::default();
        let entries = [
            ("a91e", "web-1732"),
            ("a931", "web-1745"),
            ("b200", "web-2111"),
        ];
        let all = entries.map(|(id, name)| packed(&mut models, "web", &entry(id, name, "")));
        // The first one is its own model.
        assert!(Arc::ptr_eq(&all[1].pattern, &all[2].pattern));
    }

    #[test]
    fn an_entry_with_less_than_its_model_meets_it_again() {
        let mut models = Models::default();
        let mounts = r#"{"Type":"bind","Source":"/data","Destination":"/d"},{"Type":"volume"}"#;
        packed(&mut models, "web", &entry("aaaaaaaa", "web-1", mounts));
        let own = packed(&mut models, "web", &entry("bbbbbbbb", "web-2", "")).own;
        assert!(own.len() < 20, "{own}");
    }

    #[test]
    fn what_is_unlike_its_model_becomes_the_model() {
        let mut models = Models::default();
        packed(&mut models, "web", &text("short"));
        packed(&mut models, "web", &entry("aaaaaaaa", "web-1", ""));
        let own = packed(&mut models, "web", &entry("bbbbbbbb", "web-2", "")).own;
        assert!(own.len() < 20, "{own}");
    }

    #[test]
    fn models_nobody_refers_to_are_dropped() {
        let mut models = Models::default();
        let entry = entry("aaaa", "web-1", "");
        let kept = packed(&mut models, "kept", &entry);
        for topic in 0..10 * SWEEP_MIN {
            packed(&mut models, &topic.to_string(), &text("text"));
        }
        assert!(models.known.len() <= SWEEP_MIN + 1);
        let again = packed(&mut models, "kept", &entry);
        assert!(Arc::ptr_eq(&kept.pattern, &again.pattern), "still in use");
    }

    #[test]
    fn a_very_long_text_stays_whole() {
        let long = ("\u{20ac}".repeat(60_000), Some(Gap::Status));
        let parts = [long, ("end".to_owned(), None)];
        packed(&mut Models::default(), "web", &parts);
    }

    fn gap() -> impl Strategy<Value = Gap> {
        prop_oneof![Just(Gap::Id), Just(Gap::Status)]
    }

    proptest! {
        #[test]
        fn what_is_packed_can_be_read_again(
            model in "[\"a-c,\u{20ac}\u{20ad}]{0,80}",
            parts in prop::collection::vec(("[\"a-c,}\u{20ac}\u{20ad}]{0,60}", gap()), 0..4),
            last in "[\"a-c,}\u{20ac}]{0,60}",
        ) {
            let model = Arc::from(model.repeat(2));
            // What they have in common, too.
            let parts = parts.into_iter().map(|(text, gap)| (format!("{text}{model}{text}"), Some(gap)));
            let parts: Vec<Part> = parts.chain([(last, None)]).collect();
            let packed = Packed::like(&model, &parts);
            prop_assert_eq!(packed.parts(), parts);
        }
    }
}
