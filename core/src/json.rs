//! JSON objects taken apart one level at a time.
//!
//! Only the members that matter are looked at; the others stay the very bytes the sender wrote, in their order, so a
//! field nobody here has heard of survives (DESIGN section 5, "pass through by default").

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Why a JSON text could not be taken apart.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not an object, or a member twice.
    #[error("invalid JSON: {0}")]
    Invalid(#[from] serde_json::Error),
}

/// A JSON object whose member values are kept as written, borrowed from its text.
#[derive(Clone, Debug, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

/// As [`Members`], outliving its text.
#[derive(Clone, Debug, Default)]
pub struct RawObject(Members<'static>);

impl<'a> Members<'a> {
    /// Takes an object apart. `{}` and `null` are both empty objects, as Docker treats them.
    ///
    /// # Errors
    /// When `text` is not an object, or names a member twice (also when the names differ only in case: the engine
    /// ignores case, so it and we could otherwise read different values from one body).
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let object: Option<Self> = serde_json::from_slice(text)?;
        Ok(object.unwrap_or_default())
    }

    /// The value of a member, its name compared as Docker does (ignoring case).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.position(name)
            .and_then(|at| self.0.get(at))
            .map(|(_, value)| &**value)
    }

    /// A member decoded; `None` when it is absent or null.
    ///
    /// # Errors
    /// When the member has another type.
    pub fn read<'b, T: Deserialize<'b>>(&'b self, name: &str) -> Result<Option<T>, JsonError> {
        match self.get(name) {
            Some(value) => Ok(serde_json::from_str(value.get())?),
            None => Ok(None),
        }
    }

    /// Sets a member, in its old place if there is one, else at the end.
    pub fn set(&mut self, name: &str, value: Box<RawValue>) {
        let at = self.position(name);
        let value = Cow::Owned(value);
        match at.and_then(|at| self.0.get_mut(at)) {
            Some((_, old)) => *old = value,
            None => self.0.push((Cow::Owned(name.to_owned()), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.position(name)?;
        Some(self.0.remove(at).1.into_owned())
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The object as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let length: usize = self
            .iter()
            .map(|(name, value)| name.len() + value.get().len() + 4)
            .sum();
        let mut out = String::with_capacity(length + 2);
        out.push('{');
        for (name, value) in self.iter() {
            if out.len() > 1 {
                out.push(',');
            }
            push_string(&mut out, name);
            out.push(':');
            out.push_str(value.get());
        }
        out.push('}');
        out
    }

    /// The object as one raw value.
    ///
    /// # Errors
    /// Never for an object that was parsed; [`JsonError`] when a raw value was damaged.
    pub fn to_raw(&self) -> Result<Box<RawValue>, JsonError> {
        Ok(RawValue::from_string(self.to_json())?)
    }

    fn into_owned(self) -> RawObject {
        let owned = |(name, value): (Cow<'_, str>, Cow<'_, RawValue>)| {
            let name = Cow::Owned(name.into_owned());
            (name, Cow::Owned(value.into_owned()))
        };
        RawObject(Members(self.0.into_iter().map(owned).collect()))
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|(own, _)| same(own, name))
    }
}

impl RawObject {
    /// As [`Members::parse`].
    ///
    /// # Errors
    /// Those of [`Members::parse`].
    pub fn parse(text: &[u8]) -> Result<Self, JsonError> {
        Ok(Members::parse(text)?.into_owned())
    }
}

impl Deref for RawObject {
    type Target = Members<'static>;

    fn deref(&self) -> &Members<'static> {
        &self.0
    }
}

impl DerefMut for RawObject {
    fn deref_mut(&mut self) -> &mut Members<'static> {
        &mut self.0
    }
}

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    // Serialising a str cannot fail; were it to, an empty string keeps the document valid.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned()));
}

/// `value` as a raw JSON value.
///
/// # Errors
/// When `value` cannot be written as JSON.
pub fn raw<T: serde::Serialize>(value: &T) -> Result<Box<RawValue>, JsonError> {
    Ok(serde_json::value::to_raw_value(value)?)
}

/// Whether Go's `encoding/json` takes two member names for the same field: simple case folding, in which the long s
/// and the Kelvin sign are the only characters outside ASCII that meet ASCII letters.
fn same(a: &str, b: &str) -> bool {
    a == b || a.chars().map(fold).eq(b.chars().map(fold))
}

fn folded(name: &str) -> String {
    name.chars().map(fold).collect()
}

fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    }
}

impl<'de> Deserialize<'de> for RawObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Members::deserialize(deserializer).map(Members::into_owned)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for All<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'a>, A::Error> {
                let mut members: Vec<(Cow<'a, str>, _)> = Vec::new();
                let mut seen = Seen::default();
                while let Some(Name(name)) = map.next_key::<Name<'a>>()? {
                    if !seen.is_new(members.iter().map(|(known, _)| &**known), &name) {
                        return Err(A::Error::custom(format!("member {name:?} occurs twice")));
                    }
                    members.push((name, Cow::Borrowed(map.next_value::<&'a RawValue>()?)));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All(PhantomData))
    }
}

/// A member's name; without escapes it is borrowed.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The names of an object's members so far.
#[derive(Default)]
struct Seen {
    /// Folded; only in use once there are many.
    many: BTreeSet<String>,
}

/// So many names are compared with each other; more are looked up, however many somebody sends.
const FEW: usize = 40;

impl Seen {
    fn is_new<'a>(&mut self, known: impl ExactSizeIterator<Item = &'a str>, name: &str) -> bool {
        let mut known = known;
        if known.len() < FEW {
            return !known.any(|known| same(known, name));
        }
        if self.many.is_empty() {
            self.many.extend(known.map(folded));
        }
        self.many.insert(folded(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_members_and_their_order_survive() {
        let text = br#"{"Zeta": 1.50 ,"Image":"a","New":{"x":[1, 2]}}"#;
        let mut object = RawObject::parse(text).unwrap();
        object.set("image", raw(&"b").unwrap());
        object.set("Labels", raw(&["l"]).unwrap());
        assert_eq!(
            object.to_json(),
            r#"{"Zeta":1.50,"Image":"b","New":{"x":[1, 2]},"Labels":["l"]}"#
        );
        assert!(object.remove("NEW").is_some());
        assert_eq!(object.read::<String>("Image").unwrap().unwrap(), "b");
        assert!(object.read::<u8>("Image").is_err());
    }

    #[test]
    fn a_member_named_twice_is_refused_however_it_is_spelled() {
        for text in [
            r#"{"Labels":{},"Labels":{}}"#,
            r#"{"Labels":{},"labels":{}}"#,
            "{\"Labels\":{},\"Label\u{17f}\":{}}",
        ] {
            let error = RawObject::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("occurs twice"), "{error}");
        }
        for (count, twice) in [(5, "A3"), (FEW + 5, "A3"), (FEW + 5, "A44")] {
            let all: Vec<String> = (0..count)
                .map(|number| format!("\"a{number}\":1"))
                .collect();
            let text = format!("{{{}}}", all.join(","));
            assert!(RawObject::parse(text.as_bytes()).is_ok(), "{text}");
            let text = format!("{{{},\"{twice}\":1}}", all.join(","));
            assert!(RawObject::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(RawObject::parse(b"null").unwrap().iter().next().is_none());
        assert!(RawObject::parse(b"[]").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_round_trips(text in "\\PC{0,60}", key in "[a-z]{1,5}") {
            let _ = RawObject::parse(text.as_bytes());
            let mut object = RawObject::default();
            object.set(&key, raw(&text).unwrap());
            let again = RawObject::parse(object.to_json().as_bytes()).unwrap();
            prop_assert_eq!(again.read::<String>(&key).unwrap().unwrap(), text);
        }
    }
}
