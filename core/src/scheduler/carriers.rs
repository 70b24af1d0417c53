//! Where a create request carries placement expressions (spec/classic.md section 5.3).
//!
//! Environment entries with one of the prefixes are expressions, not environment: they leave it and join those in the
//! label of their kind, where `docker inspect` shows them. What cannot be read is an error: a mistyped constraint must
//! not place a container anywhere (defect S6).

use std::collections::BTreeMap;

use super::expression::{Expression, ExpressionError};
use crate::config::Filter;

/// The expressions of a request, in the order in which they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expressions {
    /// `constraint:`, about engines.
    pub constraints: Vec<Expression>,
    /// `affinity:`, about containers and images on engines.
    pub affinities: Vec<Expression>,
    /// `whitelist:`, about engines; a value names several with `|`.
    pub whitelists: Vec<Expression>,
}

/// A request's environment and labels, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// What asks for a place.
    pub expressions: Expressions,
    /// What is to happen when the engine fails.
    pub reschedule: Reschedule,
    /// The environment without expressions.
    pub environment: Vec<String>,
    /// Labels to be set because the environment had expressions.
    pub labels: BTreeMap<&'static str, String>,
}

/// What is to happen with a container whose engine fails (spec/classic.md section 6.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reschedule {
    /// `off`, the default: it stays with its engine.
    #[default]
    Off,
    /// `on-node-failure`: another engine gets it.
    OnNodeFailure,
}

/// Why the expressions of a request cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarrierError {
    /// No expression.
    #[error("error from {filter} filter: {source} (in {text:?})")]
    Expression {
        /// The filter it is for.
        filter: Filter,
        /// The text.
        text: String,
        /// What is wrong with it.
        source: ExpressionError,
    },
    /// The label does not hold a list of texts.
    #[error("label {label} is not a JSON list of strings, for instance [\"node==n1\"]: {reason}")]
    Label {
        /// The label.
        label: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More of one kind than any sensible request has.
    #[error("more than {EXPRESSIONS_MAX} expressions in label {0} and its environment entries")]
    TooMany(&'static str),
    /// Several reschedule policies.
    #[error("too many reschedule policies")]
    Policies,
    /// Not a reschedule policy.
    #[error("invalid reschedule policy: {0}")]
    Policy(String),
}

/// How many expressions of one kind are read: each is compared with everything on every engine.
const EXPRESSIONS_MAX: usize = 100;

/// One kind of expression and where it is carried.
struct Carrier {
    prefix: &'static str,
    label: &'static str,
}

const CONSTRAINTS: Carrier = Carrier {
    prefix: "constraint:",
    label: "com.docker.swarm.constraints",
};
const AFFINITIES: Carrier = Carrier {
    prefix: "affinity:",
    label: "com.docker.swarm.affinities",
};
const WHITELISTS: Carrier = Carrier {
    prefix: "whitelist:",
    label: "com.docker.swarm.whitelists",
};
const POLICIES: Carrier = Carrier {
    prefix: "reschedule:",
    label: "com.docker.swarm.reschedule-policies",
};

impl Reschedule {
    /// The policy a container was created with. What cannot be read moves nothing.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        let texts = labels.get(POLICIES.label);
        texts
            .and_then(|json| serde_json::from_str::<Vec<String>>(json).ok())
            .and_then(|texts| policy(&texts).ok())
            .unwrap_or_default()
    }
}

impl Carried {
    /// Takes a request's environment and labels apart.
    ///
    /// # Errors
    /// [`CarrierError`] for what is meant as an expression and is none.
    pub fn read(
        mut environment: Vec<String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Self, CarrierError> {
        let mut moved = BTreeMap::new();
        let mut texts = |carrier: &Carrier| carrier.texts(&mut environment, labels, &mut moved);
        let expressions = Expressions {
            constraints: parse(Filter::Constraint, texts(&CONSTRAINTS)?, str::parse)?,
            affinities: parse(Filter::Affinity, texts(&AFFINITIES)?, str::parse)?,
            whitelists: parse(
                Filter::Whitelist,
                texts(&WHITELISTS)?,
                Expression::parse_list,
            )?,
        };
        let reschedule = policy(&texts(&POLICIES)?)?;
        Ok(Self {
            expressions,
            reschedule,
            environment,
            labels: moved,
        })
    }
}

impl Carrier {
    /// The texts of the label, then those of the environment, which are taken out of it; the label they have together
    /// goes to `moved`.
    fn texts(
        &self,
        environment: &mut Vec<String>,
        labels: &BTreeMap<String, String>,
        moved: &mut BTreeMap<&'static str, String>,
    ) -> Result<Vec<String>, CarrierError> {
        let unusable = |error: serde_json::Error| CarrierError::Label {
            label: self.label,
            reason: error.to_string(),
        };
        let mut texts: Vec<String> = match labels.get(self.label) {
            Some(json) => serde_json::from_str(json).map_err(unusable)?,
            None => Vec::new(),
        };
        let labelled = texts.len();
        environment.retain(|entry| match entry.strip_prefix(self.prefix) {
            Some(text) => {
                texts.push(text.to_owned());
                false
            }
            None => true,
        });
        if texts.len() > EXPRESSIONS_MAX {
            return Err(CarrierError::TooMany(self.label));
        }
        if texts.len() > labelled {
            let json = serde_json::to_string(&texts).map_err(unusable)?;
            moved.insert(self.label, json);
        }
        Ok(texts)
    }
}

fn parse(
    filter: Filter,
    texts: Vec<String>,
    read: fn(&str) -> Result<Expression, ExpressionError>,
) -> Result<Vec<Expression>, CarrierError> {
    texts
        .into_iter()
        .map(|text| {
            read(&text).map_err(|source| CarrierError::Expression {
                filter,
                text,
                source,
            })
        })
        .collect()
}

fn policy(texts: &[String]) -> Result<Reschedule, CarrierError> {
    match texts {
        [] => Ok(Reschedule::Off),
        [one] if one == "off" => Ok(Reschedule::Off),
        [one] if one == "on-node-failure" => Ok(Reschedule::OnNodeFailure),
        [one] => Err(CarrierError::Policy(one.clone())),
        [_, _, ..] => Err(CarrierError::Policies),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(environment: &[&str], labels: &[(&str, &str)]) -> Result<Carried, CarrierError> {
        let environment = environment.iter().map(ToString::to_string).collect();
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Carried::read(environment, &labels.collect())
    }

    fn refused(environment: &[&str], labels: &[(&str, &str)]) -> String {
        read(environment, labels).unwrap_err().to_string()
    }

    #[test]
    fn environment_entries_follow_those_of_the_label_and_leave_the_environment() {
        let label = "com.docker.swarm.constraints";
        let carried = read(
            &[
                "A=constraint:x==y",
                "constraint:zone==a",
                "affinity:image==~nginx",
                "B=1",
            ],
            &[(label, "[\"node!=n1\"]"), ("own", "x")],
        )
        .unwrap();
        let texts = |list: &[Expression]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(carried.environment, ["A=constraint:x==y", "B=1"]);
        assert_eq!(
            texts(&carried.expressions.constraints),
            ["node!=n1", "zone==a"]
        );
        assert_eq!(texts(&carried.expressions.affinities), ["image==~nginx"]);
        assert_eq!(
            carried.labels,
            BTreeMap::from([
                (label, "[\"node!=n1\",\"zone==a\"]".to_owned()),
                (
                    "com.docker.swarm.affinities",
                    "[\"image==~nginx\"]".to_owned()
                ),
            ])
        );
    }

    #[test]
    fn labels_alone_stay_as_they_are() {
        let carried = read(
            &["A=1"],
            &[("com.docker.swarm.whitelists", "[ \"node==a|b\" ]")],
        )
        .unwrap();
        assert_eq!(carried.labels, BTreeMap::new());
        assert_eq!(carried.expressions.whitelists.len(), 1);
        assert_eq!(read(&[], &[]).unwrap(), Carried::default());
    }

    #[test]
    fn a_label_that_is_no_list_is_an_error_that_names_it() {
        // spec/classic.md section 10.4, S6
        for (label, value) in [
            ("com.docker.swarm.constraints", "node==n1"),
            ("com.docker.swarm.affinities", "[\"node==n1\""),
            ("com.docker.swarm.whitelists", "[1]"),
            ("com.docker.swarm.reschedule-policies", ""),
        ] {
            let error = refused(&[], &[(label, value)]);
            assert!(
                error.starts_with(&format!("label {label} is not a JSON list")),
                "{error}"
            );
        }
        let many = format!("[\"node==n1\"{}]", ",\"node==n1\"".repeat(100));
        let error = refused(&[], &[("com.docker.swarm.constraints", &many)]);
        assert!(error.starts_with("more than 100 expressions"), "{error}");
    }

    #[test]
    fn a_text_that_is_no_expression_is_an_error_that_names_it() {
        assert_eq!(
            refused(&["constraint:node==/"], &[]),
            "error from constraint filter: Value '/' is invalid (in \"node==/\")"
        );
        assert_eq!(
            refused(&[], &[("com.docker.swarm.affinities", "[\"image\"]")]),
            "error from affinity filter: One of operator ==, != is expected (in \"image\")"
        );
        assert_eq!(
            refused(&["whitelist:node==a||b"], &[]),
            "error from whitelist filter: Value 'a||b' is invalid (in \"node==a||b\")"
        );
    }

    #[test]
    fn at_most_one_reschedule_policy_is_read() {
        let policy = |texts: &[&str]| read(texts, &[]).map(|carried| carried.reschedule);
        assert_eq!(policy(&[]), Ok(Reschedule::Off));
        assert_eq!(policy(&["reschedule:off"]), Ok(Reschedule::Off));
        assert_eq!(
            policy(&["reschedule:on-node-failure"]),
            Ok(Reschedule::OnNodeFailure)
        );
        assert_eq!(
            refused(&["reschedule:off", "reschedule:off"], &[]),
            "too many reschedule policies"
        );
        assert_eq!(
            refused(&["reschedule:always"], &[]),
            "invalid reschedule policy: always"
        );
    }

    proptest! {
        #[test]
        fn what_is_written_to_labels_reads_back(
            texts in prop::collection::vec("(constraint:zone|affinity:container|whitelist:node)(==|!=)~?[a-z*]{1,5}", 0..6)
        ) {
            let carried = Carried::read(texts, &BTreeMap::new()).unwrap();
            let labels = carried.labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            let again = Carried::read(Vec::new(), &labels.collect()).unwrap();
            prop_assert_eq!(carried.expressions, again.expressions);
        }

        #[test]
        fn reading_never_panics(entry in "\\PC{0,20}", label in "\\PC{0,20}") {
            for prefix in ["", "constraint:", "affinity:", "whitelist:", "reschedule:"] {
                let _ = read(&[&format!("{prefix}{entry}")], &[("com.docker.swarm.constraints", &label)]);
            }
        }
    }
}
