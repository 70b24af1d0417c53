//! Reports of several engines put into one: disk usage, and what was pruned.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::bare;
use crate::json::{self, JsonError, RawObject};

/// The same report by each engine, as one.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// The members in the order in which they were first seen.
    order: Vec<String>,
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Debug)]
enum Member {
    List(Vec<Box<RawValue>>),
    Sum(i64),
    Part(Tally),
    Other(Box<RawValue>),
}

impl Tally {
    /// Adds what the engine called `engine` reports: lists are put behind one another, numbers are added, and what is on
    /// one engine only is called `<engine>/<name>`. Of what is neither the first
    /// engine's stays, unless that is `null`.
    ///
    /// # Errors
    /// When it is not an object, or has something of another kind where an earlier engine had a list or a number.
    pub fn add(&mut self, engine: &str, report: &[u8]) -> Result<(), JsonError> {
        for (name, value) in RawObject::parse(report)?.iter() {
            if !self.members.contains_key(name) {
                self.order.push(name.to_owned());
            }
            let member = self
                .members
                .entry(name.to_owned())
                .or_insert_with(|| Member::like(value));
            if value.get() == "null" {
                continue;
            }
            if matches!(member, Member::Other(known) if known.get() == "null") {
                *member = Member::like(value);
            }
            match member {
                Member::List(items) => {
                    let own: Vec<Box<RawValue>> = serde_json::from_str(value.get())?;
                    for item in own {
                        items.push(called(name, engine, item)?);
                    }
                }
                Member::Sum(sum) => {
                    *sum = sum.saturating_add(serde_json::from_str(value.get())?);
                }
                Member::Part(part) => part.add(engine, value.get().as_bytes())?,
                Member::Other(_) => {}
            }
        }
        Ok(())
    }

    /// The whole as JSON text.
    ///
    /// # Errors
    /// Never for what [`Tally::add`] accepted.
    pub fn to_json(&self) -> Result<String, JsonError> {
        let mut whole = RawObject::default();
        for name in &self.order {
            let value = match self.members.get(name) {
                None => continue,
                Some(Member::List(items)) => json::raw(items)?,
                Some(Member::Sum(sum)) => json::raw(sum)?,
                Some(Member::Part(part)) => RawValue::from_string(part.to_json()?)?,
                Some(Member::Other(value)) => value.clone(),
            };
            whole.set(name, value);
        }
        Ok(whole.to_json())
    }
}

impl Member {
    /// Nothing yet, of the kind of `value`.
    fn like(value: &RawValue) -> Self {
        match value.get().as_bytes().first() {
            Some(b'[') => Self::List(Vec::new()),
            Some(b'{') => Self::Part(Tally::default()),
            _ if serde_json::from_str::<i64>(value.get()).is_ok() => Self::Sum(0),
            _ => Self::Other(value.to_owned()),
        }
    }
}

/// An entry of the list `list`, under its engine's name if it is on that engine only.
fn called(list: &str, engine: &str, item: Box<RawValue>) -> Result<Box<RawValue>, JsonError> {
    let own = |name: &str| format!("{engine}/{}", bare(name));
    match list {
        "VolumesDeleted" | "NetworksDeleted" => {
            let name: String = serde_json::from_str(item.get())?;
            json::raw(&own(&name))
        }
        "Volumes" => {
            let mut volume = RawObject::parse(item.get().as_bytes())?;
            if volume.read::<String>("Driver")?.as_deref() == Some("local") {
                let name: String = volume.read("Name")?.unwrap_or_default();
                volume.set("Name", json::raw(&own(&name))?);
            }
            volume.to_raw()
        }
        "Containers" => {
            let mut container = RawObject::parse(item.get().as_bytes())?;
            let names: Vec<String> = container.read("Names")?.unwrap_or_default();
            let names: Vec<_> = names.iter().map(|name| format!("/{}", own(name))).collect();
            container.set("Names", json::raw(&names)?);
            container.to_raw()
        }
        _ => Ok(item),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn tallied(reports: &[(&str, Value)]) -> Value {
        let mut tally = Tally::default();
        for (engine, report) in reports {
            tally.add(engine, report.to_string().as_bytes()).unwrap();
        }
        serde_json::from_str(&tally.to_json().unwrap()).unwrap()
    }

    #[test]
    fn lists_grow_numbers_add_up_and_local_things_are_named_after_their_engine() {
        let report = |size: i64, name: &str| {
            json!({
                "LayersSize": size,
                "Images": [{"Id": name}],
                "Containers": [{"Id": name, "Names": [format!("/{name}")]}],
                "Volumes": [{"Name": "data", "Driver": "local"}, {"Name": "shared", "Driver": "nfs"}],
                "BuildCache": null,
                "Future": {"Size": size},
            })
        };
        let whole = tallied(&[("n1", report(1, "a")), ("n2", report(2, "b"))]);
        assert_eq!(whole["LayersSize"], 3);
        assert_eq!(whole["Future"]["Size"], 3);
        assert_eq!(whole["Images"], json!([{"Id": "a"}, {"Id": "b"}]));
        assert_eq!(whole["Containers"][1]["Names"], json!(["/n2/b"]));
        let volumes = whole["Volumes"].as_array().unwrap();
        let volumes: Vec<_> = volumes.iter().map(|volume| &volume["Name"]).collect();
        assert_eq!(volumes, ["n1/data", "shared", "n2/data", "shared"]);
        assert_eq!(whole["BuildCache"], Value::Null);
    }

    #[test]
    fn what_was_pruned_is_named_after_its_engine() {
        let whole = tallied(&[
            ("n1", json!({"VolumesDeleted": ["a"], "SpaceReclaimed": 5})),
            ("n2", json!({"VolumesDeleted": null, "SpaceReclaimed": 6})),
        ]);
        assert_eq!(
            whole,
            json!({"VolumesDeleted": ["n1/a"], "SpaceReclaimed": 11})
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let mut tally = Tally::default();
        tally.add("n", br#"{"A":[1],"B":2}"#).unwrap();
        assert!(tally.add("n", b"[]").is_err());
        assert!(tally.add("n", br#"{"A":3}"#).is_err());
        assert!(tally.add("n", br#"{"B":"x"}"#).is_err());
        assert!(tally.add("n", br#"{"Volumes":["x"]}"#).is_err());
    }

    proptest::proptest! {
        #[test]
        fn reports_never_panic(one in "\\PC{0,40}", numbers in proptest::collection::vec(proptest::num::i64::ANY, 0..4)) {
            let mut tally = Tally::default();
            let _ = tally.add("n", one.as_bytes());
            for number in numbers {
                let _ = tally.add("n", format!("{{\"S\":{number}}}").as_bytes());
            }
            let _ = tally.to_json();
        }
    }
}
