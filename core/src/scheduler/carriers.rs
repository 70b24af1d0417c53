//! Where a create request carries placement expressions (spec/classic.md section 5.3).

/// Prefixes of environment variables that are expressions, not environment.
const VARIABLES: [&str; 4] = ["constraint:", "affinity:", "whitelist:", "reschedule:"];

/// Labels that hold expressions.
const LABELS: [&str; 4] = [
    "com.docker.swarm.constraints",
    "com.docker.swarm.affinities",
    "com.docker.swarm.whitelists",
    "com.docker.swarm.reschedule-policies",
];

/// The first expression among a request's environment variables and names of labels, as the user wrote it.
#[must_use]
pub fn first_expression(environment: &[String], labels: &[String]) -> Option<String> {
    let variable = environment
        .iter()
        .find(|one| VARIABLES.iter().any(|prefix| one.starts_with(prefix)));
    let label = labels.iter().find(|one| LABELS.contains(&one.as_str()));
    variable.or(label).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_found_where_classic_swarm_carries_them() {
        let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let found = |environment: &[&str], labels: &[&str]| {
            first_expression(&strings(environment), &strings(labels))
        };
        assert_eq!(
            found(&["A=b", "constraint:node==n1"], &[]),
            Some("constraint:node==n1".to_owned())
        );
        assert_eq!(
            found(&[], &["x", "com.docker.swarm.affinities"]),
            Some("com.docker.swarm.affinities".to_owned())
        );
        assert_eq!(
            found(
                &["A=constraint:node==n1", "affinity=x"],
                &["com.docker.swarm.id"]
            ),
            None
        );
    }
}
